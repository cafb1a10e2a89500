"""Proof that a structure is sound: formula, charge, whole rigid units, distances, density."""

from collections import Counter
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

from argyro.common.errors import StructureError
from argyro.common.extxyz import write_structures
from argyro.common.files import write_json
from argyro.config.composition import charge, format_formula
from argyro.config.materials import Material, RigidUnit

DISTANCE_RANGE = 3.0  # angstrom; larger smallest distances of a pair are not looked for
GRAM_PER_CM3 = 1.66053906892  # of one atomic mass unit per cubic angstrom (CODATA 2022)


@dataclass(frozen=True)
class Report:
    """What the validator found in one structure.

    Attributes:
        material: Name of the material.
        atoms: Number of atoms.
        formula: Elements and numbers of atoms, in the order of the potential's species.
        formula_units: How many there are; a fraction if the composition is wrong.
        charge: Sum of the oxidation states.
        rigid_units: Whole and broken ones of each kind, such as ``{"PS4": {"whole": 4, "broken": 0}}``.
        smallest_distances_angstrom: Of each pair of elements that come within 3 angstrom.
        density_g_per_cm3: Mass density.
        cell_angstrom: Cell vectors as rows.
        violations: What is wrong, a sentence each; empty if the structure is sound.
    """

    material: str
    atoms: int
    formula: str
    formula_units: float
    charge: float
    rigid_units: dict[str, dict[str, int]]
    smallest_distances_angstrom: dict[str, float]
    density_g_per_cm3: float
    cell_angstrom: list[list[float]]
    violations: list[str]

    @property
    def ok(self) -> bool:
        """Whether the structure is sound."""
        return not self.violations

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON holds it."""
        return asdict(self)


def validate(atoms: Atoms, material: Material, minimum_distance: float) -> Report:
    """Examine a structure.

    Args:
        atoms: A periodic structure of any size.
        material: What it should be made of, and what should stay whole.
        minimum_distance: No two atoms may be closer, angstrom.
    """
    counts = Counter(atoms.get_chemical_symbols())
    units, violations = _composition_violations(counts, material)
    total_charge = float(charge(counts, material.states)) if set(counts) <= set(material.states) else float("nan")
    distances = smallest_distances(atoms, material)
    violations += [
        f"{pair}: {distance:.3f} angstrom apart, closer than {minimum_distance} angstrom"
        for pair, distance in distances.items()
        if distance < minimum_distance
    ]
    rigid = {f"{unit.center}{unit.ligand}{unit.count}": broken_units(atoms, unit) for unit in material.rigid_units}
    violations += [
        f"{name}: {len(broken)} of {total} units broken" for name, (total, broken) in rigid.items() if broken
    ]
    return Report(
        material=material.id,
        atoms=len(atoms),
        formula="".join(f"{e}{counts[e]}" for e in sorted(counts, key=_order(material))),
        formula_units=float(units),
        charge=total_charge,
        rigid_units={name: {"whole": n - len(broken), "broken": len(broken)} for name, (n, broken) in rigid.items()},
        smallest_distances_angstrom=distances,
        density_g_per_cm3=float(GRAM_PER_CM3 * atoms.get_masses().sum() / atoms.get_volume()),
        cell_angstrom=atoms.cell.array.tolist(),
        violations=violations,
    )


def require_sound(report: Report, what: str) -> None:
    """Refuse an unsound structure.

    Raises:
        StructureError: names the structure and every violation.
    """
    if not report.ok:
        raise StructureError(f"{what} is not sound: {'; '.join(report.violations)}")


def write_structure(path: Path, atoms: Atoms, report: Report) -> None:
    """Write a structure as extended XYZ with its report as JSON beside it; the report last."""
    write_structures(path, [atoms])
    write_json(path.with_suffix(".json"), report.as_dict())


def smallest_distances(atoms: Atoms, material: Material) -> dict[str, float]:
    """Smallest distance of every pair of elements that comes within 3 angstrom, periodic images included, angstrom."""
    first, second, distance = neighbor_list("ijd", atoms, DISTANCE_RANGE)
    symbols = np.array(atoms.get_chemical_symbols())
    elements = sorted(set(symbols.tolist()), key=_order(material))
    smallest = {}
    for k, a in enumerate(elements):
        for b in elements[k:]:
            between = distance[(symbols[first] == a) & (symbols[second] == b)]
            if len(between):
                smallest[f"{a}-{b}"] = float(between.min())
    return smallest


def broken_units(atoms: Atoms, unit: RigidUnit) -> tuple[int, list[int]]:
    """Number of rigid units, and the centers of those that have not their number of ligands.

    A ligand counts for its nearest center only, so two centers cannot share one.
    """
    symbols = np.array(atoms.get_chemical_symbols())
    centers = np.flatnonzero(symbols == unit.center)
    first, second, distance = neighbor_list("ijd", atoms, unit.max_bond_angstrom)
    bonds = (symbols[first] == unit.ligand) & (symbols[second] == unit.center)
    ligand, center, length = first[bonds], second[bonds], distance[bonds]
    order = np.lexsort((length, ligand))
    nearest = np.unique(ligand[order], return_index=True)[1]
    found = np.bincount(center[order][nearest], minlength=len(atoms))
    return len(centers), [int(c) for c in centers if found[c] != unit.count]


def _composition_violations(counts: Counter[str], material: Material) -> tuple[Fraction, list[str]]:
    """Formula units by the scarcest element, and what does not fit them."""
    units = min(Fraction(counts[element]) / amount for element, amount in material.composition.items())
    violations = []
    if strange := sorted(set(counts) - set(material.composition)):
        violations.append(f"{', '.join(strange)} does not belong to {material.formula}")
    expected = {element: amount * units for element, amount in material.composition.items()}
    if units == 0 or any(counts[element] != number for element, number in expected.items()):
        found = format_formula({element: counts[element] for element in material.composition})
        violations.append(f"the composition {found} is no multiple of {material.formula}")
    return units, violations


def _order(material: Material) -> Any:
    """Key that sorts elements like a potential's species, strange ones last."""
    known = {element: index for index, element in enumerate(material.elements)}
    return lambda element: (known.get(element, len(known)), element)
