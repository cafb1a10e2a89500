"""Slabs of a crystal: whole lattice layers, each of exact composition, cut between the planes that bodies lie in."""

from dataclasses import dataclass
from itertools import product
from math import ceil

import numpy as np

from .coincidence import coordinates, rational
from .crystal import Body, Crystal
from .integers import lattice_basis
from .mobile import Pattern
from .neighbours import FloatArray, IntArray
from .placed import PlacedBodies, PlacedSites, join_sites

ON_PLANE = 1e-6  # fractions of a layer by which a point on its face may seem to be outside
SITE_MARGIN = 2.5  # angstrom beyond its slab in which sites of the mobile ion are used
SAME_POINT = 5  # decimals of fractional coordinates


@dataclass(frozen=True, eq=False)
class Layering:
    """How a crystal is cut and stacked.

    Attributes:
        basis: Lattice vectors in the boundary's frame, as rows, shape (3, 3), angstrom: two in the plane, and one to
            the next layer.
        orientation: From the crystal to the frame, shape (3, 3).
        cell: Vectors of the slab in the plane, as rows, shape (2, 3), angstrom.
        cut: Where a layer begins, above the crystal's origin, a fraction of the third lattice vector.
        count: Number of layers.
    """

    basis: FloatArray
    orientation: FloatArray
    cell: FloatArray
    cut: float
    count: int

    @property
    def thickness(self) -> float:
        """Of the slab, angstrom."""
        return self.count * float(self.basis[2, 2])

    def stack(self, points: FloatArray, margin: float = 0.0) -> tuple[FloatArray, IntArray]:
        """All images, inside the slab, of points of the crystal's conventional cell.

        Args:
            points: Shape (M, 3), angstrom, in the crystal's frame.
            margin: How far beyond the slab, angstrom.

        Returns:
            Positions above the slab's lower face, shape (K, 3), angstrom, and which of the points each is an image of.
        """
        fractional = fractions_of_layer(points, self)
        first = np.unique(fractional.round(SAME_POINT) % 1, axis=0, return_index=True)[1]
        extra = ceil(margin / self.basis[2, 2])
        layers = np.arange(-extra, self.count + extra)
        shifts = (self._in_plane()[:, None, :] + layers[None, :, None] * self.basis[2]).reshape(-1, 3)
        positions = ((fractional[first] @ self.basis)[:, None, :] + shifts).reshape(-1, 3)
        inside = (positions[:, 2] >= -margin - ON_PLANE) & (positions[:, 2] < self.thickness + margin)
        return positions[inside], np.repeat(first, len(shifts))[inside]

    def in_crystal(self, positions: FloatArray) -> FloatArray:
        """Positions above the slab's lower face, shape (K, 3), as positions in the crystal's frame, angstrom."""
        found: FloatArray = (positions + self.cut * self.basis[2]) @ self.orientation
        return found

    def depth(self, positions: FloatArray) -> FloatArray:
        """How far inside the slab positions above its lower face are, shape (K,), angstrom."""
        found: FloatArray = np.minimum(positions[:, 2], self.thickness - positions[:, 2])
        return found

    def _in_plane(self) -> FloatArray:
        """Lattice vectors in the plane, one for each lattice point of the slab's cell, shape (L, 3), angstrom."""
        found = rational(coordinates(self.cell, self.basis[:2]))
        if found is None or found[1] != 1:
            raise ValueError("the slab's cell is none of the crystal's lattice")
        columns, rows = np.abs(np.diag(lattice_basis(found[0])))
        steps = np.array(list(product(range(columns), range(rows))))
        vectors: FloatArray = steps @ self.basis[:2]
        return vectors


def fractions_of_layer(points: FloatArray, layering: Layering) -> FloatArray:
    """Points of the crystal, shape (M, 3), angstrom, brought into its first layer, in fractions of lattice vectors."""
    fractional = coordinates(points @ layering.orientation.T, layering.basis)
    fractional[:, 2] -= layering.cut
    return fractional - np.floor(fractional + ON_PLANE)


def terminations(crystal: Crystal, basis: FloatArray, orientation: FloatArray) -> list[float]:
    """All cuts that part a crystal differently, halfway between planes that bodies lie in, fractions of a layer."""
    anchors = np.concatenate([body.anchors for body in crystal.framework])
    heights = coordinates(anchors @ orientation.T, basis)[:, 2]
    planes = np.unique((heights - np.floor(heights + ON_PLANE)).round(SAME_POINT))
    return [float(cut) for cut in (planes + np.append(planes[1:], planes[0] + 1)) / 2 % 1]


def face_charge(crystal: Crystal, layering: Layering) -> float:
    """Charge of the upper face of a slab, elementary charges per square angstrom; the lower face has the opposite.

    It is the dipole moment of a layer over its volume (Tasker, J. Phys. C 12, 4977 (1979)), with formal charges,
    ligands where their unit is, and elements and mobile ions as occupied on average.
    """
    moment = 0.0
    for body in crystal.framework:
        height = fractions_of_layer(body.anchors, layering)[:, 2] * layering.basis[2, 2]
        lifted = (body.offsets @ layering.orientation.T)[:, :, 2] + height[:, None]
        moment += float((lifted * crystal.charges_of(body)).sum())
    for kind in crystal.mobile:
        height = fractions_of_layer(kind.fractional @ crystal.cell, layering)[:, 2] * layering.basis[2, 2]
        moment += float(height.sum()) * crystal.charge_of(kind.occupancies)
    return moment / float(np.linalg.det(crystal.cell))


def slab_bodies(body: Body, layering: Layering, grain: int, origin: FloatArray) -> PlacedBodies:
    """All bodies of a kind in a slab whose lower face is at an origin, shape (3,), angstrom."""
    anchors, owner = layering.stack(body.anchors)
    offsets = body.offsets @ layering.orientation.T
    positions = (anchors + origin)[:, None, :] + offsets[owner]
    return PlacedBodies(body, positions, np.full(len(anchors), grain), layering.depth(anchors))


def slab_sites(crystal: Crystal, pattern: Pattern, layering: Layering, grain: int, origin: FloatArray) -> PlacedSites:
    """All sites of the mobile ion in a slab and a little beyond, filled as in a pattern; otherwise as `slab_bodies`."""
    parts = []
    for kind in crystal.mobile:
        places, _ = layering.stack(kind.fractional @ crystal.cell, SITE_MARGIN)
        filled = pattern.is_filled(layering.in_crystal(places))
        parts.append(PlacedSites(places + origin, np.full(len(places), grain), layering.depth(places), filled))
    return join_sites(parts)
