"""The reference engine against motep, finite differences and its own definitions."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase.neighborlist import neighbor_list
from helpers import (
    LI6PS5CL_NUMBERS,
    Structure,
    li6ps5cl_cell,
    random_cell,
    random_potential,
    random_potential_fields,
    to_atoms,
    to_motep,
    to_structure,
)
from motep.calculator import make_mtp_engine

from mtpcore.errors import InvalidStructureError, UnknownSpeciesError
from mtpcore.reference import evaluate, neighborhoods, site_energy_jacobian

NUMBERS = (3, 15, 16, 17)
CASES = [(2, 1), (4, 2), (6, 3), (8, 4), (10, 1), (12, 2), (14, 3), (16, 2)]


def motep_results(fields: dict[str, Any], structure: Structure, engine: str) -> Any:
    """Results and Jacobian of motep for the same potential and structure."""
    species = NUMBERS[: fields["species_count"]]
    atoms = to_atoms(structure, species)
    oracle = make_mtp_engine(engine)(to_motep(fields, species), mode="train")
    results = dict(oracle.calculate(atoms))
    return results, oracle.jac_energies(atoms)


def assert_same(found: Any, expected: Any) -> None:
    """Equal to 1e-9 of the largest entry."""
    scale = np.abs(expected).max()
    assert np.abs(np.asarray(found) - expected).max() <= 1e-9 * scale


@pytest.mark.parametrize("engine", ["numpy", "cext"])
@pytest.mark.parametrize(("level", "species_count"), CASES)
def test_energies_forces_and_stress_are_those_of_motep(level: int, species_count: int, engine: str) -> None:
    fields = random_potential_fields(level, species_count, seed=level)
    structure = random_cell(5, species_count, seed=level)
    result = evaluate(SimpleNamespace(**fields), *structure)
    expected, _ = motep_results(fields, structure, engine)
    volume = abs(np.linalg.det(structure.cell))
    stress = -result.virial / volume
    assert_same(result.energy, expected["energy"])
    assert_same(result.site_energies, expected["energies"])
    assert_same(result.forces, expected["forces"])
    assert_same(stress.ravel()[[0, 4, 8, 5, 2, 1]], expected["stress"])
    assert_same(stress, stress.T)


@pytest.mark.parametrize("engine", ["numpy", "cext"])
@pytest.mark.parametrize(("level", "species_count"), CASES)
def test_parameter_derivatives_are_those_of_motep(level: int, species_count: int, engine: str) -> None:
    fields = random_potential_fields(level, species_count, seed=level + 100)
    structure = random_cell(5, species_count, seed=level + 100)
    found = site_energy_jacobian(SimpleNamespace(**fields), *structure)
    _, jacobian = motep_results(fields, structure, engine)
    radial = jacobian.radial_coeffs.reshape(-1, len(structure.types)).T
    expected = np.hstack([radial, jacobian.species_coeffs.T, jacobian.moment_coeffs.T])
    assert found.shape == expected.shape
    for columns in (slice(radial.shape[1]), slice(radial.shape[1], None)):
        assert_same(found[:, columns], expected[:, columns])


@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True), (False, False, False)])
def test_forces_are_minus_the_energy_gradient(pbc: tuple[bool, bool, bool]) -> None:
    potential = random_potential(10, 3, seed=5)
    types, positions, cell, _ = random_cell(6, 3, seed=6)
    forces = evaluate(potential, types, positions, cell, pbc).forces
    step = 1e-4
    for atom, axis in [(0, 0), (2, 1), (5, 2)]:
        shift = np.zeros_like(positions)
        shift[atom, axis] = step
        ahead, behind = (evaluate(potential, types, positions + sign * shift, cell, pbc).energy for sign in (1, -1))
        scale = np.abs(forces).max()
        assert forces[atom, axis] == pytest.approx((behind - ahead) / (2 * step), abs=1e-6 * scale)


def test_virial_is_minus_the_strain_derivative_of_the_energy() -> None:
    potential = random_potential(10, 2, seed=7)
    types, positions, cell, pbc = random_cell(4, 2, seed=8)
    virial = evaluate(potential, types, positions, cell, pbc).virial
    step = 1e-5
    for a, b in [(0, 0), (0, 1), (2, 1)]:
        strain = np.zeros((3, 3))
        strain[a, b] = step
        energies = [
            evaluate(potential, types, positions + positions @ sign, cell + cell @ sign, pbc).energy
            for sign in (strain, -strain)
        ]
        slope = (energies[0] - energies[1]) / (2 * step)
        assert virial[a, b] == pytest.approx(-slope, abs=1e-6 * np.abs(virial).max())


def test_parameter_derivatives_are_finite_differences_of_site_energies() -> None:
    fields = random_potential_fields(8, 2, seed=9)
    structure = random_cell(4, 2, seed=10)
    rows = site_energy_jacobian(SimpleNamespace(**fields), *structure)
    names = ("radial_coeffs", "species_coeffs", "moment_coeffs")
    sizes = [fields[name].size for name in names]
    assert rows.shape == (4, sum(sizes))
    step = 1e-5
    rng = np.random.default_rng(0)
    for start, name in zip(np.cumsum([0, *sizes]), names, strict=False):
        for entry in rng.choice(fields[name].size, size=2, replace=False):
            energies = []
            for sign in (1, -1):
                changed = fields[name].copy()
                changed.ravel()[entry] += sign * step
                moved = SimpleNamespace(**{**fields, name: changed})
                energies.append(evaluate(moved, *structure).site_energies)
            slope = (energies[0] - energies[1]) / (2 * step)
            np.testing.assert_allclose(rows[:, start + entry], slope, rtol=1e-5, atol=1e-6)


def test_energy_is_linear_in_species_and_moment_coefficients() -> None:
    fields = random_potential_fields(12, 3, seed=11)
    structure = random_cell(5, 3, seed=12)
    rows = site_energy_jacobian(SimpleNamespace(**fields), *structure)
    linear = np.concatenate([fields["species_coeffs"], fields["moment_coeffs"]])
    energies = evaluate(SimpleNamespace(**fields), *structure).site_energies
    assert_same(rows[:, -len(linear) :] @ linear, energies)


def test_a_cell_smaller_than_the_cutoff_equals_its_supercell() -> None:
    potential = random_potential(12, 2, seed=13)
    types, positions, cell, pbc = random_cell(2, 2, seed=14)
    assert np.linalg.norm(cell, axis=1).min() < potential.max_dist
    small = evaluate(potential, types, positions, cell, pbc)
    shifts = np.array([[i, j, k] for i in range(2) for j in range(3) for k in range(2)]) @ cell
    repeated = (shifts[:, None] + positions).reshape(-1, 3)
    big = evaluate(potential, np.tile(types, 12), repeated, np.diag([2, 3, 2]) @ cell, pbc)
    assert_same(big.site_energies, np.tile(small.site_energies, 12))
    assert_same(big.forces, np.tile(small.forces, (12, 1)))
    assert_same(big.virial, 12 * small.virial)


def test_moving_atoms_by_lattice_vectors_changes_nothing() -> None:
    potential = random_potential(10, 2, seed=15)
    types, positions, cell, pbc = random_cell(5, 2, seed=16)
    moves = np.random.default_rng(1).integers(-3, 4, (5, 3)) @ cell
    before = evaluate(potential, types, positions, cell, pbc)
    after = evaluate(potential, types, positions + moves, cell, pbc)
    assert_same(after.site_energies, before.site_energies)
    assert_same(after.forces, before.forces)


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False), (False, False, False)])
def test_neighbourhoods_are_those_of_ase(pbc: tuple[bool, bool, bool]) -> None:
    structure = random_cell(6, 1, seed=17, skew=0.6)._replace(pbc=pbc)
    search: Any = neighbor_list
    centres, indices, vectors = search("ijD", to_atoms(structure, NUMBERS), 5.0)
    nearby = neighborhoods(structure.positions, structure.cell, pbc, 5.0)
    assert sum(len(near.indices) for near in nearby) == len(centres)
    for i, near in enumerate(nearby):
        expected = sorted(
            (int(j), *np.round(v, 8)) for j, v in zip(indices[centres == i], vectors[centres == i], strict=True)
        )
        found = sorted((int(j), *np.round(v, 8)) for j, v in zip(near.indices, near.vectors, strict=True))
        np.testing.assert_allclose(found, expected, atol=1e-7)


def test_open_directions_need_no_cell_vector() -> None:
    potential = random_potential(8, 2, seed=18)
    types, positions, cell, _ = random_cell(4, 2, seed=19)
    pbc = (True, False, True)
    flat = cell.copy()
    flat[1] = 0.0
    assert_same(
        evaluate(potential, types, positions, flat, pbc).forces,
        evaluate(potential, types, positions, cell, pbc).forces,
    )


def test_a_lone_atom_has_its_species_energy_and_no_force() -> None:
    potential = random_potential(16, 2, seed=20)
    result = evaluate(potential, np.array([1], dtype=np.int32), np.zeros((1, 3)), np.zeros((3, 3)), (False,) * 3)
    assert result.energy == potential.species_coeffs[1]
    assert not result.forces.any()
    assert not result.virial.any()


def test_energy_and_force_vanish_at_the_cutoff_as_its_square_and_linearly() -> None:
    potential = random_potential(8, 1, seed=21)
    types, pbc = np.zeros(2, dtype=np.int32), (False,) * 3
    results = []
    for gap in (1e-4, 1e-5, 0.0):
        positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, potential.max_dist - gap]])
        results.append(evaluate(potential, types, positions, np.zeros((3, 3)), pbc))
    far, near, at = ([r.energy - results[2].energy, r.forces[0, 2]] for r in results)
    assert far[0] / near[0] == pytest.approx(100, rel=0.01)
    assert far[1] / near[1] == pytest.approx(10, rel=0.01)
    assert at == [0.0, 0.0]
    assert results[2].energy == 2 * potential.species_coeffs[0]


def test_li6ps5cl_helper_is_the_crystal() -> None:
    for seed in range(3):
        atoms = li6ps5cl_cell(rattle=0.0, seed=seed)
        assert atoms.get_chemical_formula() == "Cl4Li24P4S20"
        distances = atoms.get_all_distances(mic=True) + 9.0 * np.eye(len(atoms))
        phosphorus, sulfur = (atoms.symbols == symbol for symbol in ("P", "S"))
        assert ((distances[phosphorus][:, sulfur] < 2.1).sum(axis=1) == 4).all()
        assert distances.min() > 1.9
    structure = to_structure(li6ps5cl_cell(repeat=2), LI6PS5CL_NUMBERS)
    assert np.bincount(structure.types).tolist() == [192, 32, 160, 32]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"types": np.array([0, 2], dtype=np.int32)}, UnknownSpeciesError),
        ({"types": np.array([0, -1], dtype=np.int32)}, UnknownSpeciesError),
        ({"types": np.array([0], dtype=np.int32)}, InvalidStructureError),
        ({"types": np.array([0.0, 1.0])}, InvalidStructureError),
        ({"positions": np.zeros((2, 3))}, InvalidStructureError),
        ({"positions": np.array([[0, 0, 0], [0, 0, np.nan]])}, InvalidStructureError),
        ({"positions": np.zeros((2, 2))}, InvalidStructureError),
        ({"cell": np.zeros((3, 3))}, InvalidStructureError),
        ({"cell": np.ones(3)}, InvalidStructureError),
    ],
)
def test_impossible_structures_are_refused(change: dict[str, Any], error: type[Exception]) -> None:
    structure = random_cell(2, 2, seed=22)._asdict()
    evaluate(random_potential(4, 2, seed=23), **structure)
    with pytest.raises(error):
        evaluate(random_potential(4, 2, seed=23), **{**structure, **change})
