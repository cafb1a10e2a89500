"""Two atoms pushed together: what a potential must see to know where repulsion begins."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from matscipy.neighbours import neighbour_list

from argyro.common.errors import StructureError

from .neighbours import FloatArray, PeriodicPoints

CONTACT = 0.9  # of the sum of covalent radii: atoms farther apart are not in contact
THIRD_ATOM = 0.85  # the same for all other atoms near a contact
TIGHT = 0.9  # of the nearest two of their elements, where those are closer than that
NEIGHBOR, REACH = 1.4, 8.0  # neighbors are this many times as far as the nearest two of their elements; angstrom
MAX_ATTEMPTS = 20  # squared: pairs that are tried


def pushed_together(frame: Atoms, elements: tuple[str, str], closest: float, rng: np.random.Generator) -> Atoms:
    """A copy in which one atom is too close to another, and to no third one.

    Args:
        frame: A structure in which nothing is.
        elements: Of the atom that moves, and of the other.
        closest: Least distance of the two, angstrom.
        rng: Which atoms, which direction, how close.

    Raises:
        StructureError: there is no room for it.
    """
    farthest = max(closest, CONTACT * sum(covalent_radii[atomic_numbers[element]] for element in elements))
    for mover, target in _random_pairs(frame, elements, rng):
        moved = _moved_near(frame, mover, target, rng.uniform(closest, farthest), rng)
        if _others_keep_away(moved, mover, target):
            return moved
    raise StructureError(f"no {elements[0]} of a frame could be pushed to {elements[1]} without a third one in the way")


def inserted(frame: Atoms, elements: tuple[str, str], closest: float, rng: np.random.Generator) -> Atoms:
    """A copy in which one atom is somewhere else: too close to another, and maybe to more.

    Args:
        frame: A structure in which nothing is too close.
        elements: Of the atom that moves, and of the other.
        closest: Least distance of any two atoms in the end, angstrom.
        rng: Which atoms, where to.

    Raises:
        StructureError: there is no room for it.
    """
    farthest = max(closest, CONTACT * sum(covalent_radii[atomic_numbers[element]] for element in elements))
    for mover, target in _random_pairs(frame, elements, rng):
        moved = _moved_near(frame, mover, target, rng.uniform(closest, farthest), rng)
        others = np.delete(np.arange(len(frame)), mover)
        if moved.get_distances(mover, others, mic=True).min() >= closest:
            return moved
    raise StructureError(f"no {elements[0]} has room near {elements[1]} and {closest} angstrom off all other atoms")


def moved_closer(
    frame: Atoms,
    elements: tuple[str, str],
    movable: npt.NDArray[np.bool_],
    part: tuple[float, float],
    rng: np.random.Generator,
    *,
    closest: float,
) -> Atoms:
    """A copy in which an atom has moved towards a neighbor, closer than any two of their elements, and to no third.

    Args:
        frame: A structure in which nothing is too close.
        elements: Of the two.
        movable: Which atoms may move, shape (N,); the other of the two may be any.
        part: How far they stay apart, smallest and largest part: 0 where covalent radii forbid more (THIRD_ATOM), or at
            TIGHT of the smallest distance of such pairs where that is less; 1 at the smallest distance.
        rng: Which atoms, how close.
        closest: Least distance of the two, angstrom.

    Raises:
        StructureError: there are no such neighbors, or no room for it.
    """
    first, second, distance, vector = neighbour_list("ijdD", frame, {elements: REACH})
    own = np.flatnonzero(movable[first])
    nearest = distance[own].min(initial=REACH)
    forbidden = min(_by_covalent_radii(*elements), TIGHT * nearest)
    neighbors = own[distance[own] < NEIGHBOR * nearest]
    for place in rng.permutation(neighbors)[:MAX_ATTEMPTS]:
        mover, target = int(first[place]), int(second[place])
        kept = max(closest, forbidden + rng.uniform(*part) * (nearest - forbidden))
        moved = frame.copy()
        moved.positions[mover] += vector[place] * (1 - kept / distance[place])
        moved.wrap()
        if mover != target and _others_keep_away(moved, mover, target):
            return Atoms(moved.numbers, positions=moved.positions, cell=moved.cell, pbc=True, info=dict(frame.info))
    raise StructureError(f"no {elements[0]} and {elements[1]} could be moved closer without a third atom in the way")


def _random_pairs(frame: Atoms, elements: tuple[str, str], rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    for _ in range(MAX_ATTEMPTS**2):
        mover, target = (int(rng.choice(np.flatnonzero(frame.symbols == element))) for element in elements)
        if mover != target:
            yield mover, target


def _moved_near(frame: Atoms, mover: int, target: int, distance: float, rng: np.random.Generator) -> Atoms:
    """A copy in which an atom is this far from another, in a random direction."""
    direction = rng.normal(size=3)
    moved = Atoms(frame.numbers, positions=frame.positions, cell=frame.cell, pbc=True, info=dict(frame.info))
    moved.positions[mover] = frame.positions[target] + distance * direction / np.linalg.norm(direction)
    moved.wrap()
    return moved


def _by_covalent_radii(first: str, second: str) -> float:
    return float(THIRD_ATOM * (covalent_radii[atomic_numbers[first]] + covalent_radii[atomic_numbers[second]]))


def _others_keep_away(atoms: Atoms, mover: int, target: int) -> bool:
    others = np.delete(np.arange(len(atoms)), [mover, target])
    cell: FloatArray = atoms.cell.array
    for element in set(atoms.symbols[others]):
        near = PeriodicPoints(atoms.positions[others[atoms.symbols[others] == element]], cell, 4.0)
        distance = near.nearest_distance_from(PeriodicPoints(atoms.positions[[mover]], cell, 4.0), 4.0)
        if distance is not None and distance < _by_covalent_radii(element, atoms.symbols[mover]):
            return False
    return True
