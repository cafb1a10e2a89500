"""Polycrystals: grains of a microstructure filled with whole bodies, and brought to the exact composition."""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import ceil, floor
from typing import Any

import numpy as np
from ase import Atoms

from argyro.common.errors import StructureError
from argyro.common.randomness import generator_for
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits, LithiumSites, Polycrystal
from argyro.microstructure.generate import draw_microstructure
from argyro.microstructure.model import Microstructure, read_microstructure
from argyro.microstructure.regions import Regions
from argyro.microstructure.tessellation import Tessellation, tessellate

from .assembly import framework_atoms, with_mobile_ions
from .coincidence import coordinates
from .contacts import Contacts, contacts_of
from .crystal import Body, Crystal, crystal_of
from .mobile import Pattern, bulk_pattern, choose_sites, independent
from .neighbours import FloatArray, IntArray
from .placed import BoolArray, PlacedBodies, PlacedSites, join_bodies, join_sites
from .validator import require_sound, validate

BODY_MARGIN = 2.0  # angstrom beyond its grain in which bodies are tried
SITE_MARGIN = 2.5  # angstrom beyond its grain in which sites of the mobile ion are tried
ON_LATTICE = 1e-3  # lattice vectors by which a column's period may miss the lattice
NEAR_CELLS = 4  # lattice vectors among which the shortest period of a column is looked for


@dataclass(frozen=True, eq=False)
class Grains:
    """Crystals in the grains of a tessellation.

    Attributes:
        crystal: Of all grains.
        tessellation: The grains.
        shifts: Of each crystal's origin against its grain's seed, in the crystal's frame, shape (N, 3), angstrom.
    """

    crystal: Crystal
    tessellation: Tessellation
    shifts: FloatArray

    @cached_property
    def regions(self) -> Regions:
        """Finds the grain of a place."""
        return Regions(self.tessellation)

    def bodies(self, body: Body) -> PlacedBodies:
        """All bodies of a kind in the grains, and a little beyond."""
        parts = []
        for grain in range(len(self.shifts)):
            anchors, owner, depth = self.points(body.anchors, grain, BODY_MARGIN)
            positions = self._in_sample(anchors[:, None, :] + body.offsets[owner], grain)
            parts.append(PlacedBodies(body, positions, np.full(len(anchors), grain), depth))
        return join_bodies(parts)

    def sites(self, pattern: Pattern) -> PlacedSites:
        """All sites of the mobile ion in the grains, and a little beyond, filled as in a pattern."""
        parts = []
        for grain, kind in product(range(len(self.shifts)), self.crystal.mobile):
            places, _, depth = self.points(kind.fractional @ self.crystal.cell, grain, SITE_MARGIN)
            filled = pattern.is_filled(places)
            parts.append(PlacedSites(self._in_sample(places, grain), np.full(len(places), grain), depth, filled))
        return join_sites(parts)

    def points(self, points: FloatArray, grain: int, margin: float) -> tuple[FloatArray, IntArray, FloatArray]:
        """All images in a grain of points of the crystal's conventional cell.

        Args:
            points: Shape (M, 3), angstrom, in the crystal's frame.
            grain: Which.
            margin: How far beyond the grain, angstrom. A column ends, without a margin, where its own image begins.

        Returns:
            Positions in the crystal's frame, shape (K, 3), angstrom; which of the points each is an image of; how deep
            inside the grain each is, angstrom.
        """
        rotation, shift = self.tessellation.microstructure.rotations[grain], self.shifts[grain]
        facets = self.tessellation.facets
        mine = facets.grain == grain
        is_boundary = facets.is_boundary[mine]
        margins = np.where(is_boundary, margin, 0.0)
        found = []
        for cells in self._cells(grain, margin):
            positions = ((cells @ self.crystal.cell)[:, None, :] + points).reshape(-1, 3)
            heights = facets.offset[mine] - (positions + shift) @ (facets.normal[mine] @ rotation).T
            inside = (heights > -margins).all(axis=1)
            depth = heights[inside][:, is_boundary].min(axis=1, initial=np.inf)
            found.append((positions[inside], np.tile(np.arange(len(points)), len(cells))[inside], depth))
        positions, owner, depth = (np.concatenate(parts) for parts in zip(*found, strict=True))
        near = self._are_near(positions, depth, grain, margin)
        return positions[near], owner[near], depth[near]

    def _are_near(self, positions: FloatArray, depth: FloatArray, grain: int, margin: float) -> BoolArray:
        """Which points are inside the grain, or outside within the margin of a boundary.

        Where facets meet at a sharp angle, planes a margin beyond them meet far outside the grain.
        """
        near = depth >= 0
        outside = np.flatnonzero(~near)
        near[outside] = self.regions.find(self._in_sample(positions[outside], grain)).distance <= margin
        return near

    def _cells(self, grain: int, margin: float) -> list[FloatArray]:
        """Unit cells, layer by layer, that may reach into a grain, each layer of shape (C, 3)."""
        rotation = self.tessellation.microstructure.rotations[grain]
        inverse = np.linalg.inv(self.crystal.cell)
        corners = (self.tessellation.corners[grain] @ rotation - self.shifts[grain]) @ inverse
        reach = margin * np.linalg.norm(inverse, axis=0) + 1
        low = np.floor(corners.min(axis=0) - reach).astype(int)
        high = np.ceil(corners.max(axis=0) + reach).astype(int)
        first, *rest = (range(a, b + 1) for a, b in zip(low, high, strict=True))
        return [np.array(list(product([layer], *rest)), dtype=float) for layer in first]

    def _in_sample(self, positions: FloatArray, grain: int) -> FloatArray:
        """Positions in a crystal's frame, shape (..., 3), angstrom, as positions in the sample."""
        microstructure = self.tessellation.microstructure
        rotated = (positions + self.shifts[grain]) @ microstructure.rotations[grain].T
        placed: FloatArray = rotated + microstructure.seeds[grain]
        return placed


def build_polycrystal(
    material: Material,
    microstructure: Microstructure,
    *,
    attempts: int = 1,
    lithium_sites: LithiumSites = "48h",
    limits: DistanceLimits,
    seed: int,
) -> Atoms:
    """A periodic polycrystal, unrelaxed.

    Bodies are tried in the grain of the smallest power distance of their anchor, and a little beyond it; whole bodies
    are left out until no two clash and the formula is exact.

    Args:
        material: What to build.
        microstructure: Grains and orientations.
        attempts: How many random shifts of the crystals in their grains are tried; the densest result is kept, which
            matters for grains of few formula units.
        lithium_sites: Of argyrodites.
        limits: How close atoms may come.
        seed: Of the shifts, and of the arrangement of anions and mobile ions.

    Returns:
        Atoms in the order of the potential's species, with arrays ``grain``, whose lattice an atom is of, and
        ``boundary_distance_angstrom``.

    Raises:
        FileError: the CIF cannot be read.
        StructureError: grains are empty or too small, columns do not fit the crystal's period, the composition is not
            possible, or the result is not sound.
    """
    crystal = crystal_of(material, lithium_sites, limits)
    tessellation = tessellate(microstructure)
    _require_periods(crystal, microstructure)
    grains, bodies = _densest(crystal, tessellation, contacts_of(crystal, limits), attempts, seed)
    atoms = _exact(grains, bodies, limits, seed)
    del atoms.arrays["depth"]
    atoms.set_array("boundary_distance_angstrom", Regions(tessellation).find(atoms.positions).distance)
    atoms.info.update(material=material.id, exchange_percent=material.exchange_percent)
    atoms.info.update(microstructure=microstructure.name, grains=microstructure.grains)
    require_sound(validate(atoms, material, limits), f"the polycrystal {microstructure.name} of {material.id}")
    return atoms


def polycrystal_microstructure(
    polycrystal: Polycrystal, material: Material, *, lithium_sites: LithiumSites, limits: DistanceLimits, seed: int
) -> Microstructure:
    """The microstructure of a polycrystal: that of its file, or one drawn as its settings say.

    Args:
        polycrystal: Its settings.
        material: Its period is the length of columns.
        lithium_sites: Of argyrodites.
        limits: How close atoms may come.
        seed: Of what is drawn: the same for all materials gives all of them the same grains.

    Raises:
        FileError: the file, or the CIF of the material, cannot be read.
        StructureError: the crystal has no period along columns, or sizes as these are not possible.
    """
    if polycrystal.microstructure is not None:
        return read_microstructure(polycrystal.microstructure)
    if polycrystal.grains is None or polycrystal.edge_angstrom is None:
        raise ValueError("the model of the configuration demands grains and edge_angstrom")
    edges, column = np.full(3, polycrystal.edge_angstrom), None
    if polycrystal.column is not None:
        crystal = crystal_of(material, lithium_sites, limits)
        column = np.array(polycrystal.column) @ crystal.cell
        period = shortest_period(crystal, column)
        if period is None:
            raise StructureError(
                f"polycrystal {polycrystal.name}: {material.id} has no short period along {list(polycrystal.column)}; "
                "take a column of lower indices, such as [1, 1, 0]"
            )
        edges[2] = polycrystal.column_periods * period
    return draw_microstructure(
        polycrystal.name,
        np.diag(edges),
        polycrystal.grains,
        diameter_spread=polycrystal.diameter_spread,
        orientations=polycrystal.orientations_quaternion,
        column=column,
        seed=seed,
    )


def polycrystal_details(atoms: Atoms, microstructure: Microstructure) -> dict[str, Any]:
    """What the report of a polycrystal says of its grains and boundaries."""
    tessellation = tessellate(microstructure)
    return {
        **atoms.info,
        "volumes_of_grains_angstrom3": tessellation.volumes.round(6).tolist(),
        "atoms_of_grains": np.bincount(atoms.arrays["grain"], minlength=microstructure.grains).tolist(),
        "boundary_area_per_volume_per_angstrom": tessellation.boundary_area / microstructure.volume,
    }


def _require_periods(crystal: Crystal, microstructure: Microstructure) -> None:
    """Refuse columns whose crystal does not go on across the face of the cell."""
    for axis, (grain, rotation) in product(microstructure.column_axes, enumerate(microstructure.rotations)):
        period = microstructure.cell[axis] @ rotation
        steps = coordinates(period[None, :], crystal.primitive)
        if np.abs(steps - np.rint(steps)).max() > ON_LATTICE:
            shortest = shortest_period(crystal, period)
            advice = "its lattice repeats nowhere near" if shortest is None else f"{shortest:.6f} and its multiples are"
            raise StructureError(
                f"microstructure {microstructure.name}: grain {grain} is a column along cell vector {axis}, of "
                f"{np.linalg.norm(period):.6f} angstrom, which is no period of {crystal.material.id} that way; {advice}"
            )


def shortest_period(crystal: Crystal, direction: FloatArray) -> float | None:
    """Length of the shortest lattice vector along a direction of the crystal's frame, angstrom; None if it is long."""
    steps = np.array(list(product(range(-NEAR_CELLS, NEAR_CELLS + 1), repeat=3)))
    vectors = steps[steps.any(axis=1)] @ crystal.primitive
    lengths = np.linalg.norm(vectors, axis=1)
    aside = np.linalg.norm(np.cross(vectors, direction / np.linalg.norm(direction)), axis=1)
    along = aside < ON_LATTICE
    return float(lengths[along].min()) if along.any() else None


def _densest(
    crystal: Crystal, tessellation: Tessellation, contacts: Contacts, attempts: int, seed: int
) -> tuple[Grains, list[PlacedBodies]]:
    """Of several random shifts of the crystals the one that leaves most formula units, and its bodies."""
    best: tuple[int, Grains, list[PlacedBodies]] | None = None
    for attempt in range(attempts):
        rng = generator_for(seed, "shifts", attempt)
        grains = Grains(crystal, tessellation, rng.random((len(tessellation.volumes), 3)) @ crystal.primitive)
        tried = [grains.bodies(body) for body in crystal.framework]
        bodies = without_clashes(tried, contacts, tessellation.microstructure.cell)
        units = _most_units(crystal, bodies)
        if best is None or units > best[0]:
            best = units, grains, bodies
    if best is None:
        raise ValueError("at least one attempt is needed")
    return best[1:]


def without_clashes(bodies: list[PlacedBodies], contacts: Contacts, cell: FloatArray) -> list[PlacedBodies]:
    """Bodies taken one after the other unless they clash with one taken before.

    Rigid units come first: they are the largest and, if others came first, the scarcest. Those that clash with the
    fewest of their kind come before others, and of these the deepest in their grain.

    Args:
        bodies: All that are tried.
        contacts: How close they may come.
        cell: Cell vectors as rows, shape (3, 3), angstrom.

    Returns:
        What is left of each kind.
    """
    # In this band inside a grain its bodies may touch those tried beyond another
    extent = max(float(np.linalg.norm(placed.body.offsets, axis=-1).max()) for placed in bodies)
    band = BODY_MARGIN + 2 * extent + float(contacts.distance.max())
    lengths = [len(placed) for placed in bodies]
    depth = np.concatenate([placed.depth for placed in bodies])
    rigid = np.repeat([placed.body.is_rigid for placed in bodies], lengths)
    outer = [np.flatnonzero(placed.depth < band) for placed in bodies]
    index = np.concatenate([near + start for near, start in zip(outer, np.cumsum([0, *lengths]), strict=False)])
    atoms = contacts.atoms_of([placed[near] for placed, near in zip(bodies, outer, strict=True)])
    one, other = index[contacts.clashes(atoms, cell)].T
    clashes = np.bincount(one[rigid[one] == rigid[other]], minlength=len(depth))
    order = np.lexsort((-depth, clashes, ~rigid))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    taken = independent(rank[one], rank[other], len(depth))[rank]
    return [placed[kept] for placed, kept in zip(bodies, np.split(taken, np.cumsum(lengths)[:-1]), strict=True)]


def _most_units(crystal: Crystal, bodies: list[PlacedBodies]) -> int:
    """How many formula units bodies suffice for."""
    return min(floor(len(placed) / crystal.per_formula_unit(placed.body)) for placed in bodies)


def _exact(grains: Grains, bodies: list[PlacedBodies], limits: DistanceLimits, seed: int) -> Atoms:
    """Atoms of as many formula units as bodies and sites of mobile ions suffice for, what is too many left out."""
    crystal, microstructure = grains.crystal, grains.tessellation.microstructure
    sites = grains.sites(bulk_pattern(crystal, generator_for(seed, "pattern")))
    units = _possible_units(crystal, _most_units(crystal, bodies), microstructure)
    while True:
        rng = generator_for(seed, "arrangement")
        kept = [_deepest(placed, int(crystal.per_formula_unit(placed.body) * units)) for placed in bodies]
        framework = framework_atoms(crystal, kept, units, microstructure.cell, rng)
        chosen = choose_sites(sites, framework, crystal, limits, rng)
        ions = crystal.mobile_ions(units, framework)
        if len(chosen) >= ions:
            return with_mobile_ions(framework, sites[chosen[:ions]], crystal)
        # A formula unit less asks for fewer ions, and makes room for about as many
        fewer = ceil((ions - len(chosen)) / (2 * float(crystal.material.composition[crystal.material.mobile])))
        units = _possible_units(crystal, units - fewer, microstructure)


def _possible_units(crystal: Crystal, most: int, microstructure: Microstructure) -> int:
    """The largest possible number of formula units that is not larger."""
    for units in range(most, most // 2, -1):
        if crystal.is_possible(units):
            return units
    ideal = microstructure.volume / crystal.volume_per_formula_unit
    raise StructureError(
        f"microstructure {microstructure.name}: its {microstructure.grains} grains have room for {most} formula units "
        f"of {crystal.material.id}, of {ideal:.1f} that would fill the cell, and no number down to half "
        f"of it makes the composition with exchange_percent {crystal.material.exchange_percent:g} exact; take larger "
        f"or fewer grains, or an exchange such as {_nearest_exchange(crystal, most):.6g}"
    )


def _nearest_exchange(crystal: Crystal, units: int) -> float:
    """The exchange nearest to the one asked for that is possible in a number of formula units, percent."""
    return round(crystal.material.exchange_percent / 100 * units) / units * 100 if units > 0 else 0.0


def _deepest(placed: PlacedBodies, number: int) -> PlacedBodies:
    """The bodies deepest in their grains, in their order."""
    return placed[np.sort(np.argsort(-placed.depth, kind="stable")[:number])]
