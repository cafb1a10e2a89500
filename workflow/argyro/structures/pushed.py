"""Two atoms pushed together: what a potential must see to know where repulsion begins."""

from collections.abc import Iterator

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from argyro.common.errors import StructureError

from .neighbours import FloatArray, PeriodicPoints

CONTACT = (0.6, 0.9)  # of the sum of covalent radii: closer pairs no label need know
THIRD_ATOM = 0.85  # the same for all other atoms near a contact
MAX_ATTEMPTS = 20  # squared: pairs that are tried


def pushed_together(
    frame: Atoms,
    closest: float,
    rng: np.random.Generator,
    *,
    fractions: tuple[float, float] = CONTACT,
    elements: tuple[str, str] | None = None,
) -> Atoms:
    """A copy in which one atom is too close to another, and to no third one.

    Args:
        frame: A structure in which nothing is.
        closest: Least distance of the two, angstrom; it is larger for large atoms.
        rng: Which atoms, which direction, how close.
        fractions: Smallest and largest distance in units of the sum of covalent radii.
        elements: Of the two; by default any, all pairs of elements equally often.

    Raises:
        StructureError: there is no room for it.
    """
    for pair in _random_pairs(frame, rng, elements):
        mover, target = pair
        radii = sum(covalent_radii[atomic_numbers[frame.symbols[k]]] for k in pair)
        low, high = max(closest, fractions[0] * radii), max(closest + 0.1, fractions[1] * radii)
        distance = rng.uniform(low, high)
        direction = rng.normal(size=3)
        moved = frame.copy()
        moved.positions[mover] = frame.positions[target] + distance * direction / np.linalg.norm(direction)
        moved.wrap()
        if _others_keep_away(moved, mover, target):
            return Atoms(moved.numbers, positions=moved.positions, cell=moved.cell, pbc=True, info=dict(frame.info))
    which = "atoms" if elements is None else f"atoms {elements[0]} and {elements[1]}"
    raise StructureError(f"no two {which} of a frame could be pushed together without a third one in the way")


def _random_pairs(
    frame: Atoms, rng: np.random.Generator, elements: tuple[str, str] | None
) -> Iterator[tuple[int, int]]:
    """Pairs of atoms of two elements, or of all, which are then equally often one of the two."""
    present = sorted(set(frame.get_chemical_symbols()))
    for _ in range(MAX_ATTEMPTS**2):
        first, second = rng.choice(present, 2) if elements is None else rng.permutation(elements)
        mover, target = (int(rng.choice(np.flatnonzero(frame.symbols == e))) for e in (first, second))
        if mover != target:
            yield mover, target


def _others_keep_away(atoms: Atoms, mover: int, target: int) -> bool:
    others = np.delete(np.arange(len(atoms)), [mover, target])
    cell: FloatArray = atoms.cell.array
    for element in set(atoms.symbols[others]):
        near = PeriodicPoints(atoms.positions[others[atoms.symbols[others] == element]], cell, 4.0)
        distance = near.nearest_distance_from(PeriodicPoints(atoms.positions[[mover]], cell, 4.0), 4.0)
        radii = covalent_radii[atomic_numbers[element]] + covalent_radii[atomic_numbers[atoms.symbols[mover]]]
        if distance is not None and distance < THIRD_ATOM * radii:
            return False
    return True
