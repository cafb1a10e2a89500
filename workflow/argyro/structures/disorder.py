"""Filling partially occupied sites at random, to an exact composition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from ase import Atoms

from argyro.common.errors import StructureError

from .neighbours import FloatArray, IntArray, PeriodicPoints

OCCUPANCY_TOLERANCE = 1e-3  # files round 1/3 to 0.333
MAX_MULTIPLE = 1000  # of supercells that are looked at for one in which occupancies are possible: then any is
MOVES_PER_ION = 200  # of the search for an arrangement without close pairs, before it gives up
FIRST_TRIES = 16  # free sites that are looked at before all of them are
RANDOM_SHARE = 0.1  # of moves that leave dead ends


@dataclass(frozen=True, eq=False)
class SiteKind:
    """Sites of a crystal that are alike.

    Attributes:
        name: For messages.
        fractional: Where they are in the conventional cell, shape (M, 3).
        occupancies: Elements, and what part of the sites each fills.
        exclusion_angstrom: No two sites closer than this are both filled; zero: any two may be.
    """

    name: str
    fractional: FloatArray
    occupancies: Mapping[str, float]
    exclusion_angstrom: float = 0.0


@dataclass(frozen=True, eq=False)
class Sublattice:
    """Sites that are alike, and what has to be put on them.

    Attributes:
        name: For messages.
        positions: Shape (M, 3), angstrom.
        counts: Atoms of every element, M at most in all; the rest stays empty.
        exclusion_angstrom: No two sites closer than this are both filled, within this sublattice or between it and
            another that has one; zero: any two may be.
    """

    name: str
    positions: FloatArray
    counts: Mapping[str, int]
    exclusion_angstrom: float = 0.0

    def __post_init__(self) -> None:
        """Check the counts."""
        if self.filled > len(self.positions):
            raise StructureError(f"{self.name}: {self.filled} atoms do not fit on {len(self.positions)} sites")

    @property
    def filled(self) -> int:
        """Number of filled sites."""
        return sum(self.counts.values())


def fill(sublattices: Sequence[Sublattice], cell: FloatArray, rng: np.random.Generator) -> Atoms:
    """One random arrangement.

    Args:
        sublattices: Sites and what goes there.
        cell: Cell vectors as rows, shape (3, 3), angstrom.
        rng: Random numbers.

    Returns:
        A periodic structure, its atoms in the order of the sublattices.

    Raises:
        StructureError: close sites cannot be avoided.
    """
    sites = [rng.choice(len(s.positions), s.filled, replace=False) for s in sublattices]
    exclusive = [k for k, sublattice in enumerate(sublattices) if sublattice.exclusion_angstrom > 0]
    if exclusive:
        separated = separate([sublattices[k] for k in exclusive], [sites[k] for k in exclusive], cell, rng)
        for k, kept in zip(exclusive, separated, strict=True):
            sites[k] = kept
    symbols = [element for s in sublattices for element in _shuffled(s.counts, rng)]
    positions = np.concatenate([s.positions[np.sort(kept)] for s, kept in zip(sublattices, sites, strict=True)])
    return Atoms(symbols, positions=positions, cell=cell, pbc=True)


def separate(
    sublattices: Sequence[Sublattice], sites: Sequence[IntArray], cell: FloatArray, rng: np.random.Generator
) -> list[IntArray]:
    """Move ions to free sites of their own sublattice until no two are closer than the exclusion distance.

    Each step takes an ion in conflict to a random free site without conflict, or else to one of those with the fewest
    (the min-conflicts heuristic: Minton et al., Artificial Intelligence 58, 161 (1992)); now and then to any free site,
    to leave dead ends.

    Args:
        sublattices: All that exclude each other's sites.
        sites: Filled sites of each, to begin with.
        cell: Cell vectors as rows, shape (3, 3), angstrom.
        rng: Random numbers.

    Returns:
        Filled sites of each.

    Raises:
        StructureError: no such arrangement was found.
    """
    sizes = [len(sublattice.positions) for sublattice in sublattices]
    starts = np.cumsum([0, *sizes])
    owner = np.repeat(np.arange(len(sizes)), sizes)
    state = _Occupation(sublattices, cell, np.concatenate([s + start for s, start in zip(sites, starts, strict=False)]))
    free = [np.flatnonzero(~state.filled & (owner == k)) for k in range(len(sizes))]
    movable = np.array([len(sites_left) > 0 for sites_left in free])[owner]
    queue: list[int] = []
    for _ in range(MOVES_PER_ION * int(state.filled.sum())):
        if not queue:
            in_conflict = np.flatnonzero(state.filled & (state.conflicts > 0))
            if len(in_conflict) == 0:
                return [np.flatnonzero(state.filled[a:b]) for a, b in pairwise(starts)]
            queue = rng.permutation(in_conflict[movable[in_conflict]]).tolist()
            if not queue:
                break
        ion = queue.pop()
        if state.filled[ion] and state.conflicts[ion] > 0:
            state.move(ion, free[owner[ion]], rng)
    names = " and ".join(sublattice.name for sublattice in sublattices)
    raise StructureError(
        f"{names}: no arrangement of {int(state.filled.sum())} ions on {len(owner)} sites was found in which none are "
        f"closer than {state.exclusion:g} angstrom; check the occupancies"
    )


class _Occupation:
    """Which sites are filled, and how many filled sites are too close to each.

    Args:
        sublattices: Their sites, one after the other.
        cell: Cell vectors as rows, shape (3, 3), angstrom.
        filled: Filled sites.
    """

    def __init__(self, sublattices: Sequence[Sublattice], cell: FloatArray, filled: IntArray) -> None:
        positions = np.concatenate([sublattice.positions for sublattice in sublattices])
        self.exclusion = max(sublattice.exclusion_angstrom for sublattice in sublattices)
        points = PeriodicPoints(positions, cell, self.exclusion)
        pairs = points.pairs_from(points, self.exclusion)
        order = np.argsort(pairs.first, kind="stable")
        self.close = np.split(pairs.second[order], np.cumsum(np.bincount(pairs.first, minlength=len(positions)))[:-1])
        self.filled: npt.NDArray[np.bool_] = np.zeros(len(positions), dtype=bool)
        self.filled[filled] = True
        self.conflicts = np.bincount(pairs.first, weights=self.filled[pairs.second], minlength=len(positions))

    def move(self, ion: int, free: IntArray, rng: np.random.Generator) -> None:
        """Move an ion to one of the free sites; ``free`` is kept up to date, in place."""
        self.filled[ion] = False
        np.add.at(self.conflicts, self.close[ion], -1)
        place = self._place_for(free, rng)
        site, free[place] = free[place], ion
        self.filled[site] = True
        np.add.at(self.conflicts, self.close[site], 1)

    def _place_for(self, free: IntArray, rng: np.random.Generator) -> int:
        """Which of the free sites, by its place among them, an ion goes to."""
        tries = rng.integers(len(free), size=FIRST_TRIES)
        good = tries[self.conflicts[free[tries]] == 0]
        if len(good):
            return int(good[0])
        if rng.random() < RANDOM_SHARE:
            return int(tries[0])
        conflicts = self.conflicts[free]
        return int(rng.choice(np.flatnonzero(conflicts == conflicts.min())))


def _shuffled(counts: Mapping[str, int], rng: np.random.Generator) -> list[str]:
    symbols = [element for element, count in counts.items() for _ in range(count)]
    return [symbols[k] for k in rng.permutation(len(symbols))]


def exact_counts(occupancies: Mapping[str, float], sites: int, name: str) -> dict[str, int]:
    """Atoms of every element on a number of sites with these occupancies, which a file may give to three decimals.

    Raises:
        StructureError: not whole numbers; the message names the nearest occupancies and supercells that are possible.
    """
    counts: dict[str, int] = {}
    for element, occupancy in occupancies.items():
        counts[element] = round(occupancy * sites)
        if not _is_possible(occupancy, sites):
            below = int(occupancy * sites)
            multiple = next(m for m in range(2, MAX_MULTIPLE) if _is_possible(occupancy, m * sites))
            raise StructureError(
                f"{name}: occupancy {occupancy:g} of {element} on {sites} sites is {occupancy * sites:g} atoms; the "
                f"nearest possible occupancies are {below / sites:.6g} and {(below + 1) / sites:.6g}; change it, or "
                f"take a supercell {multiple} times as large"
            )
    return counts


def _is_possible(occupancy: float, sites: int) -> bool:
    return abs(occupancy * sites - round(occupancy * sites)) <= OCCUPANCY_TOLERANCE * sites + 1e-9
