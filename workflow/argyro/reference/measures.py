"""Measures of a potential's physical sense, through any ASE calculator.

The same code serves a moment tensor potential, a machine-learned potential it is fitted to and, where that is cheap
enough, density functional theory.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms, units
from ase.eos import EquationOfState
from ase.filters import FrechetCellFilter
from ase.geometry import get_distances
from ase.optimize import BFGS, FIRE

from argyro.common.errors import DynamicsError
from argyro.config.materials import RigidUnit

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int64]

FORCE_TOLERANCE = 1e-3  # eV/angstrom
MAX_STEPS = 500  # of a relaxation by each method
MAX_STEP = 0.1  # angstrom
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
STRAIN = 0.005  # half up and half down, of elastic constants
VOLUME_STRAINS = (-0.02, -0.01, 0.0, 0.01, 0.02)  # linear
DISPLACEMENT = 0.01  # angstrom, of force constants
INVERSE_CM = 1.0 / units.invcm  # of one eV


@dataclass(frozen=True, eq=False)
class GroundState:
    """A cubic cell at zero pressure and temperature.

    Attributes:
        atoms: Relaxed.
        lattice_constant_angstrom: Of one cubic cell.
        energy_eV_per_atom: Potential energy.
        deviatoric_stress_GPa: Largest component of the stress that a cubic cell of this arrangement keeps.
    """

    atoms: Atoms
    lattice_constant_angstrom: float
    energy_eV_per_atom: float
    deviatoric_stress_GPa: float


@dataclass(frozen=True, eq=False)
class ElasticConstants:
    """Elastic constants with relaxed ions.

    Attributes:
        matrix_GPa: In Voigt's notation, xx yy zz yz xz xy, shape (6, 6).
        asymmetry_GPa: Largest difference between the matrix and its transpose before they were averaged: ions that
            jumped, or a strain beyond the linear range.
        C11_GPa: Mean over the axes, as for a cubic crystal.
        C12_GPa: Mean over the pairs of axes.
        C44_GPa: Mean over the shears.
        bulk_modulus_GPa: Of the cubic means.
        is_stable: Whether Born's criterion holds, in its general form (Mouhat and Coudert, Phys. Rev. B 90, 224104
            (2014)): no strain lowers the energy. For a cubic crystal it says C11 > C12, C11 + 2 C12 > 0 and C44 > 0.
    """

    matrix_GPa: FloatArray
    asymmetry_GPa: float
    C11_GPa: float
    C12_GPa: float
    C44_GPa: float
    bulk_modulus_GPa: float
    is_stable: bool


@dataclass(frozen=True, eq=False)
class UnitVibrations:
    """Vibrations of rigid units in a crystal that is held still around them.

    Attributes:
        frequencies_per_cm: All, ascending, imaginary ones negative, shape (3 M,) for M atoms of units.
        breathing_per_cm: Of the modes in which ligands move along their bonds in phase, one a unit, ascending: the
            symmetric stretch, at 420 to 430 per cm for PS4 in experiment.
    """

    frequencies_per_cm: FloatArray
    breathing_per_cm: FloatArray

    @property
    def imaginary(self) -> int:
        """How many are imaginary."""
        return int((self.frequencies_per_cm < 0).sum())


@dataclass(frozen=True, eq=False)
class EnergyVolume:
    """Energy over volume with relaxed ions, and the Birch-Murnaghan equation of state through it.

    Attributes:
        volumes_angstrom3: Of the cell.
        energies_eV: Of the cell.
        equilibrium_volume_angstrom3: At zero pressure.
        bulk_modulus_GPa: There.
        residual_meV_per_atom: Root mean square of what the equation leaves.
    """

    volumes_angstrom3: FloatArray
    energies_eV: FloatArray
    equilibrium_volume_angstrom3: float
    bulk_modulus_GPa: float
    residual_meV_per_atom: float


def cubic_ground_state(atoms: Atoms, calculator: Any, *, supercell: Sequence[int] = (1, 1, 1)) -> GroundState:
    """Relax all positions and the edge of a cubic cell.

    Args:
        atoms: Of the ordered cell; where lithium starts decides which minimum is found.
        calculator: Any of ASE with energy, forces and stress.
        supercell: How many cubic cells it holds along each axis.

    Raises:
        DynamicsError: it does not relax.
    """
    relaxed = atoms.copy()
    relaxed.calc = calculator
    _relax(relaxed, FrechetCellFilter(relaxed, hydrostatic_strain=True))
    stress = relaxed.get_stress(voigt=False) / units.GPa
    return GroundState(
        atoms=relaxed,
        lattice_constant_angstrom=float((relaxed.get_volume() / np.prod(supercell)) ** (1 / 3)),
        energy_eV_per_atom=relaxed.get_potential_energy() / len(relaxed),
        deviatoric_stress_GPa=float(np.abs(stress - np.eye(3) * np.trace(stress) / 3).max()),
    )


def elastic_constants(atoms: Atoms, calculator: Any, *, strain: float = STRAIN) -> ElasticConstants:
    """Slopes of the stress over each of six strains, ions relaxed at each.

    Args:
        atoms: Relaxed, as from `cubic_ground_state`.
        calculator: Any of ASE with energy, forces and stress.
        strain: How far up and down.

    Raises:
        DynamicsError: a strained cell does not relax.
    """
    slopes = np.empty((6, 6))
    for k in range(6):
        stresses = [_strained_stress(atoms, calculator, k, sign * strain) for sign in (-1, 1)]
        slopes[k] = (stresses[1] - stresses[0]) / (2 * strain) / units.GPa
    matrix = (slopes + slopes.T) / 2
    C11, C44 = np.diag(matrix)[:3].mean(), np.diag(matrix)[3:].mean()
    C12 = matrix[[0, 0, 1], [1, 2, 2]].mean()
    return ElasticConstants(
        matrix_GPa=matrix,
        asymmetry_GPa=float(np.abs(slopes - slopes.T).max()),
        C11_GPa=float(C11),
        C12_GPa=float(C12),
        C44_GPa=float(C44),
        bulk_modulus_GPa=float((C11 + 2 * C12) / 3),
        is_stable=bool(np.linalg.eigvalsh(matrix).min() > 0),
    )


def _strained_stress(atoms: Atoms, calculator: Any, component: int, strain: float) -> FloatArray:
    """Stress in Voigt's order, shape (6,), eV/angstrom^3."""
    i, j = VOIGT[component]
    deformation = np.eye(3)
    deformation[i, j] += strain / 2  # twice where i is j; Voigt's shear is the sum of two
    deformation[j, i] += strain / 2
    strained = atoms.copy()
    strained.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    strained.calc = calculator
    _relax(strained, strained)
    return np.asarray(strained.get_stress(), dtype=np.float64)


def _relax(atoms: Atoms, movable: Any) -> None:
    converged = False
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "logm result may be inaccurate")  # of a deformation, in the 13th digit
        for method in (BFGS, FIRE):  # the second is slower, but does not go to and fro between two sites of an ion
            if not converged:
                converged = method(movable, logfile=None, maxstep=MAX_STEP).run(fmax=FORCE_TOLERANCE, steps=MAX_STEPS)
    if not converged:
        force = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
        raise DynamicsError(
            f"{atoms.get_chemical_formula()} did not relax in {MAX_STEPS} steps: a force of {force:.2g} eV/angstrom is "
            "left; start from a structure nearer to a minimum, or distrust the potential"
        )


def energy_volume(
    atoms: Atoms, calculator: Any, *, linear_strains: Sequence[float] = VOLUME_STRAINS, relax: bool = True
) -> EnergyVolume:
    """Energy of the cell at several volumes.

    Args:
        atoms: Near its equilibrium volume.
        calculator: Any of ASE with energy and forces.
        linear_strains: Isotropic, relative to the cell given; at least four.
        relax: Let ions follow.

    Raises:
        DynamicsError: a cell does not relax, or there is no minimum.
    """
    volumes, energies = [], []
    for strain in linear_strains:
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array * (1 + strain), scale_atoms=True)
        strained.calc = calculator
        if relax:
            _relax(strained, strained)
        volumes.append(strained.get_volume())
        energies.append(strained.get_potential_energy())
    state = EquationOfState(volumes, energies, eos="birchmurnaghan")
    try:
        volume, _, modulus = state.fit(warn=False)
    except (ValueError, RuntimeError) as error:
        raise DynamicsError(f"energies at these volumes have no minimum: {error}") from None
    residuals = np.array(energies) - state.func(np.array(volumes), *state.eos_parameters)
    return EnergyVolume(
        volumes_angstrom3=np.array(volumes),
        energies_eV=np.array(energies),
        equilibrium_volume_angstrom3=float(volume),
        bulk_modulus_GPa=float(modulus / units.GPa),
        residual_meV_per_atom=float(1000 * np.sqrt(np.mean(residuals**2)) / len(atoms)),
    )


def unit_vibrations(atoms: Atoms, calculator: Any, unit: RigidUnit) -> UnitVibrations:
    """Vibrations of rigid units from finite displacements of their atoms, all others at rest.

    Args:
        atoms: Relaxed.
        calculator: Any of ASE with forces; called six times an atom of the units.
        unit: Which units.

    Raises:
        DynamicsError: there is no such unit.
    """
    bonds = _bonds(atoms, unit)
    if not bonds:
        raise DynamicsError(f"there is no {unit.center}{unit.ligand}{unit.count} in {atoms.get_chemical_formula()}")
    moving = np.array(sorted({atom for center, ligand, _ in bonds for atom in (center, ligand)}))
    roots = np.sqrt(np.repeat(atoms.get_masses()[moving], 3))
    hessian = _hessian(atoms, calculator, moving) / np.outer(roots, roots)
    squares, modes = np.linalg.eigh(hessian)
    to_wavenumber = units._hbar * units.m / np.sqrt(units._e * units._amu) * INVERSE_CM  # noqa: SLF001  as in ASE
    frequencies = np.sign(squares) * np.sqrt(np.abs(squares)) * to_wavenumber
    breathing = _breathing(bonds, moving, roots)
    share = ((breathing @ modes) ** 2).sum(axis=0)
    chosen = np.sort(frequencies[np.argsort(share)[-len(breathing) :]])
    return UnitVibrations(frequencies_per_cm=frequencies, breathing_per_cm=chosen)


def _bonds(atoms: Atoms, unit: RigidUnit) -> list[tuple[int, int, FloatArray]]:
    """Center, ligand and unit vector from one to the other of every bond."""
    centers = np.flatnonzero(atoms.symbols == unit.center)
    ligands = np.flatnonzero(atoms.symbols == unit.ligand)
    if not len(centers) or not len(ligands):
        return []
    vectors, distances = get_distances(
        atoms.positions[centers], atoms.positions[ligands], cell=atoms.cell, pbc=atoms.pbc
    )
    near = np.argwhere(distances <= unit.max_bond_angstrom)
    return [(int(centers[c]), int(ligands[k]), vectors[c, k] / distances[c, k]) for c, k in near]


def _hessian(atoms: Atoms, calculator: Any, moving: IntArray) -> FloatArray:
    """Second derivatives of the energy by positions of some atoms, shape (3 M, 3 M), eV/angstrom^2."""
    rows = []
    displaced = atoms.copy()
    displaced.calc = calculator
    for atom in moving:
        for axis in range(3):
            forces = []
            for sign in (-1, 1):
                displaced.positions[atom, axis] = atoms.positions[atom, axis] + sign * DISPLACEMENT
                forces.append(displaced.get_forces()[moving].ravel())
            displaced.positions[atom, axis] = atoms.positions[atom, axis]
            rows.append((forces[0] - forces[1]) / (2 * DISPLACEMENT))
    hessian = np.array(rows)
    symmetric: FloatArray = (hessian + hessian.T) / 2
    return symmetric


def _breathing(bonds: list[tuple[int, int, FloatArray]], moving: IntArray, roots: FloatArray) -> FloatArray:
    """Mass-weighted displacement of each unit's ligands along their bonds, normalized, shape (units, 3 M)."""
    centers = sorted({center for center, _, _ in bonds})
    vectors = np.zeros((len(centers), len(moving), 3))
    for center, ligand, direction in bonds:
        vectors[centers.index(center), np.searchsorted(moving, ligand)] = direction
    weighted = vectors.reshape(len(centers), -1) * roots
    normalized: FloatArray = weighted / np.linalg.norm(weighted, axis=1, keepdims=True)
    return normalized
