"""Mobile ions: where they sit in the bulk, and where there is room for them between grains."""

from dataclasses import dataclass
from itertools import product
from math import ceil

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits

from .crystal import Crystal
from .disorder import Sublattice, separate
from .neighbours import FloatArray, IntArray, PeriodicPoints
from .placed import BoolArray, PlacedSites

PATTERN_EDGE = 25.0  # angstrom, at least, of the random pattern that is repeated in the grains
BAND = 8.0  # angstrom inside a grain up to which its neighbours matter to ions
TIE = 1e-9  # relative: sites at the distance of exclusion itself may both be filled


@dataclass(frozen=True, eq=False)
class Pattern:
    """A random arrangement of the mobile ion in the bulk.

    Attributes:
        cell: Vectors of a supercell as rows, shape (3, 3), angstrom.
        sites: All sites in it, shape (M, 3), angstrom.
        filled: Which are filled, shape (M,).
    """

    cell: FloatArray
    sites: FloatArray
    filled: BoolArray

    def is_filled(self, positions: FloatArray) -> BoolArray:
        """Whether sites of the crystal, anywhere, shape (N, 3), angstrom, are filled if the pattern is repeated."""
        points = PeriodicPoints(self.sites, self.cell, 1.0)
        inside = PeriodicPoints(positions, self.cell, 0.0).inside
        filled: BoolArray = self.filled[points.index[points.tree.query(inside)[1]]]
        return filled


def bulk_pattern(crystal: Crystal, rng: np.random.Generator) -> Pattern:
    """A random arrangement of the mobile ion, as occupied as in the bulk, to a fraction of an ion.

    Raises:
        StructureError: close sites cannot be avoided at these occupancies.
    """
    shape = [ceil(PATTERN_EDGE / length) for length in np.linalg.norm(crystal.cell, axis=1)]
    shifts = np.array(list(product(*map(range, shape))), dtype=float)
    cell = crystal.cell * np.array(shape, dtype=float)[:, None]
    sublattices = []
    for kind in crystal.mobile:
        sites = (shifts[:, None, :] + kind.fractional[None, :, :]).reshape(-1, 3) @ crystal.cell
        counts = {element: round(part * len(sites)) for element, part in kind.occupancies.items()}
        sublattices.append(Sublattice(kind.name, sites, counts, kind.exclusion_angstrom))
    filled = [rng.choice(len(s.positions), s.filled, replace=False) for s in sublattices]
    if any(kind.exclusion_angstrom > 0 for kind in crystal.mobile):
        filled = separate(sublattices, filled, cell, rng)
    flags = [np.isin(np.arange(len(s.positions)), kept) for s, kept in zip(sublattices, filled, strict=True)]
    return Pattern(cell, np.concatenate([s.positions for s in sublattices]), np.concatenate(flags))


def choose_sites(
    sites: PlacedSites, framework: Atoms, crystal: Crystal, limits: DistanceLimits, rng: np.random.Generator
) -> IntArray:
    """Sites that can be filled at once, as many as a greedy choice finds.

    First come those that are filled in the bulk, of these the deepest in their grain; then what else there is near the
    boundaries.

    Args:
        sites: All that may be filled.
        framework: All other atoms, with array ``depth``.
        crystal: Of the grains.
        limits: How close ions may come to others and to each other.
        rng: Random numbers.

    Returns:
        Indices of sites, in the order in which they are to be filled.
    """
    free = np.flatnonzero(~_blocked(sites, framework, crystal.material, limits))
    rank = 2 * ~sites.filled[free] + (sites.depth[free] < 0)
    order = np.lexsort((rng.random(len(free)), rank))
    free, rank = free[order], rank[order]
    exclusion = exclusion_distance(crystal, limits)
    points = PeriodicPoints(sites.positions[free], framework.cell.array, exclusion)
    pairs = points.pairs_from(points, exclusion)
    close = pairs.distance < exclusion * (1 - TIE)
    chosen = independent(pairs.first[close], pairs.second[close], len(free))
    depth = sites.depth[free[chosen]]
    return free[chosen][np.lexsort((np.where(rank[chosen] < 2, -depth, depth), rank[chosen]))]  # noqa: PLR2004


def exclusion_distance(crystal: Crystal, limits: DistanceLimits) -> float:
    """How close two mobile ions may come, angstrom."""
    mobile = crystal.material.mobile
    return max(limits.between(mobile, mobile), *(kind.exclusion_angstrom for kind in crystal.mobile), 0.0)


def _blocked(sites: PlacedSites, framework: Atoms, material: Material, limits: DistanceLimits) -> BoolArray:
    """Whether a site is too close to an atom of the framework. Deep inside grains none is."""
    cell = framework.cell.array
    blocked = np.zeros(len(sites), dtype=bool)
    near = np.flatnonzero(sites.depth < BAND)
    places = PeriodicPoints(sites.positions[near], cell, 0.0)
    outer = framework.arrays["depth"] < BAND
    for element in material.elements:
        limit = limits.between(material.mobile, element)
        atoms = outer & (framework.numbers == atomic_numbers[element])
        if atoms.any():
            pairs = PeriodicPoints(framework.positions[atoms], cell, limit).pairs_from(places, limit)
            blocked[near[pairs.first[pairs.distance < limit]]] = True
    return blocked


def independent(first: IntArray, second: IntArray, count: int) -> BoolArray:
    """Which of some things are taken, one after the other, unless they clash with one taken before.

    Args:
        first: One of each two that clash, each two in both orders.
        second: The other.
        count: Number of things.
    """
    taken, out = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    while True:
        # Who clashes with none that comes earlier and is undecided can be taken now
        waiting = np.zeros(count, dtype=bool)
        waiting[first[(second < first) & ~out[second] & ~taken[second]]] = True
        now = ~(waiting | out | taken)
        if not now.any():
            return taken
        taken |= now
        out[second[now[first]]] = True
