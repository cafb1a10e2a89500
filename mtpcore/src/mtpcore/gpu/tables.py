"""A potential's contraction tables made ready for a block of threads: balanced, staged, without atomic operations.

A block works on a few atoms at once; `workers` threads share an atom's products. Every sum is a row of entries. The
entries of all rows of a stage are dealt out evenly: each worker has a run of them, and a row that is split between
workers is put together afterwards, always in the same order.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mtpcore._core import Potential, order_by_banks
from mtpcore.errors import MtpcoreError

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int32]
type Numbers = npt.NDArray[np.int64]
type Products = dict[int, dict[tuple[int, int], int]]

MANY_MOMENTS, MORE_MOMENTS = 800, 2000  # few threads fit side by side unless more share an atom: measured
LARGEST_INDEX = 2**16 - 1  # of a moment: two fit a word
PRIME = 2**61 - 1


@dataclass(frozen=True)
class Row:
    """A sum: where it goes, and its terms (index, index, factor)."""

    target: int
    terms: Sequence[tuple[int, int, float]]


@dataclass(frozen=True, eq=False)
class Schedule:
    """Stages of sums, one after another.

    Attributes:
        stages: Per stage: first step, number of steps, first fix and number of fixes.
        pairs: Two indices of each entry, 16 bits each, shape (steps, workers).
        factors: Factor of each entry; 0 where a worker has nothing to do, shape (steps, workers).
        targets: Where the sum that ends with an entry goes; -1: it goes on; -2 - k: scratch place k, shape (steps,
            workers).
        fixes: Rows put together from scratch: target, first place, number of places.
        scratch: Places needed.
    """

    stages: IntArray
    pairs: npt.NDArray[np.uint32]
    factors: FloatArray
    targets: IntArray
    fixes: IntArray
    scratch: int


@dataclass(frozen=True, eq=False)
class Tables:
    """What the kernels are specialised by.

    Moments are numbered anew: basic ones by degree, monomial and radial function; then inner ones (factors of others)
    by stage; then leaves (scalars that are no factor), which only rows of derivatives need one by one.

    Attributes:
        species: Number of species.
        radial_size: Chebyshev polynomials of a radial function.
        radial: Number of radial functions.
        degree_radial: Per degree: its radial functions are 0 to this, exclusive, shape (degree + 1,).
        monomials: Powers of x, y and z and number of radial functions of each, shape (M, 4).
        monomial_basic: First basic moment of each monomial, shape (M,).
        basics: Number of basic moments.
        moments: Number of basic and inner moments.
        leaves: Number of leaves.
        scalar_moment: Moment of each scalar of the basis, shape (scalars,).
        forward: Inner moments from lower ones.
        leaf_values: Leaves from inner and basic moments.
        leaf_energy: Derivative of the energy by moments that it depends on directly, in leaves and as scalars.
            Entries are (moment, place in `leaf_pairs`), or (`moments`, which stands for one, P + place of the scalar).
        leaf_pairs: Pairs of moments whose products add to the energy, shape (P, 2).
        leaf_terms: Per term: which pair, which leaf, how often, shape (Q, 3).
        backward: Derivatives by factors from those by products.
    """

    species: int
    radial_size: int
    radial: int
    degree_radial: tuple[int, ...]
    monomials: IntArray
    monomial_basic: IntArray
    basics: int
    moments: int
    leaves: int
    scalar_moment: IntArray
    forward: Schedule
    leaf_values: Schedule
    leaf_energy: Schedule
    leaf_pairs: IntArray
    leaf_terms: IntArray
    backward: Schedule

    @property
    def workers(self) -> int:
        """Threads that share the contractions of an atom, or of two side by side."""
        return workers_for(self.moments)

    @property
    def ahead(self) -> int:
        """Steps that entries are read before they are needed; those of a stage are a multiple."""
        return steps_ahead(self.moments)

    @property
    def depth(self) -> int:
        """Derivatives of a site energy that are not zero: radial ones of its species, its constant, scalars."""
        return self.species * self.radial * self.radial_size + 1 + len(self.scalar_moment)


def workers_for(moments: int) -> int:
    """As `Tables.workers`."""
    return 64 if moments <= MANY_MOMENTS else 128 if moments <= MORE_MOMENTS else 256


def steps_ahead(moments: int) -> int:
    """As `Tables.ahead`."""
    return 4 if moments > MANY_MOMENTS else 2


def contraction_program(potential: Potential) -> Tables:
    """Tables of a potential.

    Raises:
        MtpcoreError: more moments than the kernels can number.
    """
    basic = potential.alpha_index_basic.tolist()
    degree_radial, monomials, monomial_basic, numbers = _number_basics(basic)
    products, representative = _unique_products(potential, basic)
    mapping = [representative[m] for m in potential.alpha_moment_mapping.tolist()]
    needed, factors = _needed(products, mapping)
    inner = {t: products[t] for t in sorted(products) if t in factors and t in needed}
    leaf = {t: products[t] for t in sorted(products) if t not in factors and t in needed}
    basics = int(monomial_basic[-1] + monomials[-1, 3])
    depth = _depths(inner)
    order = sorted(inner, key=lambda t: (depth[t], t))
    numbers |= {t: basics + k for k, t in enumerate(order)}
    moments = basics + len(order)
    numbers |= {t: moments + k for k, t in enumerate(leaf)}
    if moments + len(leaf) > LARGEST_INDEX:
        raise MtpcoreError(
            f"{moments + len(leaf)} moments are more than the {LARGEST_INDEX} the kernels for GPUs number"
        )
    stages = defaultdict(list)
    for t in order:
        stages[depth[t]].append(Row(numbers[t], _terms(inner[t], numbers)))
    pairs, terms = _leaf_pairs(leaf, numbers, moments)
    scalars, back = [numbers[m] for m in mapping], _backward_stages(inner, numbers)
    others = {row.target for rows in back for row in rows}
    return Tables(
        species=potential.species_count,
        radial_size=potential.radial_basis_size,
        radial=potential.radial_funcs_count,
        degree_radial=degree_radial,
        monomials=monomials,
        monomial_basic=monomial_basic,
        basics=basics,
        moments=moments,
        leaves=len(leaf),
        scalar_moment=np.array(scalars, np.int32),
        forward=_schedule(_level(stages, moments), moments),
        leaf_values=_schedule([[Row(numbers[t], _terms(leaf[t], numbers)) for t in leaf]], moments),
        leaf_energy=_schedule([_gradient_rows(pairs, scalars, moments, others)], moments),
        leaf_pairs=pairs,
        leaf_terms=terms,
        backward=_schedule(back, moments),
    )


def _number_basics(basic: list[list[int]]) -> tuple[tuple[int, ...], IntArray, IntArray, dict[int, int]]:
    """Basic moments by degree, by monomial (x falling, then y falling), by radial function."""
    radial = [0] * (1 + max(sum(powers) for _, *powers in basic))
    for mu, *powers in basic:
        radial[sum(powers)] = max(radial[sum(powers)], mu + 1)
    monomials = [
        (x, y, degree - x - y, radial[degree])
        for degree in range(len(radial))
        for x in range(degree, -1, -1)
        for y in range(degree - x, -1, -1)
    ]
    first = np.concatenate([[0], np.cumsum([m[3] for m in monomials])])[:-1]
    place = {m[:3]: int(k) for m, k in zip(monomials, first, strict=True)}
    numbers = {i: place[x, y, z] + mu for i, (mu, x, y, z) in enumerate(basic)}
    return tuple(radial), np.array(monomials, np.int32), first.astype(np.int32), numbers


def _unique_products(potential: Potential, basic: list[list[int]]) -> tuple[Products, list[int]]:
    """Products of each moment, and for each moment the first that is the same polynomial of the basic ones.

    Two moments that agree at random points of a large prime field are, up to a chance of 1e-17, the same polynomial.
    """
    generator = np.random.default_rng(1)
    points: dict[tuple[int, ...], int] = {}
    value = [0] * potential.alpha_moments_count
    for i, powers in enumerate(basic):
        value[i] = points.setdefault(tuple(powers), int(generator.integers(1, PRIME)))
    times = sorted(potential.alpha_index_times.tolist(), key=lambda row: row[3])
    for left, right, factor, target in times:
        value[target] = (value[target] + factor * value[left] * value[right]) % PRIME
    first: dict[int, int] = {}
    representative = [first.setdefault(v, i) for i, v in enumerate(value)]
    products: Products = defaultdict(lambda: defaultdict(int))
    for left, right, factor, target in times:
        if representative[target] == target:
            pair = sorted((representative[left], representative[right]))
            products[target][pair[0], pair[1]] += factor
    return products, representative


def _needed(products: Products, scalars: Iterable[int]) -> tuple[set[int], set[int]]:
    """Moments that a scalar needs, itself included, and those among them that are factors."""
    needed, factors = set(scalars), set()
    for target in sorted(products, reverse=True):
        if target in needed:
            used = {factor for pair in products[target] for factor in pair}
            needed |= used
            factors |= used
    return needed, factors


def _depths(inner: Products) -> dict[int, int]:
    """How many products lie between a moment and the basic ones."""
    depth: dict[int, int] = {}
    for target in sorted(inner):
        depth[target] = 1 + max(depth.get(factor, 0) for pair in inner[target] for factor in pair)
    return depth


def _level(stages: Mapping[int, list[Row]], moments: int) -> list[list[Row]]:
    """Rows of the stages in turn; what fills no whole steps of a stage waits for a later one that has room for it."""
    at_once = workers_for(moments) * steps_ahead(moments)
    levels = [list(stages[d]) for d in sorted(stages)]
    for level, later in pairwise(levels):
        factors = {factor for row in later for left, right, _ in row.terms for factor in (left, right)}
        sizes = [sum(len(row.terms) for row in rows) for rows in (level, later)]
        surplus, room = sizes[0] % at_once, -sizes[1] % at_once
        if not 0 < surplus <= room:
            continue
        for row in sorted(level, key=lambda row: len(row.terms)):
            if 0 < len(row.terms) <= room and surplus > 0 and row.target not in factors:
                level.remove(row)
                later.append(row)
                surplus, room = surplus - len(row.terms), room - len(row.terms)
    return levels


def _terms(products: Mapping[tuple[int, int], int], numbers: Mapping[int, int]) -> list[tuple[int, int, float]]:
    return [(numbers[left], numbers[right], factor) for (left, right), factor in products.items()]


def _backward_stages(inner: Products, numbers: Mapping[int, int]) -> list[list[Row]]:
    """Rows of dE/d(factor) = sum of dE/d(product) times the other factor, each after what it needs."""
    terms: dict[int, list[tuple[int, int, float]]] = defaultdict(list)
    height: dict[int, int] = defaultdict(int)
    for target in sorted(inner, reverse=True):
        for (left, right), factor in inner[target].items():
            terms[left].append((numbers[target], numbers[right], factor))
            terms[right].append((numbers[target], numbers[left], factor))
            for side in (left, right):
                height[side] = max(height[side], height[target] + 1)
    stages = defaultdict(list)
    for factor in sorted(terms):
        stages[height[factor]].append(Row(numbers[factor], terms[factor]))
    return [stages[h] for h in sorted(stages)]


def _leaf_pairs(leaf: Products, numbers: Mapping[int, int], moments: int) -> tuple[IntArray, IntArray]:
    """Pairs of moments in leaves, and which leaf takes which pair how often."""
    places: dict[tuple[int, int], int] = {}
    terms = []
    for target, products in leaf.items():
        for (left, right), factor in products.items():
            place = places.setdefault((numbers[left], numbers[right]), len(places))
            terms.append((place, numbers[target] - moments, factor))
    return np.array(list(places), np.int32).reshape(-1, 2), np.array(terms, np.int32).reshape(-1, 3)


def _gradient_rows(pairs: IntArray, scalars: Sequence[int], moments: int, others: Collection[int]) -> list[Row]:
    """Rows of d(sum of w_p M_left M_right + sum of v_s M_s)/dM; the second index of an entry is that of its weight.

    Moments that the energy depends on neither so nor by `others`, those with derivatives by way of products, get zero.
    """
    terms: dict[int, list[tuple[int, int, float]]] = defaultdict(list)
    for place, (left, right) in enumerate(pairs.tolist()):
        if left == right:
            terms[left].append((right, place, 2.0))
        else:
            terms[left].append((right, place, 1.0))
            terms[right].append((left, place, 1.0))
    for place, scalar in enumerate(scalars, len(pairs)):
        if scalar < moments:
            terms[scalar].append((moments, place, 1.0))
    nothing = [(0, 0, 0.0)]
    return [Row(m, terms.get(m, nothing)) for m in range(moments) if m in terms or m not in others]


def _schedule(stages: Sequence[Sequence[Row]], moments: int) -> Schedule:
    """Deal the rows of each stage out to the workers."""
    workers = workers_for(moments)
    heads: list[tuple[int, ...]] = []
    fixes: list[tuple[int, int, int]] = []
    blocks = [_Block(stage, workers, steps_ahead(moments)) for stage in stages if stage]
    steps = 0
    for block in blocks:
        heads.append((steps, block.steps, len(fixes), len(block.fixes)))
        fixes += block.fixes
        steps += block.steps
    return Schedule(
        stages=np.array(heads, np.int32).reshape(-1, 4),
        pairs=_stack([b.pairs for b in blocks], np.uint32, workers),
        factors=_stack([b.factors for b in blocks], np.float64, workers),
        targets=_stack([b.targets for b in blocks], np.int32, workers),
        fixes=np.array(fixes, np.int32).reshape(-1, 3),
        scratch=max([0, *(b.scratch for b in blocks)]),
    )


def _stack[T: np.generic](parts: list[npt.NDArray[T]], kind: type[T], workers: int) -> npt.NDArray[T]:
    return np.concatenate([np.zeros((0, workers), kind), *parts])


def spread(
    first: Numbers, second: Numbers, weights: FloatArray, schedule: Schedule, group: int
) -> tuple[Numbers, Numbers, FloatArray, IntArray]:
    """Order the sums, their entries and the factors of these, so that workers side by side read different banks.

    Args:
        first: Slots of the first factors, shape (steps, workers).
        second: Of the second; the same as the first where an entry has one factor.
        weights: Of the products.
        schedule: Says where sums and stages end.
        group: Workers whose reads go together; as many slots lie side by side before the banks begin anew.

    Returns:
        The same three and the targets, in their new order. Who has nothing to do reads what another one reads.
    """
    first, second, weights, targets = first.copy(), second.copy(), weights.copy(), schedule.targets.copy()
    for begin, steps, *_ in schedule.stages.tolist():
        own = slice(begin, begin + steps)
        source, ended, swapped = order_by_banks(first[own], second[own], targets[own] != -1, group)
        idle, is_swapped = source < 0, swapped.astype(bool)
        one, other = first[own].ravel()[source], second[own].ravel()[source]
        reads = np.stack([np.where(is_swapped, other, one), np.where(is_swapped, one, other)])
        first[own], second[own] = _with_idle_reads(reads, idle, group)
        weights[own] = np.where(idle, 0.0, weights[own].ravel()[source])
        targets[own] = np.where(ended < 0, -1, targets[own].ravel()[ended])
    return first, second, weights, targets


def _with_idle_reads(reads: Numbers, idle: npt.NDArray[np.bool_], group: int) -> Numbers:
    """Slots read, shape (2, steps, workers); where a worker is idle, those that a busy one of its group reads."""
    steps, workers = idle.shape
    groups = idle.reshape(steps, workers // group, group)
    busy = np.broadcast_to(groups.argmin(axis=2)[..., None], groups.shape).reshape(steps, workers)
    model = np.where(idle, busy + np.arange(workers) // group * group, np.arange(workers))
    return np.take_along_axis(reads, np.broadcast_to(model, reads.shape), axis=2)


class _Block:
    """One stage, dealt out: the longest sums first, each to one worker if any has room for it, else to several."""

    def __init__(self, rows: Sequence[Row], workers: int, ahead: int) -> None:
        total = sum(len(row.terms) for row in rows)
        self.steps = -(-total // (workers * ahead)) * ahead
        self.pairs = np.zeros((self.steps, workers), np.uint32)
        self.factors = np.zeros((self.steps, workers))
        self.targets = np.full((self.steps, workers), -1, np.int32)
        self.fixes: list[tuple[int, int, int]] = []
        self.scratch = 0
        self._free = [self.steps] * workers
        too_long = []
        for row in sorted(rows, key=lambda row: -len(row.terms)):  # stable: in their order where as long
            fitting = [(free, worker) for worker, free in enumerate(self._free) if free >= len(row.terms)]
            if fitting:
                self._deal(row.terms, row.target, min(fitting)[1])
            else:
                too_long.append(row)
        for row in too_long:
            self._share(row)

    def _share(self, row: Row) -> None:
        """Deal a row to those who have most room; its pieces are put together afterwards."""
        first, terms = self.scratch, row.terms
        while terms:
            free, worker = max((free, -worker) for worker, free in enumerate(self._free))
            self._deal(terms[:free], -2 - self.scratch, -worker)
            self.scratch += 1
            terms = terms[free:]
        self.fixes.append((row.target, first, self.scratch - first))

    def _deal(self, terms: Sequence[tuple[int, int, float]], target: int, worker: int) -> None:
        begin = self.steps - self._free[worker]
        for step, (left, right, factor) in enumerate(terms, begin):
            self.pairs[step, worker] = left | right << 16
            self.factors[step, worker] = factor
        self.targets[begin + len(terms) - 1, worker] = target
        self._free[worker] -= len(terms)
