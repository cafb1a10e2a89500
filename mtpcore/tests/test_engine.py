"""The native engine: against finite differences, symmetries, motep and the reference engine."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers import (
    LI6PS5CL_NUMBERS,
    Structure,
    li6ps5cl_cell,
    random_cell,
    random_potential_fields,
    to_atoms,
    to_motep,
    to_structure,
)
from motep.calculator import make_mtp_engine
from native import (
    CELLS,
    TRICLINIC,
    cell_of_kind,
    moved,
    native_potential,
    numerical_forces,
    numerical_virial,
    random_native,
    with_random_active_set,
)
from scipy.spatial.transform import Rotation

from mtpcore import Engine, reference

type FloatArray = npt.NDArray[np.float64]

LEVELS = tuple(range(2, 21, 2))
CASES = [
    pytest.param(level, 1 + (level // 2 + number) % 4, kind, id=f"{level}-{kind}")
    for level in LEVELS
    for number, kind in enumerate(CELLS)
]
OPEN = (False, False, False)


def assert_close(found: Any, expected: Any, tolerance: float) -> None:
    """Equal within a fraction of the largest entry."""
    scale = np.abs(expected).max()
    assert np.abs(np.asarray(found) - expected).max() <= tolerance * scale


# ------------------------------------------------------------------ derivatives of the energy


@pytest.mark.parametrize(("level", "species_count", "kind"), CASES)
def test_forces_are_minus_the_energy_gradient(level: int, species_count: int, kind: str) -> None:
    engine = Engine(random_native(level, species_count, seed=level))
    structure = cell_of_kind(kind, species_count, seed=level)
    assert_close(engine.evaluate(*structure).forces, numerical_forces(engine, structure), 1e-7)


@pytest.mark.parametrize(("level", "species_count", "kind"), CASES)
def test_virial_is_minus_the_strain_derivative(level: int, species_count: int, kind: str) -> None:
    engine = Engine(random_native(level, species_count, seed=level))
    structure = cell_of_kind(kind, species_count, seed=level)
    virial = engine.evaluate(*structure).virial
    assert_close(virial, numerical_virial(engine, structure), 1e-7)
    assert_close(virial, virial.T, 1e-12)


def test_energy_is_the_sum_of_the_site_energies() -> None:
    result = Engine(random_native(12, 3)).evaluate(*random_cell(9, 3, seed=1))
    assert result.energy == pytest.approx(result.site_energies.sum(), rel=1e-14)


# ------------------------------------------------------------------ independent engines


@pytest.mark.parametrize(("level", "species_count", "kind"), CASES)
def test_results_are_those_of_motep_component_by_component(level: int, species_count: int, kind: str) -> None:
    fields = random_potential_fields(level, species_count, seed=level + 100)
    structure = cell_of_kind(kind, species_count, seed=level + 100)
    numbers = LI6PS5CL_NUMBERS[:species_count]
    oracle = make_mtp_engine("cext")(to_motep(fields, numbers), mode="run")
    expected = oracle.calculate(to_atoms(structure, numbers))
    result = Engine(native_potential(fields)).evaluate(*structure)
    stress = -result.virial.ravel()[[0, 4, 8, 5, 2, 1]] / abs(np.linalg.det(structure.cell))
    pairs = {
        "energies": result.site_energies,
        "forces": result.forces,
        "stress": stress,
    }
    if not all(structure.pbc):
        del pairs["stress"]  # no volume, hence no stress
    for name, found in pairs.items():
        # A component that happens to cancel holds the rounding errors of its summands.
        rounding = 1e-13 * np.abs(expected[name]).max()
        np.testing.assert_allclose(found, expected[name], rtol=1e-9, atol=rounding, err_msg=name)
    assert result.energy == pytest.approx(expected["energy"], rel=1e-9)


@pytest.mark.parametrize(
    ("level", "species_count"),
    [(2, 1), (8, 4), (16, 4), (22, 2), pytest.param(28, 2, marks=pytest.mark.long)],
)
def test_results_are_those_of_the_reference_engine(level: int, species_count: int) -> None:
    fields = random_potential_fields(level, species_count, seed=level)
    structure = cell_of_kind(TRICLINIC, species_count, seed=level)
    result = Engine(native_potential(fields)).evaluate(*structure)
    expected = reference.evaluate(SimpleNamespace(**fields), *structure)
    assert_close(result.site_energies, expected.site_energies, 1e-11)
    assert_close(result.forces, expected.forces, 1e-11)
    assert_close(result.virial, expected.virial, 1e-11)


def test_more_species_than_a_vector_holds_agree_with_the_reference() -> None:
    fields = random_potential_fields(8, 11, seed=1)
    structure = random_cell(22, 11, seed=1)
    result = Engine(native_potential(fields)).evaluate(*structure)
    expected = reference.evaluate(SimpleNamespace(**fields), *structure)
    assert_close(result.forces, expected.forces, 1e-11)


@pytest.mark.parametrize("radial_basis_size", [2, 5, 12])
def test_other_numbers_of_radial_polynomials_agree_with_the_reference(
    radial_basis_size: int,
) -> None:
    fields = random_potential_fields(10, 2, seed=1, radial_basis_size=radial_basis_size)
    structure = cell_of_kind(TRICLINIC, 2, seed=1)
    result = Engine(native_potential(fields)).evaluate(*structure)
    expected = reference.evaluate(SimpleNamespace(**fields), *structure)
    assert_close(result.forces, expected.forces, 1e-11)


# ------------------------------------------------------------------ symmetries


def test_rotation_turns_forces_and_virial_and_keeps_the_energy() -> None:
    engine = Engine(random_native(16, 3))
    structure = random_cell(8, 3, seed=2)
    turn: FloatArray = Rotation.random(rng=1).as_matrix()
    turned = structure._replace(positions=structure.positions @ turn.T, cell=structure.cell @ turn.T)
    before, after = engine.evaluate(*structure), engine.evaluate(*turned)
    assert_close(after.site_energies, before.site_energies, 1e-12)
    assert_close(after.forces, before.forces @ turn.T, 1e-11)
    assert_close(after.virial, turn @ before.virial @ turn.T, 1e-11)


def test_inversion_flips_the_forces_and_keeps_the_energy() -> None:
    engine = Engine(random_native(16, 3))
    structure = random_cell(8, 3, seed=2)
    mirrored = structure._replace(positions=-structure.positions)
    before, after = engine.evaluate(*structure), engine.evaluate(*mirrored)
    assert after.energy == pytest.approx(before.energy, rel=1e-12)
    assert_close(after.forces, -before.forces, 1e-11)


def test_permuted_atoms_have_permuted_results() -> None:
    engine = Engine(random_native(16, 3))
    structure = random_cell(20, 3, seed=3)
    order = np.random.default_rng(0).permutation(20)
    permuted = structure._replace(types=structure.types[order], positions=structure.positions[order])
    before, after = engine.evaluate(*structure), engine.evaluate(*permuted)
    assert_close(after.site_energies, before.site_energies[order], 1e-12)
    assert_close(after.forces, before.forces[order], 1e-11)


@pytest.mark.parametrize("kind", CELLS)
def test_translation_and_whole_periods_change_nothing(kind: str) -> None:
    engine = Engine(random_native(12, 2))
    structure = cell_of_kind(kind, 2, seed=4)
    rng = np.random.default_rng(5)
    shift = np.tile(rng.normal(scale=20.0, size=3), (len(structure.types), 1))
    periods = rng.integers(-3, 4, size=(len(shift), 3)) * np.array(structure.pbc)
    before = engine.evaluate(*structure)
    after = engine.evaluate(*moved(structure, shift + periods @ structure.cell))
    assert_close(after.site_energies, before.site_energies, 1e-11)
    assert_close(after.forces, before.forces, 1e-10)


def test_supercell_repeats_the_results() -> None:
    engine = Engine(random_native(16, 2))
    structure = cell_of_kind("smaller than the cutoff", 2, seed=6)
    atoms = to_atoms(structure, (3, 16)) * (2, 1, 3)
    before = engine.evaluate(*structure)
    after = engine.evaluate(*to_structure(atoms, (3, 16)))
    assert after.energy == pytest.approx(6 * before.energy, rel=1e-12)
    assert_close(after.forces, np.tile(before.forces, (6, 1)), 1e-11)
    assert_close(after.virial, 6 * before.virial, 1e-11)


def test_another_basis_of_the_same_lattice_gives_the_same_results() -> None:
    engine = Engine(random_native(12, 2))
    structure = cell_of_kind(TRICLINIC, 2, seed=7)
    sheared = structure._replace(cell=np.array([[1, 0, 0], [3, 1, 0], [-2, 4, 1]]) @ structure.cell)
    before, after = engine.evaluate(*structure), engine.evaluate(*sheared)
    assert_close(after.forces, before.forces, 1e-11)
    assert_close(after.virial, before.virial, 1e-11)


def test_left_handed_cells_are_as_good_as_right_handed_ones() -> None:
    engine = Engine(random_native(12, 2))
    structure = cell_of_kind(TRICLINIC, 2, seed=7)
    swapped = structure._replace(cell=structure.cell[[1, 0, 2]])
    assert_close(engine.evaluate(*swapped).forces, engine.evaluate(*structure).forces, 1e-11)


@pytest.mark.parametrize("pbc", [OPEN, (True, False, False), (False, True, True), (True, False, True)])
def test_cell_vectors_of_open_directions_do_not_count(pbc: tuple[bool, bool, bool]) -> None:
    engine = Engine(random_native(10, 2))
    structure = random_cell(12, 2, seed=8, pbc=pbc)
    without = structure._replace(cell=structure.cell * np.array(pbc)[:, None])
    before, after = engine.evaluate(*structure), engine.evaluate(*without)
    assert_close(after.forces, before.forces, 1e-12)


# ------------------------------------------------------------------ the cutoff


def dimer(distance: float) -> Structure:
    """Two atoms in open space."""
    positions = np.array([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]])
    return Structure(np.array([0, 1], dtype=np.int32), positions, np.zeros((3, 3)), OPEN)


def test_beyond_the_cutoff_atoms_are_alone() -> None:
    potential = random_native(12, 2)
    result = Engine(potential).evaluate(*dimer(5.0 + 1e-12))
    np.testing.assert_array_equal(result.site_energies, potential.species_coeffs)
    assert not result.forces.any()


def test_energy_and_force_vanish_smoothly_at_the_cutoff() -> None:
    potential = random_native(12, 2)
    engine = Engine(potential)

    def left(gap: float) -> tuple[float, float]:
        result = engine.evaluate(*dimer(5.0 - gap))
        return result.energy - potential.species_coeffs.sum(), result.forces[0, 0]

    (energy, force), (energy_nearer, force_nearer) = left(2e-3), left(1e-3)
    assert energy / energy_nearer == pytest.approx(4.0, rel=1e-2)
    assert force / force_nearer == pytest.approx(2.0, rel=1e-2)


def test_energy_is_the_work_of_the_forces_while_neighbours_come_and_go() -> None:
    engine = Engine(random_native(12, 2))
    structure = random_cell(8, 2, seed=9)
    direction = np.random.default_rng(9).normal(size=structure.positions.shape)
    points, weights = np.polynomial.legendre.leggauss(400)
    length = 0.15
    path = [engine.evaluate(*moved(structure, s * length * direction)) for s in (points + 1) / 2]
    work = sum(w * np.sum(r.forces * direction) for w, r in zip(weights, path, strict=True))
    ends = [engine.evaluate(*moved(structure, s * length * direction)).energy for s in (0, 1)]
    counts = {
        sum(len(n.indices) for n in reference.neighborhoods(p, structure.cell, structure.pbc, 5.0))
        for p in (moved(structure, s * length * direction).positions for s in np.linspace(0, 1, 20))
    }
    assert len(counts) > 3, "no neighbour crossed the cutoff: the test shows nothing"
    assert ends[0] - ends[1] == pytest.approx(work * length / 2, rel=1e-6)


# ------------------------------------------------------------------ threads


def test_threads_give_the_same() -> None:
    potential = with_random_active_set(random_native(8, 4))
    structure = to_structure(li6ps5cl_cell(repeat=2), LI6PS5CL_NUMBERS)
    weights: dict[str, Any] = {
        "energy_weight": 0.7,
        "force_weights": np.random.default_rng(0).normal(size=structure.positions.shape),
        "strain_weights": np.random.default_rng(1).normal(size=(3, 3)),
    }
    one, *others = (Engine(potential, threads=threads) for threads in (1, 2, 5))
    expected = one.evaluate(*structure)
    for engine in others:
        found = engine.evaluate(*structure)
        np.testing.assert_array_equal(found.site_energies, expected.site_energies)
        assert_close(found.forces, expected.forces, 1e-13)
        assert_close(found.virial, expected.virial, 1e-12)
        np.testing.assert_array_equal(engine.grades(*structure), one.grades(*structure))
        np.testing.assert_array_equal(engine.site_energy_jacobian(*structure), one.site_energy_jacobian(*structure))
        assert_close(
            engine.loss_gradient(*structure, **weights),
            one.loss_gradient(*structure, **weights),
            1e-12,
        )


def test_errors_in_threads_reach_the_caller() -> None:
    structure = to_structure(li6ps5cl_cell(repeat=2), LI6PS5CL_NUMBERS)
    structure.positions[-1] = structure.positions[-2]
    with pytest.raises(ValueError, match="coincide"):
        Engine(random_native(8, 4), threads=3).evaluate(*structure)
