"""Proof that a structure is sound: formula, charge, whole rigid units, distances, density."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from ase import Atoms

from argyro.common.errors import StructureError
from argyro.config.composition import charge, format_formula
from argyro.config.materials import Material, RigidUnit
from argyro.config.structures import DistanceLimits

from .neighbours import FloatArray, IntArray, PeriodicPoints

REACH = 8.0  # angstrom; smallest distances beyond it are not looked for
GRAM_PER_CM3 = 1.66053906892  # of one atomic mass unit per cubic angstrom (CODATA 2022)
NAMED_CENTERS = 5  # of broken units, in messages

type Sites = Mapping[str, tuple[IntArray, PeriodicPoints]]
"""For every element the indices of its atoms, and where they are."""


@dataclass(frozen=True)
class Report:
    """What the validator found in one structure.

    Attributes:
        material: Name of the material.
        atoms: Number of atoms.
        formula: Elements and numbers of atoms, in the order of the potential's species.
        formula_units: How many there are, by the scarcest element; a fraction if the composition is wrong.
        charge: Sum of the oxidation states; None if an element has none.
        rigid_units: Whole and broken ones of each kind, such as ``{"PS4": {"whole": 4, "broken": 0}}``.
        smallest_distances_angstrom: Of each pair of elements; None where it is beyond 8 angstrom.
        distance_limits_angstrom: Which they may not fall below.
        density_g_per_cm3: Mass density.
        cell_angstrom: Cell vectors as rows.
        violations: What is wrong, a sentence each; empty if the structure is sound.
        atoms_at_fault: Atoms that are too close to another, or in a broken unit, ascending.
    """

    material: str
    atoms: int
    formula: str
    formula_units: float
    charge: float | None
    rigid_units: dict[str, dict[str, int]]
    smallest_distances_angstrom: dict[str, float | None]
    distance_limits_angstrom: dict[str, float]
    density_g_per_cm3: float
    cell_angstrom: list[list[float]]
    violations: list[str]
    atoms_at_fault: list[int]

    @property
    def ok(self) -> bool:
        """Whether the structure is sound."""
        return not self.violations

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON holds it."""
        return asdict(self)


@dataclass
class _Findings:
    """What is collected on the way."""

    violations: list[str] = field(default_factory=list)
    at_fault: set[int] = field(default_factory=set)


def validate(atoms: Atoms, material: Material, limits: DistanceLimits) -> Report:
    """Examine a structure.

    Args:
        atoms: A structure of any size, periodic in all directions.
        material: What it should be made of, and what should stay whole.
        limits: How close atoms may come; scaled down for rattled structures and frames of hot runs.

    Raises:
        StructureError: there is no periodic cell, or a position is no number: nothing can be examined.
    """
    cell = _checked_cell(atoms, material)
    elements = _ordered(set(atoms.get_chemical_symbols()), material)
    reach = max(REACH, *(unit.max_bond_angstrom for unit in material.rigid_units), 0.0)
    sites = {element: _points(atoms, element, cell, reach) for element in elements}
    findings = _Findings()
    units, total_charge = _composition(atoms, material, findings)
    pair_limits = {f"{a}-{b}": limits.between(a, b) for k, a in enumerate(elements) for b in elements[k:]}
    distances = _distances(sites, pair_limits, findings)
    rigid = {f"{u.center}{u.ligand}{u.count}": _rigid_units(sites, u, findings) for u in material.rigid_units}
    counts = {element: len(indices) for element, (indices, _) in sites.items()}
    return Report(
        material=material.id,
        atoms=len(atoms),
        formula="".join(f"{element}{count}" for element, count in counts.items()),
        formula_units=float(units),
        charge=total_charge,
        rigid_units=rigid,
        smallest_distances_angstrom=distances,
        distance_limits_angstrom=pair_limits,
        density_g_per_cm3=float(GRAM_PER_CM3 * atoms.get_masses().sum() / atoms.get_volume()),
        cell_angstrom=cell.tolist(),
        violations=findings.violations,
        atoms_at_fault=sorted(findings.at_fault),
    )


def require_sound(report: Report, what: str) -> None:
    """Refuse an unsound structure.

    Raises:
        StructureError: names the structure and every violation.
    """
    if not report.ok:
        raise StructureError(f"{what} is not sound: {'; '.join(report.violations)}")


def _checked_cell(atoms: Atoms, material: Material) -> FloatArray:
    cell: FloatArray = atoms.cell.array
    if not (np.isfinite(cell).all() and np.isfinite(atoms.positions).all()):
        raise StructureError(f"a structure of {material.id} has positions or cell vectors that are no finite numbers")
    if len(atoms) == 0 or not atoms.pbc.all() or atoms.cell.volume < 1.0:
        raise StructureError(
            f"a structure of {material.id} has no atoms, or no cell that is periodic in all directions"
        )
    return cell


def _ordered(elements: set[str], material: Material) -> list[str]:
    """Elements in the order of the potential's species, strange ones last."""
    return [e for e in material.elements if e in elements] + sorted(elements - set(material.elements))


def _points(atoms: Atoms, element: str, cell: FloatArray, reach: float) -> tuple[IntArray, PeriodicPoints]:
    indices = np.flatnonzero(atoms.symbols == element)
    return indices, PeriodicPoints(atoms.positions[indices], cell, reach)


def _composition(atoms: Atoms, material: Material, findings: _Findings) -> tuple[Fraction, float | None]:
    """Formula units, and the charge."""
    counts = Counter(atoms.get_chemical_symbols())
    units = min(Fraction(counts[element]) / amount for element, amount in material.composition.items())
    expected = {element: amount * units for element, amount in material.composition.items()}
    if strange := sorted(set(counts) - set(expected)):
        findings.violations.append(f"{', '.join(strange)} does not belong to {material.formula}")
    if units == 0 or any(counts[element] != number for element, number in expected.items()):
        found = format_formula({element: counts[element] for element in _ordered(set(counts), material)})
        findings.violations.append(f"the composition {found} is no multiple of {material.formula}")
    if not set(counts) <= set(material.states):
        return units, None
    total = charge(counts, material.states)
    if total != 0:
        findings.violations.append(f"the charge is {float(total):+g}")
    return units, float(total)


def _distances(sites: Sites, limits: Mapping[str, float], findings: _Findings) -> dict[str, float | None]:
    """Smallest distance of every pair of elements, angstrom."""
    smallest: dict[str, float | None] = {}
    for name, limit in limits.items():
        (first_atoms, first), (second_atoms, second) = (sites[element] for element in name.split("-"))
        smallest[name] = distance = second.nearest_distance_from(first, REACH)
        if distance is not None and distance < limit:
            pairs = second.pairs_from(first, limit)
            findings.at_fault |= {*first_atoms[pairs.first].tolist(), *second_atoms[pairs.second].tolist()}
            closest = int(pairs.distance.argmin())
            findings.violations.append(
                f"{name}: {distance:.3f} angstrom between atoms {first_atoms[pairs.first[closest]]} and "
                f"{second_atoms[pairs.second[closest]]}, closer than {limit:.3f}"
            )
    return smallest


def _rigid_units(sites: Sites, unit: RigidUnit, findings: _Findings) -> dict[str, int]:
    """Number of whole and broken units.

    A ligand counts for its nearest center only, so two centers cannot share one. A unit is whole if it has its number
    of ligands: neither fewer nor more.
    """
    if unit.center not in sites:
        return {"whole": 0, "broken": 0}
    centers, places = sites[unit.center]
    found = np.bincount(_bonds(sites, unit), minlength=len(centers))
    broken = np.flatnonzero(found != unit.count)
    if len(broken):
        named = ", ".join(f"atom {centers[k]} has {found[k]}" for k in broken[:NAMED_CENTERS])
        more = ", ..." if len(broken) > NAMED_CENTERS else ""
        findings.violations.append(
            f"{len(broken)} of {len(centers)} units {unit.center}{unit.ligand}{unit.count} are broken: {unit.center} "
            f"{named}{more} {unit.ligand} within {unit.max_bond_angstrom} angstrom"
        )
        findings.at_fault |= set(centers[broken].tolist())
        if unit.ligand in sites:
            ligands, ligand_places = sites[unit.ligand]
            findings.at_fault |= set(ligands[ligand_places.nearest_to(places.inside[broken], unit.count)].tolist())
    return {"whole": len(centers) - len(broken), "broken": len(broken)}


def _bonds(sites: Sites, unit: RigidUnit) -> IntArray:
    """For every bound ligand the center, by its place among centers, that it is bound to."""
    if unit.ligand not in sites:
        return np.empty(0, dtype=int)
    pairs = sites[unit.ligand][1].pairs_from(sites[unit.center][1], unit.max_bond_angstrom)
    order = np.lexsort((pairs.distance, pairs.second))
    nearest = order[np.unique(pairs.second[order], return_index=True)[1]]
    return pairs.first[nearest]
