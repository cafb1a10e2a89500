"""Perfect crystals as what grains are made of: whole rigid units, single sites, and sites of the mobile ion."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import spglib
from ase import Atoms

from argyro.common.errors import StructureError
from argyro.config.materials import Material, RigidUnit
from argyro.config.structures import DistanceLimits, LithiumSites

from . import argyrodite, cif
from .disorder import OCCUPANCY_TOLERANCE, SiteKind
from .integers import lattice_basis
from .neighbours import FloatArray, PeriodicPoints

CENTRING = 12  # fractions of a cell that centring translations are multiples of
SYMMETRY_PRECISION = 0.01  # angstrom


@dataclass(frozen=True, eq=False)
class Body:
    """Places of a crystal that hold alike things, a whole rigid unit or one atom, each moved or removed as a whole.

    Attributes:
        name: For messages; of a single site its kind's.
        anchors: Where they are in the conventional cell, shape (M, 3), angstrom.
        offsets: Their atoms from there, shape (M, B, 3), angstrom.
        elements: What each of the B atoms may be.
        is_rigid: Whether they are rigid units, each atom of one element.
    """

    name: str
    anchors: FloatArray
    offsets: FloatArray
    elements: tuple[tuple[str, ...], ...]
    is_rigid: bool


@dataclass(frozen=True, eq=False)
class Crystal:
    """A crystal to fill grains with.

    Attributes:
        material: What it is.
        cell: Conventional cell vectors as rows, shape (3, 3), angstrom.
        primitive: Vectors that span the lattice, as rows, shape (3, 3), angstrom.
        formula_units: In the conventional cell.
        kinds: All sites.
        framework: Bodies that do not diffuse.
        mobile: Sites of the mobile ion.
        point_group: Rotations, proper and improper, that the crystal, disordered as it is, looks the same after, shape
            (G, 3, 3), of columns.
    """

    material: Material
    cell: FloatArray
    primitive: FloatArray
    formula_units: int
    kinds: tuple[SiteKind, ...]
    framework: tuple[Body, ...]
    mobile: tuple[SiteKind, ...]
    point_group: FloatArray

    @cached_property
    def volume_per_formula_unit(self) -> float:
        """Cubic angstrom."""
        return float(np.linalg.det(self.cell)) / self.formula_units

    def per_formula_unit(self, body: Body) -> Fraction:
        """How many bodies of a kind there are per formula unit."""
        return Fraction(len(body.anchors), self.formula_units)

    def is_possible(self, units: int) -> bool:
        """Whether a number of formula units makes up whole bodies and atoms, with the exchange that is asked for."""
        if any((self.per_formula_unit(body) * units).denominator > 1 for body in self.framework):
            return False
        if self.material.cif is None:
            return argyrodite.is_possible(self.material, units)
        amounts = self.material.composition.values()
        return all((amount * units).denominator == 1 for amount in amounts) and all(
            abs(places * part - round(places * part)) <= OCCUPANCY_TOLERANCE * places + 1e-9
            for kind in self.kinds
            if kind not in self.mobile  # mobile ions are free to change sites
            for places in [len(kind.fractional) * units / self.formula_units]
            for part in kind.occupancies.values()
        )

    def charge_of(self, occupancies: Mapping[str, float]) -> float:
        """Mean formal charge of a site."""
        return sum(part * self.material.states.get(element, 0) for element, part in occupancies.items())

    def charges_of(self, body: Body) -> FloatArray:
        """Mean formal charge of each atom of a body, shape (B,)."""
        if body.is_rigid:
            return np.array([self.charge_of({element: 1.0}) for (element,) in body.elements])
        return np.array([self.charge_of(kind.occupancies) for kind in self.kinds if kind.name == body.name])

    def mobile_ions(self, units: int, framework: Atoms) -> int:
        """How many mobile ions belong to a framework, beyond those on mixed sites that are in it."""
        mobile = self.material.mobile
        return int(self.material.composition[mobile] * units) - int((framework.symbols == mobile).sum())

    def contents(self, units: int, rng: np.random.Generator) -> Mapping[str, Mapping[str, int]]:
        """Atoms of every element on single sites of the framework, by their names, for a possible number of units."""
        found = {}
        for body in (body for body in self.framework if not body.is_rigid):
            places = int(self.per_formula_unit(body) * units)
            kind = next(kind for kind in self.kinds if kind.name == body.name)
            found[body.name] = {element: round(part * places) for element, part in kind.occupancies.items()}
        return found if self.material.cif else found | argyrodite.anion_counts(self.material, units, rng)


def crystal_of(material: Material, lithium_sites: LithiumSites, limits: DistanceLimits) -> Crystal:
    """The crystal of a material.

    Args:
        material: An argyrodite, or a material with a CIF.
        lithium_sites: Of argyrodites.
        limits: How close mobile ions may come, where sites of a CIF are partially occupied.

    Raises:
        FileError: the CIF cannot be read.
        StructureError: it does not fit the formula, or its rigid units are not whole.
    """
    if material.cif is None:
        kinds, cell = argyrodite.site_kinds(material, lithium_sites)
    else:
        kinds, cell = cif.site_kinds(material.cif, material, limits.between(material.mobile, material.mobile))
    framework = [kind for kind in kinds if set(kind.occupancies) != {material.mobile}]
    symmetry = _symmetry(kinds, cell)
    return Crystal(
        material=material,
        cell=cell,
        primitive=_primitive_lattice(symmetry, cell),
        formula_units=_formula_units(kinds, material),
        kinds=tuple(kinds),
        framework=tuple(_bodies(framework, cell, material)),
        mobile=tuple(kind for kind in kinds if set(kind.occupancies) == {material.mobile}),
        point_group=np.unique(cell.T @ symmetry["rotations"] @ np.linalg.inv(cell.T), axis=0),
    )


def _formula_units(kinds: list[SiteKind], material: Material) -> int:
    """Formula units in the conventional cell."""
    totals = dict.fromkeys(material.composition, 0.0)
    for kind in kinds:
        for element, part in kind.occupancies.items():
            totals[element] = totals.get(element, 0.0) + part * len(kind.fractional)
    ratios = [totals[element] / float(amount) for element, amount in material.composition.items()]
    units = round(ratios[0])
    if set(totals) != set(material.composition) or max(abs(ratio - units) for ratio in ratios) > 0.02 * units:
        found = ", ".join(f"{element} {amount:g}" for element, amount in totals.items())
        raise StructureError(
            f"the cell of {material.id} holds {found}, which is no multiple of its formula {material.formula}; correct "
            "the formula or the cif"
        )
    return units


def _symmetry(kinds: list[SiteKind], cell: FloatArray) -> dict[str, Any]:
    """Operations of the space group: rotations and translations in fractions of the cell."""
    positions = np.concatenate([kind.fractional for kind in kinds])
    numbers = np.repeat(np.arange(len(kinds)), [len(kind.fractional) for kind in kinds])
    found = spglib.get_symmetry((cell.tolist(), positions.tolist(), numbers.tolist()), symprec=SYMMETRY_PRECISION)
    if found is None:
        raise StructureError("the symmetry of the crystal cannot be found: do two of its sites coincide?")
    return {name: np.asarray(found[name]) for name in ("rotations", "translations")}


def _primitive_lattice(symmetry: dict[str, Any], cell: FloatArray) -> FloatArray:
    """Vectors that span all translations of the crystal onto itself."""
    pure = (symmetry["rotations"] == np.eye(3, dtype=int)).all(axis=(1, 2))
    translations = np.rint(symmetry["translations"][pure] * CENTRING).astype(np.int64)
    basis = lattice_basis(np.concatenate([translations, CENTRING * np.eye(3, dtype=np.int64)]))
    lattice: FloatArray = basis / CENTRING @ cell
    return lattice


def _bodies(kinds: list[SiteKind], cell: FloatArray, material: Material) -> list[Body]:
    """Rigid units, and the sites that belong to none."""
    bodies = []
    for unit in material.rigid_units:
        found, kinds = _split_off(unit, kinds, cell)
        bodies += found
    return bodies + [
        Body(
            kind.name,
            kind.fractional @ cell,
            np.zeros((len(kind.fractional), 1, 3)),
            (tuple(kind.occupancies),),
            is_rigid=False,
        )
        for kind in kinds
    ]


def _split_off(unit: RigidUnit, kinds: list[SiteKind], cell: FloatArray) -> tuple[list[Body], list[SiteKind]]:
    """Bodies of one kind of rigid unit, and what is left of the sites."""
    centers = [kind for kind in kinds if set(kind.occupancies) == {unit.center}]
    ligands = [kind for kind in kinds if set(kind.occupancies) == {unit.ligand}]
    others = [kind for kind in kinds if kind not in centers and kind not in ligands]
    fractional = np.concatenate([np.empty((0, 3)), *(kind.fractional for kind in ligands)])
    owner = np.repeat(np.arange(len(ligands)), [len(kind.fractional) for kind in ligands])
    bound = np.zeros(len(fractional), dtype=bool)
    bodies = []
    for kind in centers:
        offsets = []
        for center in kind.fractional @ cell:
            near = PeriodicPoints(fractional @ cell - center, cell, unit.max_bond_angstrom)
            bonds = near.tree.query_ball_point(np.zeros(3), unit.max_bond_angstrom)
            _require_whole(unit, len(bonds), kind)
            bound[near.index[bonds]] = True
            offsets.append(np.concatenate([np.zeros((1, 3)), near.tree.data[bonds]]))
        elements = ((unit.center,), *[(unit.ligand,)] * unit.count)
        bodies.append(Body(kind.name, kind.fractional @ cell, np.array(offsets), elements, is_rigid=True))
    for index, kind in enumerate(ligands):
        free = ~bound[owner == index]
        if free.any():
            others.append(SiteKind(kind.name, kind.fractional[free], kind.occupancies, kind.exclusion_angstrom))
    return bodies, others


def _require_whole(unit: RigidUnit, found: int, kind: SiteKind) -> None:
    if found != unit.count:
        raise StructureError(
            f"{kind.name}: around one of them {found} sites hold {unit.ligand} and nothing else within "
            f"{unit.max_bond_angstrom} angstrom, where {unit.count} would be a whole "
            f"{unit.center}{unit.ligand}{unit.count}; correct rigid_units, or give a cif with ordered rigid units"
        )
