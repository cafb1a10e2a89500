"""Boundaries relaxed by a potential cost energy, keep their chemistry, and are where structure says they are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from argyro.config.dynamics import RelaxationConfig
from argyro.config.materials import Material
from argyro.config.structures import Boundary, DistanceLimits
from argyro.dynamics import relaxation
from argyro.dynamics.boundaries import boundary_row, excess, flagged, mean_of
from argyro.dynamics.environment import environment_of, lattice_of
from argyro.dynamics.relaxation import Relaxation, relax_structure, without_drift
from argyro.md.lammps import BurstError, PotentialFile
from argyro.microstructure.generate import draw_microstructure
from argyro.structures.bicrystal import bicrystal_microstructure, build_bicrystal
from argyro.structures.bulk import build_bulk
from argyro.structures.polycrystal import build_polycrystal
from argyro.structures.validator import validate

TEACHER = PotentialFile(Path(__file__).parents[2] / "config/reference/teacher/Cl-12.mtp", ("Li", "P", "S", "Cl"))
CHLORIDE = Material(id="Li6PS5Cl", formula="Li6PS5Cl", anion="Cl")
LIMITS = DistanceLimits()
SIGMA3 = Boundary(name="S3", plane=(1, -1, 2), sigma=3)
QUICK = RelaxationConfig(replicas=2, warm_ps=0.2, anneal_ps=0.5, cool_ps=1.0)


def bulk(supercell: tuple[int, int, int] = (1, 1, 1)) -> Atoms:
    return build_bulk(CHLORIDE, supercell, lithium_sites="48h", limits=LIMITS, seed=1)


def bicrystal(thickness: float) -> Atoms:
    return build_bicrystal(CHLORIDE, SIGMA3, min_grain_angstrom=thickness, limits=LIMITS, seed=1)


def relaxed(atoms: Atoms, folder: Path, seed: int = 1, settings: RelaxationConfig = QUICK) -> Relaxation:
    return relax_structure(atoms, CHLORIDE, TEACHER, settings, folder, timestep_ps=0.002, seed=seed)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Relaxation:
    """A small bicrystal at its minimum."""
    return relaxed(bicrystal(12.0), tmp_path_factory.mktemp("bicrystal"))


@pytest.fixture(scope="module")
def bulk_found(tmp_path_factory: pytest.TempPathFactory) -> Relaxation:
    """Bulk at its minimum."""
    return relaxed(bulk(), tmp_path_factory.mktemp("bulk"))


def test_relaxed_bicrystal_is_at_a_minimum_and_keeps_its_chemistry(found: Relaxation) -> None:
    assert found.converged
    assert found.largest_force_eV_per_angstrom <= QUICK.force_tolerance_eV_per_angstrom
    assert found.broken_units == 0
    assert validate(found.atoms, CHLORIDE, LIMITS.scaled(0.8)).ok


def test_only_the_normal_of_a_bicrystal_relaxes(found: Relaxation) -> None:
    built = bicrystal(12.0)
    np.testing.assert_allclose(found.atoms.cell.array[:2], built.cell.array[:2], atol=1e-9)
    np.testing.assert_allclose(found.atoms.cell.array[2, :2], 0.0, atol=1e-9)
    assert found.atoms.cell.array[2, 2] != pytest.approx(built.cell.array[2, 2], rel=1e-3)


def test_boundary_costs_energy_and_volume_of_a_known_size(found: Relaxation, bulk_found: Relaxation) -> None:
    """Published energies of [110] tilt boundaries: 3.5 to 23 meV/angstrom^2 (Ou et al., 2026); here short anneals."""
    records = [found.as_dict() | {"structure": "bicrystal"}]
    reference = [bulk_found.as_dict() | {"structure": "bulk"}]
    cell = found.atoms.cell.array
    area = 2 * float(np.linalg.norm(np.cross(cell[0], cell[1])))
    row = boundary_row(bicrystal(12.0), records, reference, CHLORIDE, area)
    assert 2 < row["energy_meV_per_angstrom2"] < 40
    assert row["energy_J_per_m2"] == pytest.approx(row["energy_meV_per_angstrom2"] * 0.01602177, rel=1e-6)
    assert -0.5 < row["excess_volume_angstrom"] < 2
    assert row["formula_units"] * 13 == row["atoms"]
    assert not row["resolved"], "one relaxation tells no error"
    assert np.isnan(row["energy_meV_per_angstrom2_lo68"])


def test_killed_relaxation_goes_on_and_ends_the_same(found: Relaxation, tmp_path: Path) -> None:
    again = relaxed(bicrystal(12.0), tmp_path)
    (tmp_path / "cool/run.json").unlink()
    resumed = relaxed(bicrystal(12.0), tmp_path)
    assert again.energy_eV == resumed.energy_eV == found.energy_eV
    np.testing.assert_array_equal(resumed.atoms.positions, found.atoms.positions)


def test_structure_that_flies_apart_is_reported_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def burst(*_: Any, **__: Any) -> None:
        raise BurstError("atoms were lost")

    monkeypatch.setattr(relaxation, "relax", burst)
    result = relaxed(bulk(), tmp_path)
    assert (result.energy_eV, result.converged, result.message) == (None, False, "atoms were lost")


def test_perfect_crystal_is_nowhere_a_boundary() -> None:
    lattice = lattice_of(bulk((2, 2, 2)), CHLORIDE)
    assert lattice.center == "P"
    assert lattice.spacing == pytest.approx(CHLORIDE.cubic_lattice_constant / np.sqrt(2))
    assert [len(shell) for shell in lattice.shells] == [12]
    environment = environment_of(bulk((3, 2, 2)), lattice, [np.eye(3)])
    assert environment.match.min() == 1.0
    assert not environment.is_boundary.any()


def test_turned_crystal_is_told_from_an_unturned_one() -> None:
    lattice = lattice_of(bulk((2, 2, 2)), CHLORIDE)
    turn = np.array([[np.cos(0.5), -np.sin(0.5), 0], [np.sin(0.5), np.cos(0.5), 0], [0, 0, 1]])
    atoms = bulk((2, 2, 2))
    atoms.set_cell(atoms.cell.array @ turn.T, scale_atoms=True)
    assert environment_of(atoms, lattice, [np.eye(3)]).is_boundary.all()
    environment = environment_of(atoms, lattice, [np.eye(3), turn])
    assert not environment.is_boundary.any()
    assert set(environment.grain) == {1}


def test_structure_finds_the_boundaries_where_they_were_built() -> None:
    atoms = bicrystal(36.0)
    marked, microstructure = flagged(
        atoms, bicrystal_microstructure(atoms, "S3", 1), lattice_of(bulk((2, 2, 2)), CHLORIDE), 10.0
    )
    distance, boundary = marked.arrays["boundary_distance_angstrom"], marked.arrays["is_boundary_by_structure"]
    assert distance[boundary].max() < 8.0
    assert boundary[distance < 2.0].mean() > 0.8
    grain = marked.arrays["lattice_grain"] == marked.arrays["grain"]
    assert grain[distance > 8.0].all()
    np.testing.assert_array_equal(marked.arrays["is_boundary"], distance <= 5.0)
    np.testing.assert_allclose(distance, atoms.arrays["boundary_distance_angstrom"], atol=1e-6)
    assert microstructure.grains == 2


def test_flags_follow_the_cell_as_it_relaxes(found: Relaxation) -> None:
    """The planes stay in the gaps between the phosphorus layers of the two grains."""
    microstructure = bicrystal_microstructure(bicrystal(12.0), "S3", 1)
    marked, now = flagged(found.atoms, microstructure, lattice_of(bulk((2, 2, 2)), CHLORIDE), 5.0)
    assert now.cell[2, 2] == found.atoms.cell.array[2, 2]
    phosphorus = marked[marked.symbols == "P"]
    assert phosphorus.arrays["boundary_distance_angstrom"].min() > 0.5
    assert (marked.arrays["grain"][marked.symbols == "P"] == 0).sum() * 2 == (marked.symbols == "P").sum()


def test_grains_of_a_polycrystal_are_recognised() -> None:
    microstructure = draw_microstructure("two", np.eye(3) * 45.0, 2, seed=3)
    atoms = build_polycrystal(CHLORIDE, microstructure, limits=LIMITS, seed=1)
    marked, _ = flagged(atoms, microstructure, lattice_of(bulk((2, 2, 2)), CHLORIDE), 10.0)
    inside = ~marked.arrays["is_boundary_by_structure"] & (marked.symbols == "P")
    assert (marked.arrays["lattice_grain"] == marked.arrays["grain"])[inside].all()
    assert marked.arrays["boundary_distance_angstrom"][inside].min() > 1.0
    assert inside.any()


def test_drift_is_taken_away_and_lithium_does_not_count() -> None:
    start = bulk()
    moved = start.copy()
    moved.positions += [0.7, -0.2, 0.1]
    moved.positions[moved.symbols == "Li"] += [1.0, 0.0, 0.0]
    moved.set_cell(moved.cell.array * [[1], [1], [0.98]], scale_atoms=True)
    settled = without_drift(moved, start, "Li")
    framework = ~(start.symbols == "Li")
    np.testing.assert_allclose(
        settled.get_scaled_positions(wrap=False)[framework],
        start.get_scaled_positions(wrap=False)[framework],
        atol=1e-12,
    )


def test_bulk_has_no_excess() -> None:
    assert excess([-480.0], [-48.0], 10, 100.0).value == 0.0


@pytest.mark.parametrize(("cells", "bulks"), [(3, 3), (5, 5), (2, 6), (8, 2)])
def test_interval_of_a_boundary_energy_covers_the_truth_as_often_as_it_says(cells: int, bulks: int) -> None:
    """With noise of both: Welch's approximation loses three points where one of the two has two values only."""
    rng = np.random.default_rng(cells * 10 + bulks)
    truth, units, area, hits = 0.012, 24, 240.0, 0
    for _ in range(4000):
        x = -50 + rng.normal(scale=0.01, size=bulks)
        cell = -50 * units + truth * area + rng.normal(scale=0.3, size=cells)
        low, high = excess(list(cell), list(x), units, area).interval(0.95)
        hits += low < truth < high
    assert hits / 4000 == pytest.approx(0.95 if min(cells, bulks) > 2 else 0.92, abs=0.02)


def test_one_value_has_no_interval() -> None:
    assert np.isnan(mean_of([1.0]).interval(0.68)).all()
