"""Checks of a run find broken units, drifts and melting, and nothing where there is none."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from ase import Atoms
from scipy.spatial.transform import Rotation

from argyro.config.materials import RigidUnit
from argyro.md.checks import (
    Bonds,
    Break,
    block_mean,
    bond_lengths,
    energy_drift,
    find_bonds,
    find_breaks,
    first_frame,
    framework_displacements,
)
from argyro.md.trajectory import Frames, Trajectory, join_trajectories, write_trajectory

type FloatArray = npt.NDArray[np.float64]

PS4 = RigidUnit()
EDGE = 9.0
CORNERS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 2.05 / np.sqrt(3)
ELEMENTS = [*["P", "S", "S", "S", "S"] * 2, "S", "Li"]  # two units, a free sulfur, a mobile ion


def structure() -> Atoms:
    """One unit sits on a corner of the cell, so that its bonds cross the boundary."""
    centers = np.array([[0.0, 0.0, 0.0], [4.5, 4.5, 4.5]])
    units = [np.vstack([center, center + CORNERS]) for center in centers]
    atoms = Atoms(ELEMENTS, np.vstack([*units, [[4.5, 4.5, 0.0], [2.0, 6.5, 0.0]]]), cell=[EDGE] * 3, pbc=True)
    atoms.wrap()
    return atoms


def store(path: Path, positions: FloatArray, framework: FloatArray | None = None, spans: int = 1) -> Trajectory:
    """Frames a picosecond apart, in a number of blocks of time."""
    parts = []
    for k, steps in enumerate(np.array_split(np.arange(len(positions)), spans)):
        drift = np.zeros((len(steps), 3)) if framework is None else framework[steps]
        frames = Frames(500 * steps, positions[steps], np.array([np.eye(3) * EDGE] * len(steps)), drift)
        parts.append(path / f"{k}.parquet")
        metadata = {"timestep_ps": 0.002, "elements": ELEMENTS}
        write_trajectory(parts[-1], frames, np.arange(len(ELEMENTS)), metadata)
    join_trajectories(path / "joined.parquet", parts)
    return Trajectory(path / "joined.parquet")


def breaks(trajectory: Trajectory, patience: int = 3) -> list[Break]:
    return find_breaks(trajectory, [find_bonds(first_frame(trajectory), PS4)], patience)


def resting(frames: int = 30) -> FloatArray:
    return np.repeat(structure().positions[None], frames, axis=0)


def test_bonds_are_found_across_the_boundary_and_the_free_sulfur_has_none() -> None:
    atoms = structure()
    bonds = find_bonds(atoms, PS4)
    assert bonds.centers.tolist() == [0, 0, 0, 0, 5, 5, 5, 5]
    assert bonds.ligands.tolist() == [1, 2, 3, 4, 6, 7, 8, 9]
    assert bonds.incomplete == []
    frames = Frames(np.array([0]), atoms.positions[None], atoms.cell.array[None], np.zeros((1, 3)))
    np.testing.assert_allclose(bond_lengths(frames, bonds), 2.05)


@pytest.mark.parametrize("change", ["missing", "fifth"])
def test_unit_that_is_not_whole_at_the_start_is_named(change: str) -> None:
    atoms = structure()
    atoms.positions[10 if change == "fifth" else 7] = atoms.positions[5] + (
        [0, 0, 2.2] if change == "fifth" else [4, 0, 0]
    )
    assert find_bonds(atoms, PS4).incomplete == [5]


def test_units_that_vibrate_turn_and_wander_are_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    positions = resting(60)
    for k in range(60):
        turn = Rotation.from_rotvec([0.1 * k, 0.2 * k, 0]).as_matrix()
        for first in (0, 5):
            positions[k, first + 1 : first + 5] += CORNERS @ turn - CORNERS
        positions[k] += 0.4 * k + rng.normal(scale=0.05, size=(12, 3))
    assert breaks(store(tmp_path, positions, spans=4)) == []


@pytest.mark.parametrize("spans", [1, 5])
@pytest.mark.parametrize("frames", [3, 4, 9])
def test_bond_is_broken_if_it_is_too_long_for_more_than_three_frames(tmp_path: Path, frames: int, spans: int) -> None:
    positions = resting()
    positions[10 : 10 + frames, 8] += 0.4 * CORNERS[2]
    positions[2, 3] += 9 * CORNERS[2]
    found = breaks(store(tmp_path, positions, spans=spans))
    assert found == ([Break(10.0, 5, 8, "PS4")] if frames > 3 else [])


def test_every_bond_breaks_once_and_breaks_are_in_the_order_of_time(tmp_path: Path) -> None:
    positions = resting()
    positions[12:, 2] += 3 * CORNERS[1]
    positions[5:10, 9] += 3 * CORNERS[3]
    positions[15:, 9] += 3 * CORNERS[3]
    assert [(each.time_ps, each.ligand) for each in breaks(store(tmp_path, positions))] == [(5.0, 9), (12.0, 2)]


def test_common_drift_is_no_displacement(tmp_path: Path) -> None:
    drift = np.arange(30)[:, None] * [0.3, -0.1, 0.2]
    trajectory = store(tmp_path, resting() + drift[:, None], drift)
    found = framework_displacements(trajectory, [find_bonds(first_frame(trajectory), PS4)], "Li")
    assert set(found) == {"P", "S", "S (PS4)"}
    assert max(found.values()) < 1e-7


def test_displacement_over_half_the_run_is_a_mean_over_all_starts(tmp_path: Path) -> None:
    positions = resting(201)
    positions[:, [0, 5]] += np.random.default_rng(3).normal(scale=0.5, size=(201, 2, 3)).cumsum(axis=0)
    trajectory = store(tmp_path, positions, spans=3)
    found = framework_displacements(trajectory, [find_bonds(first_frame(trajectory), PS4)], "Li")
    moved = [positions[k + 100, p] - positions[k, p] for k in range(101) for p in (0, 5)]
    assert found["P"] == pytest.approx(np.mean([np.dot(each, each) for each in moved]), rel=1e-4)
    assert found["S"] == found["S (PS4)"] == 0


def test_too_short_a_run_has_no_displacements(tmp_path: Path) -> None:
    assert framework_displacements(store(tmp_path, resting(1)), [], "Li") == {}


def test_no_rigid_units_is_no_break(tmp_path: Path) -> None:
    assert find_breaks(store(tmp_path, resting()), [], 3) == []
    none = find_bonds(Atoms("LiCl", cell=[5] * 3, pbc=True), PS4)
    assert isinstance(none, Bonds)
    assert len(none.centers) == 0


def test_drift_of_the_conserved_energy_is_its_slope() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(0, 200, 0.1)
    energies = -3000 + 0.1 * times / 1000 + rng.normal(scale=1e-3, size=len(times))
    found = energy_drift(pd.DataFrame({"time_ps": times, "conserved_energy_eV": energies}), 50)
    assert found.value == pytest.approx(2.0, abs=4 * found.error)  # 100 meV per ns, of 50 atoms
    assert 0 < found.error < 0.1
    assert np.isnan(energy_drift(pd.DataFrame({"time_ps": [0.0], "conserved_energy_eV": [1.0]}), 50).value)


def test_error_of_a_mean_knows_of_correlation() -> None:
    """Series whose values remember the last twenty: the true error of the mean is known from many of them."""
    rng = np.random.default_rng(0)
    series = rng.normal(size=(300, 2020))
    smooth = np.array([np.convolve(row, np.ones(21) / 21, mode="valid") for row in series])
    found = [block_mean(row) for row in smooth]
    true = np.std([each.value for each in found])
    assert np.mean([each.error for each in found]) == pytest.approx(true, rel=0.1)
    assert np.isnan(block_mean(smooth[0][:5]).error)
