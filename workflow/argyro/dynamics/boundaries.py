"""Boundary energies and excess volumes from relaxed structures, and which atoms belong to a boundary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.units import _e

from argyro.common.errors import DynamicsError
from argyro.common.statistics import student_interval
from argyro.config.materials import Material
from argyro.microstructure.model import Microstructure, strained
from argyro.microstructure.regions import Regions
from argyro.microstructure.tessellation import tessellate

from .environment import Lattice, environment_of

type FloatArray = npt.NDArray[np.float64]
type Record = Mapping[str, Any]

MEV = 1000.0  # in one eV
J_PER_M2 = _e * 1e20  # of one eV/angstrom^2
PROBABILITIES = (0.68, 0.95)


@dataclass(frozen=True)
class Mean:
    """A mean of independent values.

    Attributes:
        value: The mean.
        error: Its standard error; NaN for one value.
        freedom: Degrees of freedom of the error.
    """

    value: float
    error: float
    freedom: float

    def interval(self, probability: float) -> tuple[float, float]:
        """Where the truth is with a probability, by Student's distribution; NaN where the error is."""
        return student_interval(self.value, self.error, self.freedom, probability)


def mean_of(values: Sequence[float]) -> Mean:
    """Mean of values and its error from their scatter."""
    count = len(values)
    error = float(np.std(values, ddof=1) / np.sqrt(count)) if count > 1 else float("nan")
    return Mean(float(np.mean(values)), error, max(count - 1, 1))


def excess(cells: Sequence[float], per_unit: Sequence[float], units: float, area: float) -> Mean:
    """What boundaries have more than bulk, per area: of energies the boundary energy, of volumes the excess volume.

    (X - N x) / A, with Welch's degrees of freedom for the two scatters: an interval of 95 % covers 92 % where one of
    the two has two values only, what it says from three on.

    Args:
        cells: X of each independent relaxation of the structure.
        per_unit: x of each independent relaxation of bulk, per formula unit.
        units: Formula units N of the structure.
        area: Of all boundaries of the structure together, A.
    """
    cell, bulk = mean_of(cells), mean_of(per_unit)
    value = (cell.value - units * bulk.value) / area
    parts = np.array([cell.error, units * bulk.error]) ** 2
    if not np.isfinite(parts).all():
        return Mean(value, float("nan"), 1.0)
    total = float(parts.sum())
    freedom = total**2 / float((parts**2 / [cell.freedom, bulk.freedom]).sum()) if total > 0 else cell.freedom
    return Mean(value, float(np.sqrt(total)) / area, freedom)


def boundary_area(microstructure: Microstructure) -> float:
    """Of all boundaries of a cell, square angstrom; a bicrystal has two of them."""
    return tessellate(microstructure).boundary_area


def boundary_row(
    structure: Atoms, records: Sequence[Record], bulk: Sequence[Record], material: Material, area: float
) -> dict[str, Any]:
    """A row of the table of boundaries: one structure, relaxed several times.

    Args:
        structure: As it was built, with what the builder says of it in ``info``.
        records: Of its relaxations.
        bulk: Of those of the material's bulk.
        material: What it is of.
        area: Of its boundaries, square angstrom.

    Raises:
        DynamicsError: no relaxation of bulk, or none of the structure, held together.
    """
    per_unit = sum(material.composition.values())
    sound = [record for record in records if record["energy_eV"] is not None]
    reference = [record for record in bulk if record["energy_eV"] is not None]
    if not reference or not sound:
        failed = (records if reference else bulk)[0]
        raise DynamicsError(f"no relaxation of {failed['structure']} held together: {failed['message']}")
    units = len(structure) / float(per_unit)
    energies = [record["energy_eV"] / record["atoms"] * float(per_unit) for record in reference]
    volumes = [record["volume_angstrom3"] / record["atoms"] * float(per_unit) for record in reference]
    energy = excess([record["energy_eV"] for record in sound], energies, units, area)
    volume = excess([record["volume_angstrom3"] for record in sound], volumes, units, area)
    lowest = excess([min(record["energy_eV"] for record in sound)], energies, units, area)
    info = structure.info
    return {
        "structure": records[0]["structure"],
        "material": material.id,
        "anion": material.anion,
        "exchange_percent": material.exchange_percent,
        "boundary": info.get("boundary", info.get("microstructure")),
        "sigma": info.get("sigma"),
        "misorientation_degrees": info.get("misorientation_degrees"),
        "boundaries_equivalent": info.get("boundaries_equivalent"),
        "atoms": len(structure),
        "formula_units": round(units),
        "area_angstrom2": area,
        "relaxations": len(records),
        "held": len(sound),
        "converged": sum(record["converged"] for record in sound),
        "broken_units": max(record["broken_units"] for record in sound),
        "bulk_relaxations": len(reference),
        "bulk_energy_eV_per_formula_unit": float(np.mean(energies)),
        "lowest_energy_meV_per_angstrom2": MEV * lowest.value,
        **_columns("energy", "meV_per_angstrom2", energy, MEV),
        **_columns("energy", "J_per_m2", energy, J_PER_M2),
        **_columns("excess_volume", "angstrom", volume, 1.0),
        "resolved": bool(np.isfinite(energy.error)),
    }


def _columns(name: str, unit: str, mean: Mean, scale: float) -> dict[str, float]:
    columns = {f"{name}_{unit}": scale * mean.value, f"{name}_error_{unit}": scale * mean.error}
    for probability in PROBABILITIES:
        low, high = mean.interval(probability)
        columns[f"{name}_{unit}_lo{100 * probability:.0f}"] = scale * low
        columns[f"{name}_{unit}_hi{100 * probability:.0f}"] = scale * high
    return columns


def flagged(
    atoms: Atoms, microstructure: Microstructure, lattice: Lattice, width: float
) -> tuple[Atoms, Microstructure]:
    """A relaxed structure with arrays that tell its boundaries, and its grains in its relaxed cell.

    Args:
        atoms: Relaxed, without drift.
        microstructure: As it was built.
        lattice: Of the perfect crystal.
        width: Of boundaries, angstrom.

    Returns:
        The atoms with ``boundary_distance_angstrom``, ``facet`` (index of the nearest), ``is_boundary`` (by that
        distance), ``lattice_match``, ``lattice_grain`` and ``is_boundary_by_structure``; and the microstructure.
    """
    now = strained(microstructure, atoms.cell.array)
    region = Regions(tessellate(now)).find(atoms.positions)
    environment = environment_of(atoms, lattice, list(now.rotations))
    marked = atoms.copy()
    arrays = {
        "boundary_distance_angstrom": region.distance,
        "facet": region.facet,
        "is_boundary": region.is_boundary(width),
        "lattice_match": environment.match,
        "lattice_grain": environment.grain,
        "is_boundary_by_structure": environment.is_boundary,
    }
    for name, values in arrays.items():
        marked.set_array(name, values)
    return marked, now


def boundary_fractions(atoms: Atoms) -> dict[str, float]:
    """Parts of the atoms of a flagged structure that belong to boundaries, by distance and by structure."""
    return {
        "boundary_atoms_fraction": float(atoms.arrays["is_boundary"].mean()),
        "boundary_atoms_fraction_by_structure": float(atoms.arrays["is_boundary_by_structure"].mean()),
    }
