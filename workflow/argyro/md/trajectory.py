"""Trajectories: unwrapped positions of some atoms, compact, of known precision, and checked when they are read.

A trajectory is a Parquet file with a checksum on every page. Positions are whole multiples of the precision, an atom a
row: ``x``, ``y`` and ``z`` hold the atom's coordinates over the frames of one block of time, so that a few atoms can be
read over all times without the rest. Row groups are blocks of atoms, all of one block of time before those of the next.
The first row of a block of time also holds what belongs to its frames: steps, cells, and where the framework is.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from argyro.common.errors import FileError
from argyro.common.files import replacing, sha256_of_file

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int64]

FORMAT = "argyro-trajectory/1"
PRECISION = 1e-4  # angstrom; the largest error is half of it
ATOMS_PER_GROUP = 1024
LARGEST = 2**31 - 1
FARTHEST = PRECISION * LARGEST / 2  # angstrom; beyond it, nothing has a place in a trajectory
AXES = ("x", "y", "z")
SCHEMA = pa.schema(
    [("atom", pa.int32())]
    + [(axis, pa.list_(pa.int32())) for axis in AXES]
    + [("step", pa.list_(pa.int64())), ("cell", pa.list_(pa.float64())), ("framework", pa.list_(pa.float64()))]
)


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of M atoms at F steps.

    Attributes:
        steps: Shape (F,), strictly increasing.
        positions: Unwrapped, shape (F, M, 3), angstrom.
        cells: Cell vectors as rows, shape (F, 3, 3), angstrom.
        framework: Centre of mass of the atoms that do not diffuse, shape (F, 3), angstrom: the drift to take away.
    """

    steps: IntArray
    positions: FloatArray
    cells: FloatArray
    framework: FloatArray


def write_trajectory(
    path: Path, frames: Frames, atoms: IntArray, metadata: Mapping[str, Any], *, precision: float = PRECISION
) -> None:
    """Write one block of time, in one step.

    Args:
        path: The file.
        frames: What to write.
        atoms: Which atoms of the structure they are, shape (M,).
        metadata: Kept as JSON, for example elements and timestep.
        precision: Positions are rounded to multiples of it, angstrom.

    Raises:
        FileError: positions are too far away for this precision, or no numbers.
    """
    units = np.rint(frames.positions / precision)
    if not (np.abs(units) < LARGEST).all():
        raise FileError(f"{path}: positions beyond {LARGEST * precision:g} angstrom, or no numbers, cannot be stored")
    schema = _schema({**metadata, "format": FORMAT, "precision_angstrom": precision, "atoms": len(atoms)})
    with replacing(path) as temporary, _writer(temporary, schema) as writer:
        for begin in range(0, len(atoms), ATOMS_PER_GROUP):
            part = slice(begin, begin + ATOMS_PER_GROUP)
            block = units[:, part].astype(np.int32)
            writer.write_table(_group(block, atoms[part], frames if begin == 0 else None, schema))


def _schema(metadata: Mapping[str, Any]) -> pa.Schema:
    text = json.dumps(metadata, sort_keys=True)
    return SCHEMA.with_metadata({"argyro": text, "argyro_sha256": _digest(text.encode())})


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _read_metadata(path: Path, file: pq.ParquetFile) -> dict[str, Any]:
    found = file.schema_arrow.metadata or {}
    text = found.get(b"argyro", b"")
    if not text:
        raise FileError(f"{path} is not a trajectory of the format {FORMAT}")
    if found.get(b"argyro_sha256") != _digest(text).encode():
        raise _damaged(path, "wrong checksum of its metadata")
    metadata: dict[str, Any] = json.loads(text)
    if metadata["format"] != FORMAT:
        raise FileError(f"{path} is a trajectory of the format {metadata['format']}; this version reads {FORMAT}")
    return metadata


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    # Neighbouring numbers of a column are neighbours in time: their small differences are what is stored
    differences = dict.fromkeys([f"{axis}.list.element" for axis in AXES], "DELTA_BINARY_PACKED")
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=False,
        column_encoding=differences,
        write_page_checksum=True,
        write_statistics=False,
    )


def _group(block: npt.NDArray[np.int32], atoms: IntArray, frames: Frames | None, schema: pa.Schema) -> pa.Table:
    """Rows of a block of atoms; the frames' own data stand in the first."""
    frame_count, atom_count, _ = block.shape
    offsets = pa.array(np.arange(atom_count + 1, dtype=np.int32) * frame_count)
    columns = [pa.array(atoms, pa.int32())]
    columns += [pa.ListArray.from_arrays(offsets, pa.array(block[:, :, axis].T.ravel())) for axis in range(3)]
    for name in ("steps", "cells", "framework"):
        own = [None] * atom_count if frames is None else [getattr(frames, name).ravel(), *[None] * (atom_count - 1)]
        columns.append(pa.array(own, schema.field(len(columns)).type))
    return pa.Table.from_arrays(columns, schema=schema)


def join_trajectories(path: Path, parts: Sequence[Path]) -> None:
    """Append blocks of time to one another, in one step, without taking them into memory."""
    files = [_open(part) for part in parts]
    with replacing(path) as temporary, _writer(temporary, files[0].schema_arrow) as writer:
        for file in files:
            for group in range(file.num_row_groups):
                writer.write_table(file.read_row_group(group))


def _open(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True, memory_map=False)
        names = file.schema_arrow.names
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error}; delete it to have it made again") from None
    except (pa.ArrowException, ValueError) as error:
        raise _damaged(path, error) from None
    if names != SCHEMA.names:
        raise FileError(f"{path} is not a trajectory of the format {FORMAT}, or damaged")
    return file


def _damaged(path: Path, why: object) -> FileError:
    return FileError(f"{path} is damaged: {why}; delete it to have it made again")


class Trajectory:
    """A trajectory on disk, read a block of atoms at a time.

    Args:
        path: Its file.
        sha256: Of the whole file, where it is known; without it only pages and metadata are checked.

    Attributes:
        path: Its file.
        metadata: What was given when it was written, and ``precision_angstrom``.

    Raises:
        FileError: missing, truncated, damaged or something else; also by what reads later.
    """

    def __init__(self, path: Path, sha256: str | None = None) -> None:
        self.path = path
        if sha256 is not None and sha256_of_file(path) != sha256:
            raise _damaged(path, "wrong checksum")
        self._file = _open(path)
        self.metadata = _read_metadata(path, self._file)
        self._groups = -(-self.atom_count // ATOMS_PER_GROUP)

    @property
    def atom_count(self) -> int:
        """Number of atoms stored."""
        return int(self.metadata["atoms"])

    @cached_property
    def atoms(self) -> IntArray:
        """Which atoms of the structure they are, shape (M,)."""
        tables = [self._read(group, ["atom"]) for group in range(self._groups)]
        return np.concatenate([table["atom"].to_numpy() for table in tables]).astype(np.int64)

    @cached_property
    def steps(self) -> IntArray:
        """Steps of all frames, shape (F,)."""
        return np.asarray(self._of_frames("step"), dtype=np.int64)

    @property
    def times(self) -> FloatArray:
        """Times of all frames, shape (F,), ps."""
        return np.asarray(self.steps * float(self.metadata["timestep_ps"]), dtype=np.float64)

    @cached_property
    def cells(self) -> FloatArray:
        """Cell vectors as rows, shape (F, 3, 3), angstrom."""
        return np.asarray(self._of_frames("cell"), dtype=np.float64).reshape(-1, 3, 3)

    @cached_property
    def framework(self) -> FloatArray:
        """Centre of mass of the atoms that do not diffuse, shape (F, 3), angstrom."""
        return np.asarray(self._of_frames("framework"), dtype=np.float64).reshape(-1, 3)

    def blocks(self) -> Iterator[tuple[IntArray, FloatArray]]:
        """Blocks of atoms over all frames: which atoms, and positions of shape (F, block, 3), angstrom."""
        for block in range(self._groups):
            tables = [
                self._read(group, ["atom", *AXES]) for group in range(block, self._file.num_row_groups, self._groups)
            ]
            yield tables[0]["atom"].to_numpy().astype(np.int64), np.concatenate([self._positions(t) for t in tables])

    def spans(self) -> Iterator[Frames]:
        """Blocks of time, all atoms each, one after another."""
        begin = 0
        for first in range(0, self._file.num_row_groups, self._groups):
            tables = [self._read(group, list(AXES)) for group in range(first, first + self._groups)]
            positions = np.concatenate([self._positions(table) for table in tables], axis=1)
            part = slice(begin, begin + len(positions))
            yield Frames(self.steps[part], positions, self.cells[part], self.framework[part])
            begin += len(positions)

    def positions(self) -> FloatArray:
        """Unwrapped positions of all atoms, shape (F, M, 3), angstrom; `blocks` takes less memory."""
        return np.concatenate([positions for _, positions in self.blocks()], axis=1)

    def verify(self) -> None:
        """Read everything once, so that damage anywhere is found.

        Raises:
            FileError: there is some.
        """
        frames, blocks = len(self.steps), 0
        for _, positions in self.blocks():
            blocks += positions.shape[1]
            if len(positions) != frames:
                raise _damaged(self.path, f"{len(positions)} positions in {frames} frames")
        if not blocks == self.atom_count == len(self.atoms) or not frames == len(self.cells) == len(self.framework):
            raise _damaged(self.path, "atoms or frames are missing")

    def _positions(self, table: pa.Table) -> FloatArray:
        precision = float(self.metadata["precision_angstrom"])
        try:
            axes = [_flat(table[axis]).reshape(len(table), -1) for axis in AXES]
            return np.stack(axes).transpose() * precision  # in memory still atom by atom, as in the file
        except ValueError as error:
            raise _damaged(self.path, error) from None

    def _of_frames(self, name: str) -> Any:
        groups = range(0, self._file.num_row_groups, self._groups)
        return np.concatenate([_flat(self._read(group, [name])[name]) for group in groups])

    def _read(self, group: int, columns: list[str] | None) -> pa.Table:
        try:
            return self._file.read_row_group(group, columns=columns)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(self.path, error) from None


def _flat(column: pa.ChunkedArray) -> Any:
    """All numbers of the lists of a column in a row; rows without a list have none."""
    return column.combine_chunks().flatten().to_numpy()
