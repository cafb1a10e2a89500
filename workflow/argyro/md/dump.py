"""LAMMPS's binary dump files."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from argyro.common.errors import FileError

type FloatArray = npt.NDArray[np.float64]

MAGIC = b"DUMPCUSTOM"


class DumpFrame(NamedTuple):
    """One frame, M atoms.

    Attributes:
        step: Of the run.
        cell: Cell vectors as rows in LAMMPS's orientation, shape (3, 3), angstrom.
        columns: The columns dumped, shape (M, number of columns).
    """

    step: int
    cell: FloatArray
    columns: FloatArray


def read_dump(path: Path) -> Iterator[DumpFrame]:
    """Frames of a dump that LAMMPS wrote with ``custom`` to a file named ``*.bin``.

    A file that ends within a frame gives the frames before: LAMMPS was stopped while it wrote.

    Raises:
        FileError: not such a file.
    """
    with path.open("rb") as file:
        while True:
            try:
                yield _read_frame(file, path)
            except EOFError:
                return


def append_frame(path: Path, frame: DumpFrame) -> None:
    """Append a frame to a dump, as LAMMPS would.

    Args:
        path: The file, which may not be there yet.
        frame: Its cell is lower triangular.
    """
    cell = frame.cell
    xy, xz, yz = cell[1, 0], cell[2, 0], cell[2, 1]
    low, high = min(0.0, xy, xz, xy + xz), max(0.0, xy, xz, xy + xz)
    bounds = (low, cell[0, 0] + high, min(0.0, yz), cell[1, 1] + max(0.0, yz), 0.0, cell[2, 2])
    count, width = frame.columns.shape
    head = struct.pack("<q10siiqqi", -len(MAGIC), MAGIC, 1, 2, frame.step, count, 1)
    head += struct.pack("<6i6d3d", *(0,) * 6, *bounds, xy, xz, yz)
    head += struct.pack("<iibii", width, 0, 0, 0, 1) + struct.pack("<i", frame.columns.size)
    with path.open("ab") as file:
        file.write(head + frame.columns.astype("<f8").tobytes())


def _read_frame(file: BinaryIO, path: Path) -> DumpFrame:
    """Layout: DumpCustom::header_binary and Dump::write of LAMMPS, revision 2."""
    (marker,) = _unpack(file, "<q")
    if -marker != len(MAGIC) or _read(file, len(MAGIC)) != MAGIC:
        raise FileError(f"{path} is not a binary dump of LAMMPS")
    _endian, _revision, step, _atoms, triclinic = _unpack(file, "<iiqqi")
    _unpack(file, "<6i")  # boundary conditions
    bounds = _unpack(file, "<6d")
    tilts = _unpack(file, "<3d") if triclinic else (0.0, 0.0, 0.0)
    (width,) = _unpack(file, "<i")
    _read(file, _unpack(file, "<i")[0])  # name of the units, in the first frame
    if _unpack(file, "<b")[0]:
        _unpack(file, "<d")  # the time, if asked for
    _read(file, _unpack(file, "<i")[0])  # names of the columns
    chunks = []
    for _ in range(_unpack(file, "<i")[0]):
        count = _unpack(file, "<i")[0]
        chunks.append(np.frombuffer(_read(file, 8 * count), dtype="<f8"))
    return DumpFrame(step, _cell(bounds, tilts), np.concatenate(chunks).reshape(-1, width))


def _cell(bounds: tuple[float, ...], tilts: tuple[float, ...]) -> FloatArray:
    """Cell vectors from the box that encloses the cell (LAMMPS manual, Howto_triclinic)."""
    xlo, xhi, ylo, yhi, zlo, zhi = bounds
    xy, xz, yz = tilts
    x = xhi - max(0.0, xy, xz, xy + xz) - (xlo - min(0.0, xy, xz, xy + xz))
    y = yhi - max(0.0, yz) - (ylo - min(0.0, yz))
    return np.array([[x, 0.0, 0.0], [xy, y, 0.0], [xz, yz, zhi - zlo]])


def _unpack(file: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, _read(file, struct.calcsize(layout)))


def _read(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data
