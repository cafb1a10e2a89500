"""What a finished label must pass to be used."""

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list

from argyro.config.labels import GatesConfig

from .backends.base import Calculation


def is_finite(calculation: Calculation) -> bool:
    """Whether energy, forces and stress are numbers."""
    return all(np.isfinite(value).all() for value in (calculation.energy, calculation.forces, calculation.stress))


def structure_violations(atoms: Atoms, gates: GatesConfig) -> list[str]:
    """Why a structure is not worth a calculation, a sentence each; empty if it is."""
    if not atoms.pbc.all():
        return ["the cell is not periodic in all three directions"]
    close = neighbour_list("d", atoms, gates.minimum_distance_angstrom)
    if len(close):
        return [f"atoms {close.min():.3f} angstrom apart, below {gates.minimum_distance_angstrom:g}"]
    return []


def violations(calculation: Calculation, gates: GatesConfig) -> list[str]:
    """Why a label cannot be used, a sentence each; empty if it can."""
    if not is_finite(calculation):
        return ["energy, forces or stress are not finite"]
    forces, found = calculation.forces, []
    net, largest = np.linalg.norm(forces.sum(axis=0)), np.linalg.norm(forces, axis=1).max()
    if net > gates.max_net_force_eV_per_angstrom:
        found.append(f"the forces sum to {net:.3g} eV/angstrom, above {gates.max_net_force_eV_per_angstrom:g}")
    if largest > gates.max_force_eV_per_angstrom:
        found.append(f"a force of {largest:.3g} eV/angstrom, above {gates.max_force_eV_per_angstrom:g}")
    return found


def flags(atoms: Atoms, calculation: Calculation, gates: GatesConfig) -> list[str]:
    """What is unusual about a usable label, a sentence each."""
    found = []
    if calculation.gap is not None and calculation.gap < gates.min_gap_eV:
        found.append(f"band gap of {calculation.gap:.2f} eV")
    if calculation.energy_zero_smearing is not None:
        # Between the free energy and the energy at no smearing lies half the entropy term
        entropy = 2 * abs(calculation.energy_zero_smearing - calculation.energy) / len(atoms)
        if entropy > gates.max_entropy_eV_per_atom:
            found.append(f"entropy term of {1000 * entropy:.2f} meV/atom")
    return found
