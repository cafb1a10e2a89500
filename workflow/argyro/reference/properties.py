"""Properties of a teacher beside those of the method that labelled its training set."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits
from argyro.labels.backends.base import Backend
from argyro.structures.bulk import build_bulk

from .measures import cubic_ground_state, elastic_constants, unit_vibrations
from .short_range import short_range

CELL = (1, 1, 1)
CONTACT_FRACTION = 0.75  # of the sum of covalent radii: nothing may attract below
INSERTIONS = 40  # a frame


def ground_state_properties(material: Material, limits: DistanceLimits, calculator: Any, seed: int) -> dict[str, float]:
    """Lattice constant, energy and vibrations of PS4 in the relaxed ordered cell.

    Args:
        material: The ordered one.
        limits: How close atoms of the start may come.
        calculator: Any of ASE with energy, forces and stress.
        seed: Of the arrangement of lithium: the same for two methods, so that they relax from the same start.
    """
    state = cubic_ground_state(_start(material, limits, seed), calculator)
    vibrations = unit_vibrations(state.atoms, calculator, material.rigid_units[0])
    return {
        "lattice_constant_0K_angstrom": state.lattice_constant_angstrom,
        "P_S_breathing_lowest_per_cm": float(vibrations.breathing_per_cm.min()),
        "P_S_breathing_highest_per_cm": float(vibrations.breathing_per_cm.max()),
        "highest_frequency_per_cm": float(vibrations.frequencies_per_cm.max()),
        "imaginary_modes_of_PS4": vibrations.imaginary,
    }


def elastic_properties(material: Material, limits: DistanceLimits, calculator: Any, seed: int) -> dict[str, float]:
    """Elastic constants of the relaxed ordered cell."""
    state = cubic_ground_state(_start(material, limits, seed), calculator)
    found = elastic_constants(state.atoms, calculator)
    return {
        "C11_GPa": found.C11_GPa,
        "C12_GPa": found.C12_GPa,
        "C44_GPa": found.C44_GPa,
        "bulk_modulus_GPa": found.bulk_modulus_GPa,
        "elastically_stable": float(found.is_stable),
    }


def repulsion(frames: Sequence[Atoms], calculator: Any, seed: int) -> dict[str, float]:
    """What pushing atoms together on frames of runs finds: wells, and where energy stops rising; none is best."""
    limits = DistanceLimits(covalent_fraction=CONTACT_FRACTION, pairs_angstrom={})
    found = short_range(frames, calculator, limits, displacements=INSERTIONS, seed=seed)
    return {
        "short_range_trials": found.approaches + found.displacements,
        "short_range_places_left_out": found.left_out,
        "short_range_wells": sum(well.kind == "below the frame" for well in found.wells),
        "short_range_attractive_places": sum(well.kind == "attractive" for well in found.wells),
        "lowest_insertion_energy_eV": found.lowest_eV,
    }


def _start(material: Material, limits: DistanceLimits, seed: int) -> Atoms:
    """The ordered cell with lithium between its pairs of sites, a little off so that symmetry holds nothing."""
    atoms = build_bulk(material, CELL, lithium_sites="24g", limits=limits, seed=seed)
    atoms.rattle(0.02, rng=np.random.default_rng(seed))
    return atoms


class BackendCalculator(Calculator):
    """A labelling backend as a calculator of ASE.

    Args:
        backend: What calculates.
    """

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  as in ASE

    def __init__(self, backend: Backend) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._backend = backend

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Calculate; ASE's entry point."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        structure: Any = self.atoms
        found = self._backend.calculate(structure, 0)
        self.results = {"energy": found.energy, "forces": found.forces, "stress": found.stress}
