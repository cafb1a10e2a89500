"""How close bodies of different grains are set to each other, before a structure is relaxed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np

from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits

from .crystal import Crystal
from .neighbours import FloatArray, IntArray, PeriodicPoints
from .placed import PlacedBodies

ANION_RADII = {
    "N": 1.46, "O": 1.40, "F": 1.33, "S": 1.84, "Cl": 1.81, "Se": 1.98, "Br": 1.96, "Te": 2.21, "I": 2.20,
}  # fmt: skip
"""Effective ionic radii, angstrom, sixfold coordinated, of N fourfold (Shannon, Acta Cryst. A32, 751 (1976))."""
CONTACT = 0.75
"""Two anions of different bodies come no closer than this part of the sum of their radii. The validator's limits, by
covalent radii, would allow half of it, deep inside their repulsion; in bulk argyrodites they are 0.93 or more apart."""
UNBOUND = 1.01  # times the longest bond of a rigid unit: ligands of one are not bound to another
WITHIN_BULK = 0.99  # times the distance in the bulk is always allowed: a crystal does not clash with itself


class BodyAtoms(NamedTuple):
    """Atoms of bodies of several kinds.

    Attributes:
        positions: Shape (A, 3), angstrom.
        owner: Index of the body of each, counted over all bodies, shape (A,).
        kind: Index of the kind of each in `Contacts`, shape (A,).
    """

    positions: FloatArray
    owner: IntArray
    kind: IntArray


@dataclass(frozen=True, eq=False)
class Contacts:
    """Contact distances of the atoms of a crystal's bodies.

    Attributes:
        kinds: What an atom may be: elements of a site, or the one element of a place in a rigid unit.
        distance: Of each two kinds, shape (K, K), angstrom.
    """

    kinds: tuple[tuple[str, ...], ...]
    distance: FloatArray

    def atoms_of(self, bodies: Sequence[PlacedBodies]) -> BodyAtoms:
        """All atoms of bodies."""
        starts = np.cumsum([0, *map(len, bodies)])
        sizes = [placed.positions.shape[1] for placed in bodies]
        return BodyAtoms(
            np.concatenate([placed.positions.reshape(-1, 3) for placed in bodies]),
            np.concatenate(
                [np.repeat(start + np.arange(len(p)), n) for start, p, n in zip(starts, bodies, sizes, strict=False)]
            ),
            np.concatenate([np.tile([self.kinds.index(e) for e in p.body.elements], len(p)) for p in bodies]),
        )

    def clashes(self, atoms: BodyAtoms, cell: FloatArray) -> IntArray:
        """Bodies that are too close to each other.

        Args:
            atoms: Of all bodies.
            cell: Cell vectors as rows, shape (3, 3), angstrom.

        Returns:
            Pairs of bodies, each in both orders and once, shape (C, 2).
        """
        reach = float(self.distance.max())
        points = PeriodicPoints(atoms.positions, cell, reach)
        pairs = points.pairs_from(points, reach)
        one, other = atoms.owner[pairs.first], atoms.owner[pairs.second]
        too_close = pairs.distance < self.distance[atoms.kind[pairs.first], atoms.kind[pairs.second]]
        # A body and its own image cannot be told from a bond: cells are wider than bodies
        found: IntArray = np.unique(np.stack([one, other], axis=1)[too_close & (one != other)], axis=0)
        return found


def contacts_of(crystal: Crystal, limits: DistanceLimits) -> Contacts:
    """Contact distances in a crystal: what limits and anions demand, or less where the crystal itself has less."""
    kinds = tuple(dict.fromkeys(elements for body in crystal.framework for elements in body.elements))
    contacts = Contacts(kinds, np.zeros((len(kinds), len(kinds))))
    for i, j in combinations_with_replacement(range(len(kinds)), 2):
        # A site may hold any of its elements: the largest distance will do for all of them
        wanted = max(_contact_distance(crystal.material, limits, a, b) for a in kinds[i] for b in kinds[j])
        contacts.distance[i, j] = contacts.distance[j, i] = wanted
    return Contacts(kinds, np.minimum(contacts.distance, WITHIN_BULK * _bulk_distances(crystal, contacts)))


def _contact_distance(material: Material, limits: DistanceLimits, first: str, second: str) -> float:
    limit = limits.between(first, second)
    for unit in material.rigid_units:
        if {first, second} == {unit.center, unit.ligand}:
            limit = max(limit, UNBOUND * unit.max_bond_angstrom)
    if material.states.get(first, 0) < 0 and material.states.get(second, 0) < 0:
        limit = max(limit, CONTACT * (ANION_RADII.get(first, 0.0) + ANION_RADII.get(second, 0.0)))
    return limit


def _bulk_distances(crystal: Crystal, contacts: Contacts) -> FloatArray:
    """Smallest distance in the bulk of each two kinds of atoms of different bodies; infinite if it is out of reach."""
    none, nowhere = np.empty(0), np.empty(0, dtype=int)
    bodies = [PlacedBodies(body, body.anchors[:, None, :] + body.offsets, nowhere, none) for body in crystal.framework]
    positions, owner, kind = contacts.atoms_of(bodies)
    reach = float(contacts.distance.max())
    points = PeriodicPoints(positions, crystal.cell, reach)
    pairs = points.pairs_from(points, reach)
    apart = owner[pairs.first] != owner[pairs.second]
    smallest = np.full_like(contacts.distance, np.inf)
    np.minimum.at(smallest, (kind[pairs.first[apart]], kind[pairs.second[apart]]), pairs.distance[apart])
    return smallest
