"""What is selected, carved and labelled is what the potential did not know, and then knows."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

import mtpcore
from argyro.config.labels import GatesConfig
from argyro.config.learning import BoundaryConfig, CarvingConfig, ExplorationConfig, FitConfig, LearningConfig, Rung
from argyro.config.materials import Material
from argyro.config.structures import Boundary, DistanceLimits, SeedsConfig, StructuresConfig
from argyro.learning.boundary import training_cell
from argyro.learning.candidates import make_candidates
from argyro.learning.carve import CarvedCell, CarveRejectedError
from argyro.learning.explore import Start, explore
from argyro.learning.fitters import with_active_set
from argyro.learning.samplers import Sampler
from argyro.learning.selection import select_environments
from argyro.md.lammps import PotentialFile
from argyro.structures.bicrystal import build_bicrystal
from argyro.structures.bulk import build_bulk
from argyro.structures.seeds import build_seeds
from argyro.structures.validator import validate
from mtpcore.ase import MTP

ROOT = Path(__file__).parents[2]
MATERIAL = Material(id="Li6PS5Cl-50", formula="Li6PS5Cl", anion="Cl", exchange_percent=50)
SPECIES = MATERIAL.elements
LIMITS = DistanceLimits()
RUNG = Rung(level=6)
BOUNDARY = Boundary(name="S3-112", plane=(1, -1, 2), sigma=3)


def largest_force(atoms: Atoms, calculator: MTP) -> float:
    """On any atom, eV/angstrom."""
    copy = atoms.copy()
    copy.calc = calculator
    return float(np.linalg.norm(copy.get_forces(), axis=1).max())


@pytest.fixture(scope="module")
def training() -> list[Atoms]:
    """Bulk seeds."""
    settings = StructuresConfig(seeds=SeedsConfig(count=6))
    return build_seeds(MATERIAL, settings, seed=1)


@pytest.fixture(scope="module")
def potential(training: list[Atoms]) -> mtpcore.Potential:
    """Any parameters, with the active set of the seeds: grades do not need a fit."""
    bare = mtpcore.new_potential(6, len(SPECIES), min_dist=1.4, max_dist=5.0)
    parameters = np.random.default_rng(1).normal(scale=0.1, size=bare.parameter_count)
    return with_active_set(mtpcore.set_parameters(bare, parameters), training, SPECIES, "local")


@pytest.fixture(scope="module")
def bicrystal() -> Atoms:
    """What the seeds do not hold: a grain boundary, a little disordered."""
    atoms = build_bicrystal(MATERIAL, BOUNDARY, min_grain_angstrom=16, limits=LIMITS, seed=1)
    atoms.positions += 0.05 * np.random.default_rng(1).normal(size=(len(atoms), 3))
    atoms.info |= {
        "material": MATERIAL.id,
        "structure": "gb",
        "sampler": 0,
        "temperature_K": 600.0,
        "step": 0,
    }
    return atoms


def test_structures_that_are_known_are_not_selected(potential: mtpcore.Potential, training: list[Atoms]) -> None:
    found = select_environments(potential, training, training, SPECIES, rung=RUNG, mode="local")
    assert found.environments == []
    assert found.largest_grade == 0.0
    assert found.grades_before[-1] <= 1.001 + 1e-6


def test_boundary_is_selected_worst_environment_first(
    potential: mtpcore.Potential, training: list[Atoms], bicrystal: Atoms
) -> None:
    found = select_environments(potential, training, [training[0], bicrystal], SPECIES, rung=RUNG, mode="local")
    (grades,) = mtpcore.grade(potential, [bicrystal], species=SPECIES)
    chosen = [environment.grade for environment in found.environments]
    assert chosen == sorted(chosen, reverse=True)
    assert {environment.snapshot for environment in found.environments} == {1}
    assert all(grade > RUNG.select_grade for grade in chosen)
    assert [environment.grade for environment in found.environments] == pytest.approx(
        [grades[environment.atom] for environment in found.environments]
    )


def test_carved_cell_teaches_its_center(potential: mtpcore.Potential, training: list[Atoms], bicrystal: Atoms) -> None:
    """At unchanged parameters the center has a grade of at most 1 with the active set of seeds and carved cells."""
    found = select_environments(potential, training, [bicrystal], SPECIES, rung=RUNG, mode="local")
    cells, _ = make_candidates(
        found.environments,
        [bicrystal],
        materials={MATERIAL.id: MATERIAL},
        settings=LearningConfig(),
        limits=LIMITS,
        calculator=None,
        most=3,
    )
    assert len(cells) == 3
    for cell, environment in zip(cells, found.environments, strict=False):
        (before,) = mtpcore.grade(potential, [cell], species=SPECIES)
        assert before[cell.info["carve_center"]] == pytest.approx(cell.info["grade"], rel=1e-6)
        assert cell.info["grade"] == pytest.approx(environment.grade)
    taught = mtpcore.select_add(potential, training, cells, species=SPECIES).potential
    for cell, after in zip(cells, mtpcore.grade(taught, cells, species=SPECIES), strict=True):
        assert after[cell.info["carve_center"]] <= 1.001 + 1e-6


def test_global_mode_selects_whole_structures(training: list[Atoms], bicrystal: Atoms) -> None:
    bare = mtpcore.new_potential(6, len(SPECIES), min_dist=1.4, max_dist=5.0)
    parameters = np.random.default_rng(1).normal(scale=0.1, size=bare.parameter_count)
    graded = with_active_set(mtpcore.set_parameters(bare, parameters), training, SPECIES, "global")
    found = select_environments(graded, training, [bicrystal], SPECIES, rung=RUNG, mode="global")
    assert [(e.snapshot, e.atom) for e in found.environments] == [(0, -1)]
    cells, rejected = make_candidates(
        found.environments,
        [bicrystal],
        materials={},
        settings=LearningConfig(mode="global"),
        limits=LIMITS,
        calculator=None,
        most=5,
    )
    assert rejected == []
    assert (cells[0].positions == bicrystal.positions).all()
    assert cells[0].info["structure"] == "gb"


def test_run_into_the_unknown_ends_early_and_keeps_what_it_met(potential: mtpcore.Potential, tmp_path: Path) -> None:
    path = tmp_path / "potential.almtp"
    mtpcore.write_potential(path, potential)
    atoms = build_bulk(MATERIAL, (1, 1, 1), lithium_sites="48h", limits=LIMITS, seed=7)
    sampler = Sampler(3, "bulk", MATERIAL.id, 1500.0)
    ((record, snapshots),) = explore(
        [Start(sampler, atoms, tmp_path / "run", 1)],
        PotentialFile(path, tuple(SPECIES)),
        Rung(level=6, duration_ps=2.0),
        ExplorationConfig(max_snapshots=1, grade_every=2),
        mode="local",
        mobile="Li",
    )
    assert record.broke
    assert record.found > record.handed_on == len(snapshots) == 1
    assert all(snapshot.info["largest_grade"] > 1.4 for snapshot in snapshots)
    assert snapshots[0].info["sampler"] == 3
    assert snapshots[0].info["material"] == MATERIAL.id


def test_forces_in_carved_cells_pass_the_gate_of_labels(bicrystal: Atoms) -> None:
    """Parts of the core that meet across the faces, or boundary atoms left too close, feel hundreds of eV/angstrom."""
    teacher = MTP(ROOT / "config/reference/teacher/Cl-12.mtp", species=SPECIES)
    for center in range(0, len(bicrystal), 17):
        cell = training_cell(bicrystal, center, MATERIAL, CarvingConfig(), BoundaryConfig(), LIMITS)
        assert largest_force(cell.atoms, teacher) < GatesConfig().max_force_eV_per_angstrom


def neighbours(atoms: Atoms, cutoff: float) -> list[tuple[list[int], np.ndarray]]:
    """Of every atom: numbers of its neighbours' elements, and where they are from it, in an order of their own."""
    first, second, vectors = neighbor_list("ijD", atoms, cutoff)
    order = np.lexsort([*np.round(vectors.T, 6), first])
    parts = np.split(order, np.cumsum(np.bincount(first, minlength=len(atoms)))[:-1])
    return [(atoms.numbers[second[part]].tolist(), vectors[part]) for part in parts]


def too_close_by_carving(cell: CarvedCell, limits: DistanceLimits) -> int:
    """How many pairs are closer than the limits, but for those of the core that are as close in the source."""
    first, second, distance = neighbor_list("ijd", cell.atoms, 3.0)
    symbols, places = cell.atoms.get_chemical_symbols(), cell.atoms.positions
    allowed = [limits.between(symbols[i], symbols[j]) for i, j in zip(first, second, strict=True)]
    across = np.linalg.norm(places[first] - places[second], axis=1) > distance + 1e-6
    carved = ~cell.core[first] | ~cell.core[second] | across
    return int(((distance < np.array(allowed)) & carved).sum()) // 2


@pytest.mark.long
def test_every_atom_of_a_disordered_boundary_gives_a_sound_cell_or_a_reason() -> None:
    atoms = build_bicrystal(MATERIAL, BOUNDARY, min_grain_angstrom=40, limits=LIMITS, seed=2)
    rng = np.random.default_rng(2)
    atoms.positions += 0.1 * rng.normal(size=(len(atoms), 3))
    in_source, settings = neighbours(atoms, FitConfig().max_dist_angstrom), BoundaryConfig()
    teacher = MTP(ROOT / "config/reference/teacher/Cl-12.mtp", species=SPECIES)
    reasons = []
    for center in rng.choice(len(atoms), 500, replace=False):
        try:
            cell = training_cell(atoms, int(center), MATERIAL, CarvingConfig(), settings, LIMITS, teacher)
        except CarveRejectedError as error:
            reasons.append(error.reason)
            continue
        report = validate(cell.atoms, MATERIAL, LIMITS)
        assert report.formula_units == cell.formula_units
        assert report.charge == 0
        assert report.rigid_units["PS4"]["broken"] <= cell.broken_units
        assert too_close_by_carving(cell, LIMITS.scaled(settings.limits_factor)) == 0
        assert min(d for d in report.smallest_distances_angstrom.values() if d is not None) >= 1.6
        elements, places = neighbours(cell.atoms, FitConfig().max_dist_angstrom)[cell.center]
        assert elements == in_source[center][0]
        np.testing.assert_allclose(places, in_source[center][1], rtol=0, atol=1e-12)
    assert len(reasons) < 0.1 * 500, reasons


def test_potential_settles_boundaries_without_touching_the_core(
    potential: mtpcore.Potential, bicrystal: Atoms, tmp_path: Path
) -> None:
    path = tmp_path / "potential.almtp"
    mtpcore.write_potential(path, potential)
    plain = training_cell(bicrystal, 10, MATERIAL, CarvingConfig(), BoundaryConfig(), LIMITS)
    calculator = MTP(path, species=SPECIES)
    settled = training_cell(bicrystal, 10, MATERIAL, CarvingConfig(), BoundaryConfig(), LIMITS, calculator)
    assert settled.edge == plain.edge
    assert (settled.atoms.positions[settled.core] == plain.atoms.positions[plain.core]).all()
    plain.atoms.calc = settled.atoms.calc = calculator
    assert settled.atoms.get_potential_energy() <= plain.atoms.get_potential_energy() + 1e-9
