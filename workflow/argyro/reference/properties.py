"""Properties of a teacher beside those of the method that labelled its training set."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from argyro.config.materials import Material, RigidUnit
from argyro.config.structures import DistanceLimits
from argyro.labels.backends.base import Backend
from argyro.structures.bulk import build_bulk

from .measures import GroundState, cubic_ground_state, elastic_constants, unit_vibrations
from .short_range import CONTACTS, short_range
from .thermal import lattice_constant, thermal_frames

CELL = (1, 1, 1)
FRAMES, INSERTIONS = 12, 40  # that atoms are pushed together on, and how many are put elsewhere in each
ROOM_TEMPERATURE_K = 300.0
RUN_PS = 200.0


def ground_state(material: Material, limits: DistanceLimits, calculator: Any, seed: int) -> GroundState:
    """The relaxed ordered cell.

    Args:
        material: The ordered one.
        limits: How close atoms of the start may come.
        calculator: Any of ASE with energy, forces and stress.
        seed: Of the arrangement of lithium. It decides which of many minima is found: two methods are compared in one,
            so the other relaxes from there.
    """
    return cubic_ground_state(_start(material, limits, seed), calculator)


def all_properties(
    state: GroundState,
    frames: Sequence[Atoms],
    labelled: Sequence[Atoms],
    calculator: Any,
    *,
    unit: RigidUnit,
    seed: int,
    energies_eV: Sequence[float] | None = None,
) -> dict[str, float | None]:
    """All that is told of a method.

    Args:
        state: Relaxed by it.
        frames: `room_temperature_frames`, by it or another.
        labelled: The large label set.
        calculator: Any of ASE with energy, forces and stress.
        unit: PS4.
        seed: Of what is pushed where: the same for two methods.
        energies_eV: By it, of frames by another.
    """
    return {
        **ground_state_properties(state, calculator, unit),
        **room_temperature_properties(frames, energies_eV),
        **elastic_properties(state, calculator),
        **repulsion(labelled, calculator, seed),
    }


def ground_state_properties(state: GroundState, calculator: Any, unit: RigidUnit) -> dict[str, float]:
    """Lattice constant and vibrations of PS4 in the relaxed ordered cell."""
    vibrations = unit_vibrations(state.atoms, calculator, unit)
    return {
        "lattice_constant_0K_angstrom": state.lattice_constant_angstrom,
        "P_S_breathing_lowest_per_cm": float(vibrations.breathing_per_cm.min()),
        "P_S_breathing_highest_per_cm": float(vibrations.breathing_per_cm.max()),
        "highest_frequency_per_cm": float(vibrations.frequencies_per_cm.max()),
        "imaginary_modes_of_PS4": vibrations.imaginary,
    }


def room_temperature_frames(state: GroundState, calculator: Any, seed: int) -> list[Atoms]:
    """Frames of a run of the relaxed cell at 300 K and zero pressure."""
    return thermal_frames(state.atoms, calculator, ROOM_TEMPERATURE_K, RUN_PS, seed)


def room_temperature_properties(
    frames: Sequence[Atoms], energies_eV: Sequence[float] | None = None
) -> dict[str, float | None]:
    """Lattice constant at 300 K; of `room_temperature_frames`, and energies of them as `lattice_constant` takes them.

    None where too few frames count: not resolved.
    """
    found = lattice_constant(frames, ROOM_TEMPERATURE_K, energies_eV)
    return {
        "lattice_constant_300K_angstrom": found.angstrom if found.resolved else None,
        "lattice_constant_300K_error_angstrom": found.error_angstrom if found.resolved else None,
    }


def elastic_properties(state: GroundState, calculator: Any) -> dict[str, float]:
    """Elastic constants of the relaxed ordered cell."""
    found = elastic_constants(state.atoms, calculator)
    return {
        "C11_GPa": found.C11_GPa,
        "C12_GPa": found.C12_GPa,
        "C44_GPa": found.C44_GPa,
        "bulk_modulus_GPa": found.bulk_modulus_GPa,
        "elastically_stable": float(found.is_stable),
    }


def repulsion(labelled: Sequence[Atoms], calculator: Any, seed: int) -> dict[str, float]:
    """What pushing atoms together on frames of runs finds: wells, and where energy stops rising; none is best.

    Args:
        labelled: The large label set; frames of bulk are taken of it.
        calculator: Any of ASE with energies.
        seed: Of what is pushed where: the same for two methods.
    """
    bulk = [atoms for atoms in labelled if atoms.info["class"] == "bulk"]
    frames = bulk[:: max(1, len(bulk) // FRAMES)][:FRAMES]
    found = short_range(frames, calculator, CONTACTS, displacements=INSERTIONS, seed=seed)
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
