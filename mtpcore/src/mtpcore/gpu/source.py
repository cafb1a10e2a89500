"""Source text of a potential's kernels: constants and unrolled arithmetic in front of the files of the package."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from .backend import OWN, TOGETHER
from .tables import Schedule, Tables

TILES = (4, 8, 2)  # atoms of a block, what was fastest first; 1 where no other fits
FEW_MOMENTS, FEW_TILES = 128, (4, 2)  # blocks of small potentials are rather small: measured
ENOUGH_WARPS = 24  # side by side: as many as registers leave room for; more with few moments
FEW_MOMENTS_WARPS = 28
MOST = 226 * 1024  # shared memory that a block can have (compute capability 9.0)
WARP, CAPACITY = 32, 64  # threads; neighbours in a list, mostly
LANES, FEW_LANES = 16, 8  # threads with columns of their own, the fewer with few moments: measured
NO_MOMENT = 0xFFFF  # as in sites.cuh
DOUBLE, FLOAT = 8, 4  # bytes of a number in shared memory

type Sum = tuple[int, int, int]  # of basic moments: turn, power of x, radial function


@cache
def device_text() -> str:
    """What kernels are written in."""
    return _text("device.cuh")


def common_source() -> str:
    """Kernels that depend on no potential: neighbour lists and motion."""
    return _joined("", ["lists.cuh", "motion.cuh"])


def sites_source(tables: Tables, tile: int, word: int = DOUBLE) -> str:
    """Kernels of a potential's energies, forces and grades.

    Args:
        tables: Its contraction tables.
        tile: Atoms a block works on.
        word: Bytes of a number in shared memory: `DOUBLE`, or `FLOAT` in mixed precision.
    """
    return _joined(_constants(tables, tile, word), ["sites.cuh"])


def shared_bytes(tables: Tables, tile: int, capacity: int, *, word: int = DOUBLE, rows: bool = False) -> int:
    """Shared memory of a block, as `Shared` of sites.cuh lays it out.

    Args:
        tables: Of the potential.
        tile: Atoms a block works on.
        capacity: Of a neighbour list.
        word: Bytes of a number.
        rows: Of the kernel for rows of derivatives; else of that for forces.
    """
    slots = slots_of(tables, tile).leaf + (even(tables.leaves) if rows else 0)
    numbers = tile * slots + _record(tables) * part_size(tile)
    return (
        word * numbers
        + DOUBLE * block_threads(tables, tile) // WARP * tile
        + 4 * (tile + 1 + tile * -(-capacity // 32))
        + 2 * tile * capacity
    )


def even(number: int) -> int:
    """The next even number."""
    return number + number % 2


def _record(tables: Tables) -> int:
    """Numbers kept of a neighbour: twice an odd one, so that no two threads that read two share a bank."""
    needed = max(2 * even(tables.radial) + 4, tables.radial + tables.radial_size + 1)
    return 2 * (-(-needed // 2) | 1)


@dataclass(frozen=True)
class Slots:
    """Where in shared memory, in numbers for each atom of a block; moments come first.

    Attributes:
        one: The number one.
        adjoint: Of the first moment.
        scratch: Places of pieces of sums.
        leaf: The first leaf, where leaves are held one by one.
    """

    one: int
    adjoint: int
    scratch: int
    leaf: int


def slots_of(tables: Tables, tile: int) -> Slots:
    """The slots of a block of so many atoms. Powers of neighbours are held where later adjoints and scratch are."""
    powers = ((1 + 2 * (len(tables.degree_radial) - 1)) | 1) * part_size(tile) // tile
    scratch = max(s.scratch for s in _schedules(tables))
    adjoint = tables.moments + 1
    return Slots(
        tables.moments, adjoint, adjoint + tables.moments, even(adjoint + max(powers, tables.moments + scratch))
    )


def _schedules(tables: Tables) -> tuple[Schedule, ...]:
    return tables.forward, tables.leaf_energy, tables.backward, tables.leaf_values


def block_threads(tables: Tables, tile: int) -> int:
    """Threads of a block: in contractions each works for two atoms, if there are two."""
    return tables.workers * max(1, tile // 2)


def part_size(tile: int) -> int:
    """Neighbours of a block's atoms that are kept at a time, a multiple of groups of lanes."""
    return 64 * max(1, tile // 2)


def default_tile(tables: Tables, capacity: int, word: int = DOUBLE) -> int:
    """Atoms a block works on: the first number that leaves about as many threads side by side as any does."""
    tiles = TILES if tables.moments > FEW_MOMENTS else FEW_TILES
    # Grades are computed in double precision in either case
    fitting = [tile for tile in tiles if shared_bytes(tables, tile, capacity, rows=True) <= MOST]
    threads = {tile: resident_blocks(tables, tile, CAPACITY, word) * block_threads(tables, tile) for tile in fitting}
    return next((tile for tile in fitting if threads[tile] >= 0.95 * max(threads.values())), 1)


def resident_blocks(tables: Tables, tile: int, capacity: int, word: int = DOUBLE) -> int:
    """Blocks side by side on a multiprocessor, at most as many as are enough."""
    warps = ENOUGH_WARPS if tables.moments > FEW_MOMENTS else FEW_MOMENTS_WARPS
    shared = shared_bytes(tables, tile, capacity, word=word) + OWN
    return max(1, min(TOGETHER // shared, warps * WARP // block_threads(tables, tile)))


def _text(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


def _joined(head: str, names: list[str]) -> str:
    body = [device_text(), head, *map(_text, names)]
    lines = "\n".join(body).splitlines()
    return "\n".join(line for line in lines if not line.startswith(('#include "', "#pragma once"))) + "\n"


def _constants(tables: Tables, tile: int, word: int) -> str:
    slots = slots_of(tables, tile)
    whole = {
        "kTile": tile,
        "kWorkers": tables.workers,
        "kPart": part_size(tile),
        "kBlocks": resident_blocks(tables, tile, CAPACITY, word),
        "kSpecies": tables.species,
        "kRadialSize": tables.radial_size,
        "kRadial": tables.radial,
        "kDegree": len(tables.degree_radial) - 1,
        "kColumns": len(columns(tables)),
        "kLanes": lanes(tables, block_threads(tables, tile) // tile),
        "kAhead": tables.ahead,
        "kRecord": _record(tables),
        "kBasics": tables.basics,
        "kMoments": tables.moments,
        "kLeaves": tables.leaves,
        "kDepth": tables.depth,
        "kOneSlot": slots.one,
        "kLeafSlot": slots.leaf,
        "kForwardStages": len(tables.forward.stages),
        "kLeafStages": len(tables.leaf_energy.stages),
        "kBackwardStages": len(tables.backward.stages),
        "kLeafValueStages": len(tables.leaf_values.stages),
    }
    lines = [f"using Real = {'float' if word == FLOAT else 'double'};"]
    lines += [f"constexpr int {name} = {value};" for name, value in whole.items()]
    lines += [
        _column_table(tables, block_threads(tables, tile) // tile),
        "struct Stage {\n  int first_step, steps, first_fix, fixes;\n};",
        _stages("kForward", tables.forward),
        _stages("kLeaf", tables.leaf_energy),
        _stages("kBackward", tables.backward),
        _stages("kLeafValues", tables.leaf_values),
        "#define PULL_BACK \\\n" + " \\\n".join(pull_back(tables)),
    ]
    return "\n".join(lines)


def columns(tables: Tables) -> list[tuple[int, int]]:
    """Powers of y and z, the lowest first."""
    degree = len(tables.degree_radial) - 1
    return [(total - z, z) for total in range(degree + 1) for z in range(total + 1)]


def lanes(tables: Tables, atom_threads: int) -> int:
    """Threads of an atom that have columns of their own; groups of as many share its neighbours."""
    if atom_threads > WARP:
        return atom_threads  # groups are parts of a warp
    return FEW_LANES if tables.moments <= FEW_MOMENTS else LANES


def _lowest_degrees(tables: Tables, side: int) -> list[int]:
    """Of the first column of each turn, as many columns side by side."""
    powers = columns(tables)
    return [sum(powers[begin]) for begin in range(0, len(powers), side)]


def sums_of_lane(tables: Tables, side: int) -> list[Sum]:
    """The basic moments that a lane adds up, at most, with as many lanes side by side."""
    degree = len(tables.degree_radial) - 1
    radial = [*tables.degree_radial, *[0] * degree]
    return [
        (turn, x, mu)
        for turn, least in enumerate(_lowest_degrees(tables, side))
        for x in range(degree + 1)
        for mu in range(radial[least + x])
    ]


def kept_sums(sums: Sequence[Sum | None], groups: int) -> list[list[Sum | None]]:
    """Which sums each group keeps when two and two have added theirs up, as in sites.cuh."""
    if groups == 1:
        return [list(sums)]
    half = -(-len(sums) // 2)
    rest = [*sums[half:], *[None] * (2 * half - len(sums))]
    return kept_sums(sums[:half], groups // 2) + kept_sums(rest, groups // 2)


def _column_table(tables: Tables, threads: int) -> str:
    """Where a thread finds the powers of its columns, and where the sums go that it keeps.

    Neighbouring threads read neighbouring words: a line of global memory for a warp.
    """
    degree, powers, side = len(tables.degree_radial) - 1, columns(tables), lanes(tables, threads)
    places = {tuple(m[:3]): int(k) for m, k in zip(tables.monomials.tolist(), tables.monomial_basic, strict=True)}
    lowest, sums = _lowest_degrees(tables, side), sums_of_lane(tables, side)

    def slot(lane: int, kept: Sum | None) -> int:
        if kept is None or (column := lane + kept[0] * side) >= len(powers):
            return NO_MOMENT
        monomial = (kept[1], *powers[column])
        if sum(monomial) > degree or kept[2] >= tables.degree_radial[sum(monomial)]:
            return NO_MOMENT
        return places[monomial] + kept[2]

    groups = kept_sums(sums, threads // side)
    slots = [[slot(lane, group[k]) for group in groups for lane in range(side)] for k in range(len(groups[0]))]
    at = [y | (degree + z if z else 0) << 8 for y, z in powers]
    at += [0] * (len(lowest) * side - len(at))
    return "\n".join([
        _choice("turn_degree", "turn", lowest),
        _choice("degree_radial", "degree", [*tables.degree_radial, 0]),
        f"constexpr int kSums = {len(sums)}, kKeptSums = {len(slots)};",
        f"TABLE unsigned short kColumnPowers[] = {_row(at)};",
        f"TABLE unsigned short kKeptMoments[][{threads}] = {{{', '.join(map(_row, slots))}}};",
    ])  # fmt: skip


def _choice(name: str, argument: str, values: Sequence[int]) -> str:
    """A function of small integers that a compiler can evaluate; the last value is that of all larger ones."""
    choice = "".join(f"{argument} == {k} ? {value} : " for k, value in enumerate(values[:-1]))
    return f"CONSTANT int {name}(int {argument}) {{ return {choice}{values[-1]}; }}"


def _row(numbers: Iterable[int]) -> str:
    return f"{{{', '.join(map(str, numbers))}}}"


def _stages(name: str, schedule: Schedule) -> str:
    rows = schedule.stages.tolist() or [[0] * 4]
    return f"COMMON_TABLE Stage {name}[] = {{{', '.join(map(_row, rows))}}};"


class _Horner:
    """Statements of nested polynomials; what a sum begins with is set, not added to nothing."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._live: set[str] = set()

    def begin(self, *names: str) -> None:
        """These are nothing so far."""
        self._live -= set(names)

    def value(self, name: str) -> str | None:
        """The name, unless it is nothing."""
        return name if name in self._live else None

    def next(self, name: str, variable: str, term: str | None) -> None:
        """Multiply by the variable and add a term."""
        if name in self._live:
            self.lines.append(f"{name} = {name} * {variable} + {term};" if term else f"{name} *= {variable};")
        else:
            self.add(name, term)

    def add(self, name: str, term: str | None) -> None:
        """Add a term."""
        if term:
            self.lines.append(f"{name} {'+=' if name in self._live else '='} {term};")
            self._live.add(name)


def pull_back(tables: Tables) -> list[str]:
    """Statements that set pull to dE/df and gx, gy, gz to dE/d(unit vector); each `*` is an instruction.

    Horner's scheme in z for each power of x and y and radial function, then in y, then in x; derivatives come along.
    """
    out, degree, functions = _Horner(), len(tables.degree_radial) - 1, range(tables.radial)
    for a in range(degree, -1, -1):
        out.begin("line", "line_y", "line_z", *(f"line_f{mu}" for mu in functions))
        for b in range(degree - a, -1, -1):
            _add_column(out, tables, a, b)
        out.next("gx", "x", out.value("plane"))
        for name, term in (("plane", "line"), ("gy", "line_y"), ("gz", "line_z")):
            out.next(name, "x", out.value(term))
        for mu in functions:
            out.next(f"plane_f{mu}", "x", out.value(f"line_f{mu}"))
    sums = [f"{kind}_f{mu}" for mu in functions for kind in ("plane", "line")]
    names = ["plane", "line", "line_y", "line_z", "s", "ds", "q", "dq", *sums]
    return [f"Real {', '.join(names)};", *out.lines, *(f"pull[{mu}] = plane_f{mu};" for mu in functions)]


def _add_column(out: _Horner, tables: Tables, a: int, b: int) -> None:
    """The terms of x^a y^b: their sum over powers of z (s) times f, its derivative, and without f."""
    places = {tuple(m[:3]): int(k) for m, k in zip(tables.monomials.tolist(), tables.monomial_basic, strict=True)}
    out.begin("s", "ds")
    for mu in range(tables.radial):
        powers = [c for c in range(len(tables.degree_radial) - a - b) if mu < tables.degree_radial[a + b + c]]
        out.begin("q", "dq")
        for c in reversed(powers):
            out.next("dq", "z", out.value("q"))
            out.next("q", "z", f"ADJOINT({places[a, b, c] + mu})")
        if powers:
            out.add("s", f"f[{mu}] * q")
            out.add("ds", f"f[{mu}] * dq" if out.value("dq") else None)
            out.next(f"line_f{mu}", "y", "q")
    out.next("line_y", "y", out.value("line"))
    out.next("line", "y", out.value("s"))
    out.next("line_z", "y", out.value("ds"))
