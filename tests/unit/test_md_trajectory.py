"""Trajectories keep every position to half their precision, and damage to a file is found."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argyro.common.errors import FileError
from argyro.common.files import sha256_of_file
from argyro.md.dump import read_dump
from argyro.md.trajectory import ATOMS_PER_GROUP, Frames, Trajectory, join_trajectories, write_trajectory

METADATA = {"timestep_ps": 0.002, "elements": ["Li"]}


def walk(frames: int, atoms: int, *, seed: int = 0, start: int = 0) -> Frames:
    rng = np.random.default_rng(seed)
    return Frames(
        steps=start + 50 * np.arange(frames),
        positions=rng.uniform(-50, 50, (atoms, 3)) + rng.normal(scale=0.2, size=(frames, atoms, 3)).cumsum(axis=0),
        cells=rng.uniform(9, 11, (frames, 3, 3)),
        framework=rng.normal(size=(frames, 3)),
    )


def store(path: Path, frames: Frames) -> Trajectory:
    write_trajectory(path, frames, 3 * np.arange(frames.positions.shape[1]), METADATA)
    return Trajectory(path)


@pytest.mark.parametrize("atoms", [1, ATOMS_PER_GROUP, ATOMS_PER_GROUP + 1, 2500])
def test_positions_are_kept_to_half_the_precision_and_all_else_exactly(tmp_path: Path, atoms: int) -> None:
    frames = walk(7, atoms)
    trajectory = store(tmp_path / "a.parquet", frames)
    assert np.abs(trajectory.positions() - frames.positions).max() <= 0.5e-4 * (1 + 1e-9)
    for name in ("steps", "cells", "framework"):
        assert (getattr(trajectory, name) == getattr(frames, name)).all()
    assert trajectory.atoms.tolist() == list(range(0, 3 * atoms, 3))
    np.testing.assert_allclose(trajectory.times, 0.1 * np.arange(7))
    assert trajectory.metadata["elements"] == ["Li"]


def test_joined_parts_are_one_trajectory(tmp_path: Path) -> None:
    parts = [walk(n, 1500, seed=n, start=1000 * n) for n in (5, 1, 3)]
    paths = [tmp_path / f"{k}.parquet" for k in range(3)]
    stored = [store(path, frames) for path, frames in zip(paths, parts, strict=True)]
    join_trajectories(tmp_path / "joined.parquet", paths)
    joined = Trajectory(tmp_path / "joined.parquet")
    joined.verify()
    assert (joined.positions() == np.concatenate([part.positions() for part in stored])).all()
    assert (joined.steps == np.concatenate([part.steps for part in parts])).all()
    assert (joined.framework == np.concatenate([part.framework for part in parts])).all()
    assert (joined.cells == np.concatenate([part.cells for part in parts])).all()
    assert joined.atoms.tolist() == stored[0].atoms.tolist()
    for span, part, frames in zip(joined.spans(), stored, parts, strict=True):
        assert (span.positions == part.positions()).all()
        assert (span.steps == frames.steps).all()
        assert (span.framework == frames.framework).all()


def test_blocks_cover_every_atom_once(tmp_path: Path) -> None:
    trajectory = store(tmp_path / "a.parquet", walk(4, 2500))
    blocks = list(trajectory.blocks())
    assert [len(atoms) for atoms, _ in blocks] == [1024, 1024, 452]
    assert all(positions.shape == (4, len(atoms), 3) for atoms, positions in blocks)
    assert np.concatenate([atoms for atoms, _ in blocks]).tolist() == trajectory.atoms.tolist()


def test_file_takes_less_than_a_third_of_the_numbers_in_double_precision(tmp_path: Path) -> None:
    frames = walk(200, 1000)
    store(tmp_path / "a.parquet", frames)
    assert (tmp_path / "a.parquet").stat().st_size < frames.positions.nbytes / 3


@settings(deadline=None, max_examples=60)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_wrong_bit_is_found(tmp_path_factory: pytest.TempPathFactory, place: float, bit: int) -> None:
    path = tmp_path_factory.mktemp("damaged") / "a.parquet"
    whole = store(path, walk(20, 50)).positions()
    digest = sha256_of_file(path)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(FileError):
        Trajectory(path, digest)
    try:
        trajectory = Trajectory(path)
        trajectory.verify()
    except FileError:
        return
    # The little that no checksum within the file covers changes no number
    assert (trajectory.positions() == whole).all()


@pytest.mark.parametrize("part", [0.0, 0.3, 0.99, 0.9999])
def test_truncated_file_is_refused(tmp_path: Path, part: float) -> None:
    path = tmp_path / "a.parquet"
    store(path, walk(20, 50))
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(FileError, match="delete it"):
        Trajectory(path)


def test_missing_file_and_other_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        Trajectory(tmp_path / "a.parquet")
    frame = pytest.importorskip("pandas").DataFrame({"a": [1]})
    frame.to_parquet(tmp_path / "b.parquet")
    with pytest.raises(FileError, match="not a trajectory"):
        Trajectory(tmp_path / "b.parquet")


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e5])
def test_positions_that_cannot_be_stored_are_refused(tmp_path: Path, value: float) -> None:
    frames = walk(3, 2)
    frames.positions[1, 1, 2] = value
    with pytest.raises(FileError, match="cannot be stored"):
        store(tmp_path / "a.parquet", frames)
    assert list(tmp_path.iterdir()) == []


def test_dump_cut_off_within_a_frame_gives_the_frames_before(tmp_path: Path) -> None:
    """Bytes as LAMMPS's manual and its tool binary2txt describe them."""
    path = tmp_path / "a.bin"
    frame = struct.pack("<q10sii", -10, b"DUMPCUSTOM", 1, 2) + struct.pack("<qqi6i", 5, 2, 1, *[0] * 6)
    frame += struct.pack("<9d", -1.0, 12.0, 0.0, 10.0, 0.0, 9.0, 2.0, -1.0, 0.0)
    frame += struct.pack("<ii5sbi8s", 3, 5, b"metal", 0, 8, b"xu yu zu")
    frame += struct.pack("<i", 2) + (struct.pack("<i3d", 3, 1.0, 2.0, 3.0) + struct.pack("<i3d", 3, 4.0, 5.0, 6.0))
    path.write_bytes(frame + frame[:-4])
    (only,) = read_dump(path)
    assert only.step == 5
    assert only.columns.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert only.cell.tolist() == [[10, 0, 0], [2, 10, 0], [-1, 0, 9]]
    path.write_bytes(b"something else" * 10)
    with pytest.raises(FileError, match="not a binary dump"):
        list(read_dump(path))
