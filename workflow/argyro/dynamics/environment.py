"""Which atoms belong to a boundary by structure: where the lattice of no grain goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from ase import Atoms
from matscipy.neighbours import neighbour_list

from argyro.common.errors import DynamicsError
from argyro.config.materials import Material

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int64]

FIRST_SHELL = 1.2  # of the nearest distance of two centers: the first shell of neighbours ends there
TOLERANCE = 0.25  # of the nearest distance: how far a neighbour may be from its place in the lattice
INTACT = 0.8  # part of the neighbours that are in place: 9 of 12 are at a twin boundary of the fcc lattice
ALIKE = 0.05  # of the nearest distance: shells that differ less are the same


@dataclass(frozen=True, eq=False)
class Lattice:
    """Neighbours that the centers of rigid units, or atoms that stand for these, have in the perfect crystal.

    Attributes:
        center: Their element.
        spacing: Nearest distance of two of them, angstrom.
        shells: Vectors to the nearest neighbours, an array of shape (N, 3) for each kind of center, angstrom.
    """

    center: str
    spacing: float
    shells: tuple[FloatArray, ...]


class Environment(NamedTuple):
    """How far the atoms of a structure are in a lattice.

    Attributes:
        match: Part of the neighbours of its center, or of the next one, that are where a grain's lattice has them.
        grain: The grain whose lattice that is.
    """

    match: FloatArray
    grain: IntArray

    @property
    def is_boundary(self) -> npt.NDArray[np.bool_]:
        """Whether the lattice of no grain goes on there."""
        return self.match < INTACT


def lattice_of(bulk: Atoms, material: Material) -> Lattice:
    """Neighbours in the perfect crystal, from a bulk cell along the crystal's axes.

    The centers are those of the first rigid unit; without any, the rarest element that does not diffuse.
    """
    symbols, counts = np.unique(bulk.symbols[~(bulk.symbols == material.mobile)], return_counts=True)
    center = material.rigid_units[0].center if material.rigid_units else str(symbols[counts.argmin()])
    centers = bulk[bulk.symbols == center]
    spacing, reach = np.inf, 2.0
    while not np.isfinite(spacing):
        reach *= 1.5
        distances = neighbour_list("d", centers, reach)
        spacing = float(distances.min()) if len(distances) else np.inf
    first, vectors = neighbour_list("iD", centers, FIRST_SHELL * spacing)
    shells: list[FloatArray] = []
    for index in range(len(centers)):
        shell = vectors[first == index]
        if not any(_is_alike(shell, other, ALIKE * spacing) for other in shells):
            shells.append(shell)
    return Lattice(center, spacing, tuple(shells))


def _is_alike(shell: FloatArray, other: FloatArray, tolerance: float) -> bool:
    return len(shell) == len(other) and _matched(shell, other, tolerance) == len(shell)


def _matched(shell: FloatArray, found: FloatArray, tolerance: float) -> int:
    """How many places of a shell have a neighbour."""
    if not len(found):
        return 0
    distances = np.linalg.norm(shell[:, None] - found[None], axis=2)
    return int((distances.min(axis=1) <= tolerance).sum())


def environment_of(atoms: Atoms, lattice: Lattice, rotations: Sequence[FloatArray]) -> Environment:
    """How far the atoms of a structure are in the lattice of one of its grains.

    Args:
        atoms: Any structure of the material.
        lattice: Of its perfect crystal.
        rotations: Of each grain, from crystal to sample, shape (3, 3).

    Returns:
        For every center the best match over all grains; for all other atoms that of the nearest center, and no match
        where none is near.

    Raises:
        DynamicsError: the structure has no center.
    """
    places = np.flatnonzero(atoms.symbols == lattice.center)
    if not len(places):
        raise DynamicsError(f"the structure has no {lattice.center}, which its lattice is told by")
    centers = atoms[places]
    first, vectors = neighbour_list("iD", centers, (FIRST_SHELL + TOLERANCE) * lattice.spacing)
    found = _padded(first, vectors, len(centers))
    match: FloatArray = np.zeros(len(centers))
    grain: IntArray = np.zeros(len(centers), dtype=np.int64)
    for index, rotation in enumerate(rotations):
        for shell in lattice.shells:
            here: FloatArray = _match(found, shell @ np.asarray(rotation).T, TOLERANCE * lattice.spacing)
            grain[here > match] = index
            match = np.maximum(match, here)
    nearest = _nearest_center(atoms, lattice)
    order = np.full(len(atoms), -1)
    order[places] = np.arange(len(places))
    near = order[nearest]
    return Environment(np.where(nearest >= 0, match[near], 0.0), np.where(nearest >= 0, grain[near], -1))


def _padded(first: IntArray, vectors: FloatArray, count: int) -> FloatArray:
    """Vectors of all neighbours, shape (N, most, 3), filled up with ones that match nothing."""
    counts = np.bincount(first, minlength=count)
    table = np.full((count, max(int(counts.max(initial=0)), 1), 3), 1e6)
    order = np.argsort(first, kind="stable")
    column = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    table[first[order], column] = vectors[order]
    return table


def _match(found: FloatArray, shell: FloatArray, tolerance: float) -> FloatArray:
    """Part of the places of a shell that have a neighbour, for every center."""
    in_place = [(((found - place) ** 2).sum(axis=2) <= tolerance**2).any(axis=1) for place in shell]
    part: FloatArray = np.mean(in_place, axis=0)
    return part


def _nearest_center(atoms: Atoms, lattice: Lattice) -> IntArray:
    """The center next to every atom, itself for a center; -1 where none is within the spacing of centers."""
    nearest = np.where(atoms.symbols == lattice.center, np.arange(len(atoms)), -1)
    others = set(atoms.symbols) - {lattice.center}
    first, second, distance = neighbour_list("ijd", atoms, {(o, lattice.center): lattice.spacing for o in others})
    mine = np.flatnonzero(~(atoms.symbols[first] == lattice.center))
    order = mine[np.lexsort((distance[mine], first[mine]))]
    atom, place = np.unique(first[order], return_index=True)
    nearest[atom] = second[order[place]]
    return nearest
