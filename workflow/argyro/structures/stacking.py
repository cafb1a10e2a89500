"""Ways to stack two slabs: terminations, translations along the plane, and the opening each of them needs."""

from dataclasses import dataclass
from itertools import product
from math import ceil

import numpy as np

from argyro.common.errors import StructureError

from .boundary import BoundaryGeometry
from .coincidence import coordinates
from .contacts import Contacts
from .crystal import Crystal
from .layering import Layering, face_charge, slab_bodies, terminations
from .neighbours import FloatArray, IntArray

FACE_DEPTH = 6.0  # angstrom: what is further below a face touches nothing across it
NEUTRAL = 1e-4  # elementary charges per square angstrom: half of it is none
ON_LATTICE = 1e-6  # lattice vectors
RECTANGLE = 1e-9  # cosine of an angle that counts as right
SAME_OPENING = 4  # decimals, of angstrom


@dataclass(frozen=True, eq=False)
class Stacking:
    """A choice of terminations and translation of two slabs.

    Attributes:
        cuts: Of the two crystals, as `Layering` has them.
        translation: Of the second crystal along the plane from where lattice points coincide, shape (3,), angstrom.
        gaps: Opening at the boundary above the first crystal, and at that above the second, angstrom.
        charge: Of the boundary above the first crystal, elementary charges per square angstrom; the other has the
            opposite.
    """

    cuts: tuple[float, float]
    translation: FloatArray
    gaps: tuple[float, float]
    charge: float

    @property
    def charge_class(self) -> int:
        """Amount of the charge, in steps too small to matter."""
        return round(abs(self.charge) / NEUTRAL)


@dataclass(frozen=True, eq=False)
class Face:
    """Atoms of whole bodies near a face of a slab.

    Attributes:
        positions: Along the plane, shape (M, 2), angstrom.
        depth: Below the face, shape (M,), angstrom; negative where they stick out.
        kind: Index of the kind of each in `Contacts`, shape (M,).
    """

    positions: FloatArray
    depth: FloatArray
    kind: IntArray


def registry(first: Layering, second: Layering) -> FloatArray:
    """Where the second slab has to be for lattice points to coincide at the boundary above the first.

    Returns:
        Shift of the second slab along the plane, shape (3,), angstrom.
    """
    shift: FloatArray = (first.count - first.cut) * first.basis[2] + second.cut * second.basis[2]
    return shift * [1, 1, 0]


def boundaries_match(geometry: BoundaryGeometry, counts: tuple[int, int]) -> bool:
    """Whether slabs of so many layers put both boundaries into the same place of the coincidence site lattice."""
    around = (counts[0] * geometry.layers[0, 2] + counts[1] * geometry.layers[1, 2]) * [1, 1, 0]
    steps = coordinates(around[None, :], geometry.translations)
    return bool(np.abs(steps - np.rint(steps)).max() < ON_LATTICE)


def stackings(
    crystal: Crystal, geometry: BoundaryGeometry, counts: tuple[int, int], contacts: Contacts, step: float
) -> list[Stacking]:
    """All stackings, those of the smallest charge first, and of these those of the smallest openings first.

    Args:
        crystal: Of both grains.
        geometry: Of the boundary.
        counts: Layers of the two slabs.
        contacts: How close bodies may come.
        step: Distance of the translations that are tried, angstrom, at most.

    Returns:
        Stackings with different openings, and all that need none.
    """
    numbers = [ceil(length / step) for length in np.linalg.norm(geometry.translations, axis=1)]
    shifts = np.array(list(product(*map(range, numbers)))) / numbers @ geometry.translations
    found = []
    ways = [
        [
            Layering(geometry.layers[g], geometry.orientations[g], geometry.cell, cut, counts[g])
            for cut in terminations(crystal, geometry.layers[g], geometry.orientations[g])
        ]
        for g in (0, 1)
    ]
    faces = [[_faces(crystal, layering, contacts) for layering in of_grain] for of_grain in ways]
    charges = [[face_charge(crystal, layering) for layering in of_grain] for of_grain in ways]
    for one, other in product(*(range(len(of_grain)) for of_grain in ways)):
        (bottom, top), (other_bottom, other_top) = faces[0][one], faces[1][other]
        places = registry(ways[0][one], ways[1][other]) + shifts
        first = openings(top, other_bottom, geometry.cell, places, contacts.distance)
        second = openings(other_top, bottom, geometry.cell, -places, contacts.distance)
        cuts, charge = (ways[0][one].cut, ways[1][other].cut), charges[0][one] - charges[1][other]
        found += [
            Stacking(cuts, shift, (float(a), float(b)), charge)
            for shift, a, b in zip(shifts, first, second, strict=True)
        ]
    return _distinct(sorted(found, key=lambda s: (s.charge_class, round(sum(s.gaps), SAME_OPENING))))


def _distinct(found: list[Stacking]) -> list[Stacking]:
    """Stackings without those that seem to be the same by symmetry: that need the same openings, and some."""
    kept: dict[tuple[object, ...], Stacking] = {}
    for index, stacking in enumerate(found):
        gaps = tuple(sorted(round(gap, SAME_OPENING) for gap in stacking.gaps))
        kept.setdefault((*gaps, stacking.charge_class) if any(gaps) else (index,), stacking)
    return list(kept.values())


def openings(lower: Face, upper: Face, cell: FloatArray, shifts: FloatArray, contact: FloatArray) -> FloatArray:
    """How far two slabs are moved apart so that nothing is closer than the contact distances.

    Two atoms at a distance r along the plane and of depths a and b keep the distance d if the opening is
    sqrt(d^2 - r^2) - a - b; the largest of all pairs counts.

    Args:
        lower: Upper face of the lower slab.
        upper: Lower face of the upper slab.
        cell: Vectors in the plane as rows, shape (2, 3), angstrom; reduced.
        shifts: Of the upper slab along the plane, shape (T, 3), angstrom.
        contact: Contact distance of each two kinds of atoms, shape (K, K), angstrom.

    Returns:
        Angstrom, shape (T,), zero at least.
    """
    depth = lower.depth[:, None] + upper.depth[None, :]
    distance = contact[lower.kind[:, None], upper.kind[None, :]]
    i, j = np.nonzero(depth < distance)
    depth, distance = depth[i, j], distance[i, j]
    plane = cell[:, :2]
    # In a rectangle rounding finds the nearest image, in other reduced cells it is that or one next to it
    is_rectangle = abs(plane[0] @ plane[1]) < RECTANGLE * abs(np.linalg.det(plane))
    images = np.array(list(product((0,) if is_rectangle else (-1, 0, 1), repeat=2))) @ plane
    inverse = np.linalg.inv(plane)
    needed = np.zeros(len(shifts))
    for index, shift in enumerate(shifts):
        across = upper.positions[j] + shift[:2] - lower.positions[i]
        across -= np.rint(across @ inverse) @ plane
        squared = ((across[:, None, :] + images) ** 2).sum(axis=2).min(axis=1)
        touching = squared < distance**2
        rise = np.sqrt(distance[touching] ** 2 - squared[touching]) - depth[touching]
        needed[index] = rise.max(initial=0.0)
    return needed


def _faces(crystal: Crystal, layering: Layering, contacts: Contacts) -> tuple[Face, Face]:
    """Lower and upper face of a slab."""
    bodies = [slab_bodies(body, layering, 0, np.zeros(3)) for body in crystal.framework]
    positions, _, kind = contacts.atoms_of(bodies)
    found = []
    for depth in (positions[:, 2], layering.thickness - positions[:, 2]):
        near = depth < FACE_DEPTH
        found.append(Face(positions[near, :2], depth[near], kind[near]))
    return found[0], found[1]


def choose(found: list[Stacking], candidate: int, *, allow_charged: bool, name: str) -> Stacking:
    """The stacking of a rank.

    Raises:
        StructureError: there are fewer, or all are charged and that is not allowed.
    """
    allowed = [stacking for stacking in found if allow_charged or stacking.charge_class == 0]
    if candidate < len(allowed):
        return allowed[candidate]
    if not allowed:
        least = min(abs(stacking.charge) for stacking in found)
        raise StructureError(
            f"boundary {name}: the grains meet with opposite polar directions, so that all terminations leave a "
            f"charge, {least:.4f} e per square angstrom at least; take another angle of the same "
            "Sigma, or set allow_charged"
        )
    raise StructureError(
        f"boundary {name} has {len(allowed)} different stackings, numbered from 0; there is no number {candidate}: ask "
        "for fewer candidates, or lower translation_step_angstrom"
    )
