"""The least time that the kernel for energies and forces can take on a card, from what it has to do for an atom.

Three parts of a streaming multiprocessor can limit it: the pipe for fp64 arithmetic, which takes an instruction of
`fp64_lanes` threads a cycle; the path of data through shared memory and the level-1 cache, which gives 128 bytes a
cycle, or looks up one line of 128 bytes of global memory; and the schedulers, which issue `issues` instructions of a
warp a cycle. The bound is the longest of the three; none of them can be had all the time.
"""

from dataclasses import dataclass

from .source import block_threads, columns, even, lanes, pull_back, sums_of_lane
from .tables import Schedule, Tables

WORD, WAVEFRONT = 8, 128  # bytes: of a number, and what shared memory gives a cycle
WARP = 32  # threads
PRODUCT, WEIGHTED = 8, 16  # bytes of an entry of the tables
SEPARATION = 7  # instructions on doubles for a distance and its comparison
ROOT = 7  # of a reciprocal root
CHEBYSHEV = 7  # for a polynomial and its derivative: recurrence 4, cutoff 3
FORCE = 24  # from the gradient in unit vectors to a neighbour's force as whole numbers
PLACE, ADDITIONS = 2, 3  # lines of global memory looked up for where an atom is, and for what it is pushed with
ENTRY_ISSUES = 19  # instructions for an entry of the tables, two atoms side by side


@dataclass(frozen=True)
class Card:
    """What bounds need to know of a GPU.

    Attributes:
        multiprocessors: How many.
        clock: Cycles a second under load.
        fp64_lanes: Instructions on doubles a cycle of each.
        issues: Instructions of warps a cycle of each.
    """

    multiprocessors: int
    clock: float
    fp64_lanes: int
    issues: int


H100 = Card(132, 1.98e9, 64, 4)
"""SXM: multiprocessors and lanes of NVIDIA's white paper on the architecture (2022), and the boost clock at which they
give its 33.5 TFLOPS of fp64."""


@dataclass(frozen=True)
class Work:
    """What the kernel does for an atom.

    Attributes:
        arithmetic: Instructions on doubles; a fused multiplication and addition is one.
        data: Cycles of the path through shared memory and the level-1 cache.
        issues: Instructions of warps that arithmetic, loads, stores and the reading of tables are, at least.
    """

    arithmetic: float
    data: float
    issues: float

    def seconds(self, card: Card) -> dict[str, float]:
        """Least time by each limit."""
        cycles = card.multiprocessors * card.clock
        return {
            "arithmetic": self.arithmetic / (cycles * card.fp64_lanes),
            "data path": self.data / cycles,
            "issue": self.issues / (cycles * card.issues),
        }

    def bound(self, card: Card) -> tuple[str, float]:
        """The limit that takes longest, and its time."""
        return max(self.seconds(card).items(), key=lambda item: item[1])


def work_per_atom(tables: Tables, tile: int, *, neighbors: float, listed: float) -> Work:
    """Work of the kernel for energies and forces.

    Args:
        tables: Of the potential.
        tile: Atoms a block works on.
        neighbors: Within the cutoff.
        listed: In an atom's list, skin included.
    """
    arithmetic = _arithmetic(tables, neighbors, listed)
    accesses = _accesses(tables, tile, neighbors)
    lookups = _lookups(tables, tile, neighbors, listed)
    steps = sum(len(s.pairs) for s in _schedules(tables)) * block_threads(tables, tile) / WARP / tile
    issues = (arithmetic - _contraction(tables)) / WARP + accesses.issues + ENTRY_ISSUES * steps
    return Work(arithmetic, accesses.cycles + lookups, issues)


def _arithmetic(tables: Tables, neighbors: float, listed: float) -> float:
    degree, radial = len(tables.degree_radial) - 1, tables.radial
    per_neighbor = float(SEPARATION + ROOT + (CHEBYSHEV + 2 * radial) * tables.radial_size + 2 * degree + 3)
    per_neighbor += len(tables.monomials) + int(tables.monomials[:, 3].sum())
    per_neighbor += pull_back_count(tables) + radial + FORCE
    return SEPARATION * listed + neighbors * per_neighbor + _contraction(tables)


def _contraction(tables: Tables) -> float:
    entries, sums = _counts(tables)
    return 2 * entries[0] + entries[1] + 2 * entries[2] + sums[2] + 3 * sums[1]


@dataclass(frozen=True)
class _Accesses:
    """Of shared memory: cycles that they take without conflicts of banks, and instructions of warps."""

    cycles: float
    issues: float


def _accesses(tables: Tables, tile: int, neighbors: float) -> _Accesses:
    """A load takes a cycle for every 128 bytes that threads of a warp do not have in common, as does an exchange.

    In basic moments threads of a group have what they read in common: numbers of a neighbour, and powers of which there
    are few.
    """
    degree, radial = len(tables.degree_radial) - 1, even(tables.radial)
    threads = block_threads(tables, tile) // tile
    side = lanes(tables, threads)
    groups, turns = threads // side, -(-len(columns(tables)) // side)
    kept, powers = 2 * radial + 4, 2 * degree + 1
    warps = neighbors / WARP  # of neighbours, an atom
    reads = neighbors / groups * max(1, threads // WARP)
    common = reads * (tables.radial + 1 + 2 * turns) + warps * tables.basics
    own = warps * (2 * kept + powers + 6)
    entries, sums = _counts(tables)
    slots = 2 * entries[0] + entries[1] + 2 * entries[2] + sum(sums) + sums[1] * 3 + tables.basics
    exchanged = 2 * sum(-(-len(sums_of_lane(tables, side)) // 2 ** (k + 1)) for k in range(groups.bit_length() - 1))
    return _Accesses(common + 2 * own + slots * WORD / WAVEFRONT + exchanged, common + own + exchanged)


def _lookups(tables: Tables, tile: int, neighbors: float, listed: float) -> float:
    """Lines of global memory: each neighbour lies in its own; coefficients and tables are read by whole lines."""
    places = PLACE * (listed + neighbors) + ADDITIONS * neighbors + listed * 4 / WAVEFRONT
    coefficients = neighbors / WARP * tables.radial * tables.radial_size
    sizes = (PRODUCT, WEIGHTED, PRODUCT)
    read = sum(size * s.pairs.size for size, s in zip(sizes, _schedules(tables), strict=True)) / WAVEFRONT / tile
    return places + coefficients + read


def pull_back_count(tables: Tables) -> int:
    """Instructions of `PULL_BACK` for a neighbour."""
    return sum(line.count("*") for line in pull_back(tables))


def _schedules(tables: Tables) -> tuple[Schedule, Schedule, Schedule]:
    return tables.forward, tables.leaf_energy, tables.backward


def _counts(tables: Tables) -> tuple[list[int], list[int]]:
    """Entries and sums of products forwards, of leaves and backwards."""
    entries = [int((s.factors != 0).sum()) for s in _schedules(tables)]
    return entries, [int((s.targets != -1).sum()) for s in _schedules(tables)]
