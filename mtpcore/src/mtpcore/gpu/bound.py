"""The least time that the kernel for energies and forces can take on a card, from what it has to do for an atom.

Three parts of a streaming multiprocessor can limit it: the pipe for fp64 arithmetic, which takes an instruction of
`fp64_lanes` threads a cycle; shared memory, which gives 128 bytes a cycle; and, for the whole card, the level-2 cache,
which lists and tables stream from. The bound is the longest of the three; none of them can be had all the time.
"""

from dataclasses import dataclass

from .tables import Schedule, Tables

WORD = 8  # bytes
WAVEFRONT = 128  # bytes that shared memory gives a cycle
WARP = 32  # threads
CHEBYSHEV = 7  # instructions for a polynomial and its derivative: recurrence 4, cutoff 3
ROOT_AND_QUOTIENT = 32  # instructions of a square root and a reciprocal in fp64
FORCE = 30  # instructions from the gradient in unit vectors to a neighbour's force


@dataclass(frozen=True)
class Card:
    """What bounds need to know of a GPU.

    Attributes:
        multiprocessors: How many.
        clock: Cycles a second under load.
        fp64_lanes: Instructions on doubles a cycle of each.
        cache: Bytes a second from the level-2 cache.
    """

    multiprocessors: int
    clock: float
    fp64_lanes: int
    cache: float


H100 = Card(132, 1.98e9, 64, 5.5e12)
"""SXM: multiprocessors and lanes of NVIDIA's white paper on the architecture (2022), and the boost clock at which they
give its 33.5 TFLOPS of fp64. The rate of the cache is an assumption, not a published number."""


@dataclass(frozen=True)
class Work:
    """What the kernel does for an atom.

    Attributes:
        arithmetic: Instructions on doubles; a fused multiplication and addition is one.
        shared: Bytes from and to shared memory, counted as whole wavefronts where lanes read one word together.
        streamed: Bytes of lists, places and tables.
    """

    arithmetic: float
    shared: float
    streamed: float

    def seconds(self, card: Card) -> dict[str, float]:
        """Least time by each limit."""
        cycles = card.multiprocessors * card.clock
        return {
            "arithmetic": self.arithmetic / (cycles * card.fp64_lanes),
            "shared memory": self.shared / (cycles * WAVEFRONT),
            "cache": self.streamed / card.cache,
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
    degree, radial = len(tables.degree_radial) - 1, tables.radial
    monomials, functions = len(tables.monomials), float(tables.monomials[:, 3].sum())
    entries = [_entries(s) for s in (tables.forward, tables.leaf_energy, tables.backward)]
    per_neighbor = CHEBYSHEV * tables.radial_size + 2 * radial * tables.radial_size + ROOT_AND_QUOTIENT + 3 * degree
    arithmetic = listed * 12 + neighbors * (per_neighbor + 2 * monomials + functions + pull_back_count(tables) + FORCE)
    arithmetic += 2 * entries[0] + entries[1] + 2 * entries[2] + 3 * tables.moments
    # A warp reads one word of a neighbour's record together (a wavefront); on the way back, one of an adjoint
    reads = -(-monomials // WARP) * 3 + functions / WARP
    together = neighbors * (reads + tables.basics / WARP) * WAVEFRONT
    record = neighbors * (2 * (2 * radial + 1) + 3 * degree + 12) * WORD
    contraction = (2 * entries[0] + entries[1] + 2 * entries[2] + 5 * tables.moments) * WORD
    streamed = listed * (4 + 32) * 2 + neighbors * 3 * WORD
    streamed += sum(size * s.pairs.size for size, s in zip((8, 12, 8), _schedules(tables), strict=True)) / tile
    return Work(arithmetic, together + record + contraction, streamed)


def pull_back_count(tables: Tables) -> int:
    """Instructions of `PULL_BACK` for a neighbour: Horner's scheme, for each power of x and y and radial function."""
    degrees, count = len(tables.degree_radial), 2 * (len(tables.degree_radial) - 1)
    for a in range(degrees):
        for b in range(degrees - a):
            count += 2 + (2 if a else 0) + (2 if b else 0) + (1 if a else 0) + (1 if b else 0)
            for mu in range(tables.radial):
                powers = [c for c in range(degrees - a - b) if mu < tables.degree_radial[a + b + c]]
                count += 3 + 2 * powers[-1] if powers else 0
    return count


def _schedules(tables: Tables) -> tuple[Schedule, Schedule, Schedule]:
    return tables.forward, tables.leaf_energy, tables.backward


def _entries(schedule: Schedule) -> int:
    return int((schedule.factors != 0).sum())
