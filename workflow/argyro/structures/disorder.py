"""Filling partially occupied sites at random, to an exact composition."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.neighborlist import neighbor_list

from argyro.common.errors import StructureError

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int64]

OCCUPANCY_TOLERANCE = 1e-3  # files round 1/3 to 0.333
MOVES_PER_ION = 2000  # of the search for an arrangement without close pairs, before it gives up


@dataclass(frozen=True, eq=False)
class Sublattice:
    """Sites that are alike, and what has to be put on them.

    Attributes:
        name: For messages.
        positions: Shape (M, 3), angstrom.
        counts: Atoms of every element, M at most in all; the rest stays empty.
        exclusion_angstrom: No two sites closer than this are both filled; zero: any two may be.
    """

    name: str
    positions: FloatArray
    counts: Mapping[str, int]
    exclusion_angstrom: float = 0.0

    def __post_init__(self) -> None:
        """Check the counts."""
        if sum(self.counts.values()) > len(self.positions):
            raise StructureError(
                f"{self.name}: {sum(self.counts.values())} atoms do not fit on {len(self.positions)} sites"
            )


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
    atoms = Atoms(cell=cell, pbc=True)
    for sublattice in sublattices:
        sites = choose_sites(sublattice, cell, rng)
        symbols = [element for element, count in sublattice.counts.items() for _ in range(count)]
        atoms += Atoms([str(symbol) for symbol in rng.permutation(symbols)], positions=sublattice.positions[sites])
    return atoms


def choose_sites(sublattice: Sublattice, cell: FloatArray, rng: np.random.Generator) -> IntArray:
    """Which sites of a sublattice are filled: ions are moved to random free sites until no two are too close.

    Args:
        sublattice: Sites, and how many of them to fill.
        cell: Cell vectors as rows, shape (3, 3), angstrom.
        rng: Random numbers.

    Returns:
        Indices of the filled sites, ascending.

    Raises:
        StructureError: no such arrangement was found.
    """
    total, wanted = len(sublattice.positions), sum(sublattice.counts.values())
    if wanted == total and sublattice.exclusion_angstrom == 0:
        return np.arange(total)
    filled = np.zeros(total, dtype=bool)
    filled[rng.choice(total, wanted, replace=False)] = True
    if sublattice.exclusion_angstrom > 0:
        _separate(filled, close_sites(sublattice, cell), rng, sublattice)
    return np.flatnonzero(filled)


def close_sites(sublattice: Sublattice, cell: FloatArray) -> list[IntArray]:
    """For every site the sites of its sublattice that are too close to be filled as well."""
    atoms = Atoms("H" * len(sublattice.positions), positions=sublattice.positions, cell=cell, pbc=True)
    first, second = neighbor_list("ij", atoms, sublattice.exclusion_angstrom)
    return [np.unique(second[first == site]) for site in range(len(atoms))]


def _separate(
    filled: npt.NDArray[np.bool_], close: list[IntArray], rng: np.random.Generator, where: Sublattice
) -> None:
    """Move ions, in place, until none has a filled site close to it.

    Each step takes a random ion in conflict to the free site with the fewest conflicts, ties broken at random (the
    min-conflicts heuristic: Minton et al., Artificial Intelligence 58, 161 (1992)); now and then to any free site, to
    leave dead ends.
    """
    conflicts = np.array([filled[neighbours].sum() for neighbours in close])
    for _ in range(MOVES_PER_ION * max(1, int(filled.sum()))):
        in_conflict = np.flatnonzero(filled & (conflicts > 0))
        if len(in_conflict) == 0:
            return
        ion = rng.choice(in_conflict)
        filled[ion] = False
        conflicts[close[ion]] -= 1
        free = np.flatnonzero(~filled)
        if rng.random() > 0.1:  # noqa: PLR2004  share of moves that leave dead ends
            free = free[conflicts[free] == conflicts[free].min()]
        site = rng.choice(free)
        filled[site] = True
        conflicts[close[site]] += 1
    raise StructureError(
        f"{where.name}: no arrangement of {int(filled.sum())} ions on {len(filled)} sites was found in which none are "
        f"closer than {where.exclusion_angstrom} angstrom; reduce that distance, or check the occupancies"
    )


def exact_counts(occupancies: Mapping[str, float], sites: int, name: str) -> Counter[str]:
    """Atoms of every element on a number of sites with these occupancies.

    Raises:
        StructureError: not whole numbers; the message names the nearest occupancies that are possible.
    """
    counts: Counter[str] = Counter()
    for element, occupancy in occupancies.items():
        count = round(occupancy * sites)
        if abs(occupancy * sites - count) > OCCUPANCY_TOLERANCE * sites:
            below = int(occupancy * sites)
            raise StructureError(
                f"{name}: occupancy {occupancy:g} of {element} on {sites} sites is {occupancy * sites:g} atoms; the "
                f"nearest possible occupancies are {below / sites:.6g} and {(below + 1) / sites:.6g}; change it, or "
                "take a larger supercell"
            )
        counts[element] = count
    return counts
