"""A potential's contraction tables made ready for a block of threads: balanced, staged, without atomic operations.

A block works on a few atoms at once; `WORKERS` threads share an atom's products. Every sum is a row of entries. The
entries of all rows of a stage are dealt out evenly: each worker has a run of them, and a row that is split between
workers is put together afterwards, always in the same order.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mtpcore._core import Potential
from mtpcore.errors import MtpcoreError

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int32]
type Numbers = npt.NDArray[np.int64]
type Products = dict[int, dict[tuple[int, int], int]]

AHEAD = 2  # steps that entries are read before they are needed; those of a stage are a multiple
WORKERS = 64  # threads that share the contractions of an atom, or of two side by side
LOOK_AHEAD = 8  # entries of a sum among which the next is chosen
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
        pairs: Two indices of each entry, 16 bits each, shape (steps, WORKERS).
        factors: Factor of each entry; 0 where a worker has nothing to do, shape (steps, WORKERS).
        targets: Where the sum that ends with an entry goes; -1: it goes on; -2 - k: scratch place k, shape (steps,
            WORKERS).
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
        leaf_energy: Derivative of the leaves' energy by moments: entries are (moment, place in `leaf_pairs`).
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
    def depth(self) -> int:
        """Derivatives of a site energy that are not zero: radial ones of its species, its constant, scalars."""
        return self.species * self.radial * self.radial_size + 1 + len(self.scalar_moment)


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
        scalar_moment=np.array([numbers[m] for m in mapping], np.int32),
        forward=_schedule([stages[d] for d in sorted(stages)]),
        leaf_values=_schedule([[Row(numbers[t], _terms(leaf[t], numbers)) for t in leaf]]),
        leaf_energy=_schedule([_gradient_rows(pairs, moments)]),
        leaf_pairs=pairs,
        leaf_terms=terms,
        backward=_schedule(_backward_stages(inner, numbers)),
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


def _gradient_rows(pairs: IntArray, moments: int) -> list[Row]:
    """Rows of d(sum of w_p M_left M_right)/dM of all M; the second index of an entry is that of its pair's weight."""
    terms: dict[int, list[tuple[int, int, float]]] = defaultdict(list)
    for place, (left, right) in enumerate(pairs.tolist()):
        if left == right:
            terms[left].append((right, place, 2.0))
        else:
            terms[left].append((right, place, 1.0))
            terms[right].append((left, place, 1.0))
    return [Row(target, terms.get(target, [(0, 0, 0.0)])) for target in range(moments)]


def _schedule(stages: Sequence[Sequence[Row]]) -> Schedule:
    """Deal the rows of each stage out to the workers."""
    heads: list[tuple[int, ...]] = []
    fixes: list[tuple[int, int, int]] = []
    blocks = [_Block(stage) for stage in stages if stage]
    steps = 0
    for block in blocks:
        heads.append((steps, block.steps, len(fixes), len(block.fixes)))
        fixes += block.fixes
        steps += block.steps
    return Schedule(
        stages=np.array(heads, np.int32).reshape(-1, 4),
        pairs=_stack([b.pairs for b in blocks], np.uint32),
        factors=_stack([b.factors for b in blocks], np.float64),
        targets=_stack([b.targets for b in blocks], np.int32),
        fixes=np.array(fixes, np.int32).reshape(-1, 3),
        scratch=max([0, *(b.scratch for b in blocks)]),
    )


def _stack[T: np.generic](parts: list[npt.NDArray[T]], kind: type[T]) -> npt.NDArray[T]:
    return np.concatenate([np.zeros((0, WORKERS), kind), *parts])


def spread(
    first: Numbers, second: Numbers, weights: FloatArray, schedule: Schedule, group: int
) -> tuple[Numbers, Numbers, FloatArray, IntArray]:
    """Order the sums of each worker, their entries and the factors of these, so that neighbours read different banks.

    Args:
        first: Slots of the first factors, shape (steps, WORKERS).
        second: Of the second.
        weights: Of the products.
        schedule: Says where sums and stages end.
        group: Workers whose reads go together; as many slots lie side by side before the banks begin anew.

    Returns:
        The same three and the targets, in their new order.
    """
    first, second, weights, targets = first.copy(), second.copy(), weights.copy(), schedule.targets.copy()
    for begin, steps, *_ in schedule.stages.tolist():
        for worker in range(first.shape[1]):
            if worker % group == 0:
                continue
            peers = slice(worker - worker % group, worker)
            taken = [
                [{slot % group for slot in slots[step, peers].tolist()} for slots in (first, second)]
                for step in range(begin, begin + steps)
            ]
            own = slice(begin, begin + steps)
            columns = [x[own, worker].tolist() for x in (first, second, weights, targets)]
            order = _spread_sums(list(zip(*columns, strict=True)), taken, group)
            first[own, worker], second[own, worker], weights[own, worker], targets[own, worker] = zip(
                *order, strict=True
            )
    return first, second, weights, targets


type _Entry = tuple[int, int, float, int]  # slots of the factors, weight, target


def _spread_sums(entries: list[_Entry], taken: list[list[set[int]]], group: int) -> list[_Entry]:
    """The entries of a worker in a stage, ordered by what those before it in its group read in each step."""
    ends = [k for k, entry in enumerate(entries) if entry[3] != -1]
    sums = [entries[a + 1 : b + 1] for a, b in zip([-1, *ends], ends, strict=False)]
    order: list[_Entry] = []
    while sums:
        candidates = sums[:LOOK_AHEAD]
        chosen = min(candidates, key=lambda terms: _next(terms, taken[len(order)], group)[0])
        sums.remove(chosen)
        target, waiting = chosen[-1][3], list(chosen)
        while waiting:
            _, best, is_swapped = _next(waiting, taken[len(order)], group)
            left, right, weight, _ = waiting.pop(best)
            order.append((*((right, left) if is_swapped else (left, right)), weight, -1 if waiting else target))
    return order + entries[len(order) :]  # what is left is idle


def _next(entries: Sequence[_Entry], taken: list[set[int]], group: int) -> tuple[int, int, bool]:
    """How many banks the best of the first entries shares with others, which it is, and whether its factors swap."""
    return min(
        ((slots[0] % group in taken[0]) + (slots[1] % group in taken[1]), k, is_swapped)
        for k, (left, right, *_) in enumerate(entries[:LOOK_AHEAD])
        for is_swapped, slots in ((False, (left, right)), (True, (right, left)))
    )


class _Block:
    """One stage, dealt out: the longest sums first, each to one worker if any has room for it, else to several."""

    def __init__(self, rows: Sequence[Row]) -> None:
        total = sum(len(row.terms) for row in rows)
        self.steps = -(-total // (WORKERS * AHEAD)) * AHEAD
        self.pairs = np.zeros((self.steps, WORKERS), np.uint32)
        self.factors = np.zeros((self.steps, WORKERS))
        self.targets = np.full((self.steps, WORKERS), -1, np.int32)
        self.fixes: list[tuple[int, int, int]] = []
        self.scratch = 0
        self._free = [self.steps] * WORKERS
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
