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
) -> tuple[Numbers, Numbers, FloatArray]:
    """Order the entries of each sum, and the factors of each, so that workers side by side read different banks.

    Args:
        first: Slots of the first factors, shape (steps, WORKERS).
        second: Of the second.
        weights: Of the products.
        schedule: Says where sums and stages end.
        group: Workers whose reads go together; as many slots lie side by side before the banks begin anew.

    Returns:
        The same three, in their new order.
    """
    first, second, weights = first.copy(), second.copy(), weights.copy()
    stage_ends = schedule.stages[:, 0] + schedule.stages[:, 1] - 1
    for worker in range(first.shape[1]):
        begin = 0
        for end in sorted({*np.flatnonzero(schedule.targets[:, worker] != -1).tolist(), *stage_ends.tolist()}):
            if worker % group:
                _spread_sum(first, second, weights, range(begin, end + 1), (worker, group))
            begin = end + 1
    return first, second, weights


def _spread_sum(first: Numbers, second: Numbers, weights: FloatArray, steps: range, lane: tuple[int, int]) -> None:
    """Order one sum of a worker by what the workers before it in its group read in the same steps."""
    worker, group = lane
    waiting = [(int(first[k, worker]), int(second[k, worker]), weights[k, worker]) for k in steps]
    waiting += [(right, left, weight) for left, right, weight in waiting]  # the same with factors changed
    peers = slice(worker - worker % group, worker)
    for step in steps:
        taken = [{int(slot) % group for slot in slots[step, peers]} for slots in (first, second)]
        count = len(waiting) // 2
        seen = [k for k in range(len(waiting)) if k % count < LOOK_AHEAD]
        best = min(seen, key=lambda k: sum(waiting[k][side] % group in taken[side] for side in (0, 1)))
        first[step, worker], second[step, worker], weights[step, worker] = waiting[best]
        waiting = [entry for k, entry in enumerate(waiting) if k % count != best % count]


class _Block:
    """One stage, dealt out."""

    def __init__(self, rows: Sequence[Row]) -> None:
        total = sum(len(row.terms) for row in rows)
        self.steps = -(-total // (WORKERS * AHEAD)) * AHEAD
        self.pairs = np.zeros((self.steps, WORKERS), np.uint32)
        self.factors = np.zeros((self.steps, WORKERS))
        self.targets = np.full((self.steps, WORKERS), -1, np.int32)
        self.fixes: list[tuple[int, int, int]] = []
        self.scratch = 0
        at = 0
        for row in rows:
            self._deal(row, at)
            at += len(row.terms)

    def _deal(self, row: Row, at: int) -> None:
        """Put a row's terms at places ``at`` and on; worker w has places w * steps to (w + 1) * steps."""
        last = at + len(row.terms) - 1
        split = last // self.steps - at // self.steps
        if split:
            self.fixes.append((row.target, self.scratch, split + 1))
        for place, (left, right, factor) in enumerate(row.terms, at):
            worker, step = divmod(place, self.steps)
            self.pairs[step, worker] = left | right << 16
            self.factors[step, worker] = factor
            if place == last or step == self.steps - 1:
                self.targets[step, worker] = -2 - self.scratch if split else row.target
                self.scratch += bool(split)
