"""The ASE calculator."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from helpers import LI6PS5CL_NUMBERS, li6ps5cl_cell, random_potential_fields, to_motep, to_structure
from motep.calculator import make_calculator
from native import native_potential, random_native, with_random_active_set

from mtpcore import CloseContactWarning, Engine, UnknownSpeciesError, write_potential
from mtpcore.ase import MTP

SPECIES = ["Li", "P", "S", "Cl"]


@pytest.fixture
def atoms() -> Atoms:
    atoms: Atoms = li6ps5cl_cell(rattle=0.15)
    strain = np.array([[0, 0.03, 0], [0, 0.01, 0.05], [0, 0, -0.02]])
    atoms.set_cell(atoms.cell[:] @ (np.eye(3) + strain), scale_atoms=True)
    return atoms


def test_results_are_those_of_the_engine(atoms: Atoms) -> None:
    potential = random_native(8, 4)
    atoms.calc = MTP(potential, SPECIES)
    expected = Engine(potential).evaluate(*to_structure(atoms, LI6PS5CL_NUMBERS))
    assert atoms.get_potential_energy() == expected.energy
    assert atoms.get_potential_energy(force_consistent=True) == expected.energy
    np.testing.assert_array_equal(atoms.get_potential_energies(), expected.site_energies)
    np.testing.assert_allclose(atoms.get_forces(), expected.forces, rtol=1e-13, atol=1e-13)
    stress = -expected.virial / atoms.get_volume()
    np.testing.assert_allclose(atoms.get_stress(voigt=False), stress, rtol=1e-12, atol=1e-14)


def test_results_are_those_of_motep_as_a_calculator(atoms: Atoms) -> None:
    fields = random_potential_fields(10, 4, seed=1)
    results = []
    for calculator in (
        MTP(native_potential(fields), SPECIES),
        make_calculator(to_motep(fields, LI6PS5CL_NUMBERS)),
    ):
        copy = atoms.copy()
        copy.calc = calculator
        results.append((copy.get_potential_energy(), copy.get_forces(), copy.get_stress()))
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_forces_and_stress_are_the_derivatives_ase_finds(atoms: Atoms) -> None:
    atoms.calc = MTP(random_native(8, 4), SPECIES)
    forces = calculate_numerical_forces(atoms, eps=1e-4, iatoms=[0, 30])
    np.testing.assert_allclose(atoms.get_forces()[[0, 30]], forces, atol=1e-5)
    np.testing.assert_allclose(atoms.get_stress(), calculate_numerical_stress(atoms, eps=1e-5), atol=1e-6)


def test_a_file_serves_as_well_as_a_potential(atoms: Atoms, tmp_path: Path) -> None:
    potential = random_native(8, 4)
    write_potential(tmp_path / "p.mtp", potential)
    energies = []
    for source in (potential, tmp_path / "p.mtp", str(tmp_path / "p.mtp")):
        atoms.calc = MTP(source, SPECIES)
        energies.append(atoms.get_potential_energy())
    assert energies[0] == energies[1] == energies[2]


def test_species_follow_the_order_given(atoms: Atoms) -> None:
    fields = random_potential_fields(8, 4, seed=0)
    order = [2, 0, 3, 1]
    fields["radial_coeffs"] = fields["radial_coeffs"][np.ix_(order, order)]
    fields["species_coeffs"] = fields["species_coeffs"][order]
    forces = []
    for potential, species in (
        (random_native(8, 4), SPECIES),
        (native_potential(fields), [SPECIES[i] for i in order]),
    ):
        atoms.calc = MTP(potential, species)
        forces.append(atoms.get_forces())
    np.testing.assert_allclose(forces[0], forces[1], rtol=1e-12, atol=1e-12)


def test_elements_the_potential_lacks_are_named(atoms: Atoms) -> None:
    atoms.symbols[3] = "Br"
    atoms.calc = MTP(random_native(8, 4), SPECIES)
    with pytest.raises(UnknownSpeciesError, match="not \\['Br'\\]"):
        atoms.get_potential_energy()


@pytest.mark.parametrize("species", [["Li", "P", "S"], ["Li", "P", "S", "S"], ["Li", "P", "S", "Qq"], "LiPSCl"])
def test_species_lists_that_cannot_be_right_are_refused(species: list[str]) -> None:
    with pytest.raises(UnknownSpeciesError):
        MTP(random_native(8, 4), species)


def test_close_contacts_warn_with_the_closest_pair(atoms: Atoms) -> None:
    atoms.calc = MTP(random_native(8, 4), SPECIES)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CloseContactWarning)
        atoms.get_potential_energy()
    atoms.positions[7] = atoms.positions[20] + [0.0, 0.0, 1.1]
    with pytest.warns(CloseContactWarning, match="atoms 7 and 20 at 1.100 angstrom"):
        atoms.get_potential_energy()


def test_stress_needs_three_periods(atoms: Atoms) -> None:
    atoms.calc = MTP(random_native(8, 4), SPECIES)
    atoms.pbc = (True, True, False)
    assert atoms.get_forces().shape == (len(atoms), 3)
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_molecules_need_no_cell() -> None:
    molecule = Atoms("PS4", np.vstack([np.zeros(3), 2.0 * np.eye(3), [[-1.2, -1.2, -1.2]]]))
    potential = random_native(8, 4)
    molecule.calc = MTP(potential, SPECIES)
    periodic = Atoms(molecule, cell=[40.0] * 3, pbc=True)
    periodic.calc = MTP(potential, SPECIES)
    np.testing.assert_allclose(molecule.get_forces(), periodic.get_forces(), rtol=1e-11, atol=1e-12)


def test_grades_are_given_on_request(atoms: Atoms) -> None:
    potential = with_random_active_set(random_native(8, 4))
    grades = MTP(potential, SPECIES).grades(atoms)
    structure = to_structure(atoms, LI6PS5CL_NUMBERS)
    np.testing.assert_array_equal(grades, Engine(potential).grades(*structure))
