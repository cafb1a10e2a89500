r"""Contraction tables of moment tensor potentials, generated from the level.

A moment tensor potential expands the energy of one atom in scalars that are contracted from the
moments :math:`M_{\mu,\nu} = \sum_j f_\mu(r_j) \, u_j^{\otimes\nu}` of its neighbourhood. The level
of a moment is :math:`2 + 4\mu + \nu`, that of a product is the sum over its factors, and the basis
of level L holds every scalar of level at most L.

A contraction is a multigraph: a node is a moment, labelled by mu and nu, an edge is one pair of
contracted indices, and a scalar is a graph in which node i has nu_i edges. Scalars are the
non-isomorphic loopless multigraphs on one to four nodes. A graph whose node has fewer edges than
nu is a tensor with free indices; such tensors are the intermediate steps of the computation.

Numbering and order are those of the files distributed with MLIP, so that coefficients can be
exchanged index by index.

Source: A. V. Shapeev, Multiscale Model. Simul. 14, 1153 (2016); I. S. Novikov et al., Mach. Learn.
Sci. Technol. 2, 025002 (2021).
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import LevelError

LOWEST_LEVEL = 2
HIGHEST_LEVEL = 28
MAX_FACTORS = 4
# MLIP's tables stop at these, which matters from level 26 on: there the level alone would admit
# mu = 6 and nu = 12.
MAX_MU = 5
MAX_NU = 10

type IntArray = npt.NDArray[np.int32]
type Exponents = tuple[int, int, int]
type Component = tuple[Exponents, ...]
type Nodes = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ContractionTables:
    """What to multiply and add to get the basis of one level, in MLIP's numbering.

    Moments are numbered from 0: first the B basic ones, then the intermediate and scalar ones.

    Attributes:
        level: Highest level of a basis function.
        radial_funcs_count: Number of radial functions, the highest mu plus one.
        alpha_index_basic: Basic moments, rows (mu, x, y, z) with the exponents of the unit vector,
            shape (B, 4).
        alpha_index_times: Products, rows (i, j, multiplicity, target) that stand for
            ``moment[target] += multiplicity * moment[i] * moment[j]``, sorted by target, shape
            (T, 4). Every factor is complete before it is used.
        alpha_moments_count: Number of all moments.
        alpha_moment_mapping: Moment number of each basis function, shape (A,).
    """

    level: int
    radial_funcs_count: int
    alpha_index_basic: IntArray
    alpha_index_times: IntArray
    alpha_moments_count: int
    alpha_moment_mapping: IntArray


class Tensor(NamedTuple):
    """A contraction of moments as a labelled multigraph in canonical order of its nodes.

    Attributes:
        mus: Radial index of each node, ascending.
        triangle: Upper triangle, row by row, of the symmetric matrix with the rank nu_i on the
            diagonal and the number of indices contracted between i and j off it. Rows sum to less
            than twice the diagonal where node i has free indices.
    """

    mus: tuple[int, ...]
    triangle: tuple[int, ...]

    def entry(self, i: int, j: int) -> int:
        """Rank of node i (for i = j) or number of edges between i and j."""
        return self.triangle[_triangle_positions(len(self.mus))[min(i, j), max(i, j)]]


type Moment = tuple[Tensor, Component]
type Products = dict[tuple[int, int], int]


@cache
def _triangle_positions(node_count: int) -> dict[tuple[int, int], int]:
    """Place of every matrix entry (i <= j) in the flat upper triangle."""
    pairs = itertools.combinations_with_replacement(range(node_count), 2)
    return {pair: place for place, pair in enumerate(pairs)}


@cache
def _relabellings(node_count: int) -> list[tuple[Nodes, tuple[int, ...]]]:
    """All orders of the nodes, each with the places it gathers the flat triangle from."""
    positions = _triangle_positions(node_count)
    return [
        (
            order,
            tuple(positions[min(order[i], order[j]), max(order[i], order[j])] for i, j in positions),
        )
        for order in itertools.permutations(range(node_count))
    ]


@cache
def _canonical(tensor: Tensor) -> tuple[Tensor, Nodes]:
    """The same graph with sorted mus and the smallest triangle, and the order that gives it."""
    mus = tuple(sorted(tensor.mus))
    triangle, order = min(
        (tuple([tensor.triangle[place] for place in gather]), order)
        for order, gather in _relabellings(len(mus))
        if tuple([tensor.mus[node] for node in order]) == mus
    )
    return Tensor(mus, triangle), order


def _exponents(rank: int) -> list[Exponents]:
    """Components of a symmetric tensor as powers of x, y, z; x descending, then y descending."""
    return [(x, y, rank - x - y) for x in range(rank, -1, -1) for y in range(rank - x, -1, -1)]


def _multinomial(powers: Exponents) -> int:
    """How many index tuples share these powers."""
    return math.factorial(sum(powers)) // math.prod(map(math.factorial, powers))


def _level(mu: int, nu: int) -> int:
    """Level of a moment (Novikov et al. 2021)."""
    return 2 + 4 * mu + nu


def _labels(level: int) -> list[tuple[int, int]]:
    """Labels (mu, nu) of the moments a scalar of this level can hold."""
    labels = itertools.product(range(MAX_MU + 1), range(MAX_NU + 1))
    return [label for label in labels if _level(*label) <= level]


def _complete_graphs(degrees: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Flat triangles of all loopless multigraphs in which node i has ``degrees[i]`` edges."""
    if not degrees:
        yield ()
        return
    first, *others = degrees
    for edges in itertools.product(*(range(min(first, degree) + 1) for degree in others)):
        if sum(edges) != first:
            continue
        remaining = tuple(degree - edge for degree, edge in zip(others, edges, strict=True))
        for rest in _complete_graphs(remaining):
            yield (0, *edges, *rest)


def _scalars(level: int) -> list[Tensor]:
    """All scalars up to the level in MLIP's order: number of factors, mus, triangle."""
    found: set[Tensor] = set()
    for count in range(1, MAX_FACTORS + 1):
        diagonal = [_triangle_positions(count)[i, i] for i in range(count)]
        for labels in itertools.combinations_with_replacement(_labels(level), count):
            if sum(itertools.starmap(_level, labels)) > level:
                continue
            mus, ranks = zip(*labels, strict=True)
            for edges in _complete_graphs(ranks):
                triangle = list(edges)
                for place, rank in zip(diagonal, ranks, strict=True):
                    triangle[place] = rank
                found.add(_canonical(Tensor(mus, tuple(triangle)))[0])
    return sorted(found, key=lambda tensor: (len(tensor.mus), tensor))


@dataclass(frozen=True)
class _Split:
    """A tensor written as the contraction of two smaller ones.

    Attributes:
        sides: The nodes of either factor, in that factor's canonical order.
        factors: The two factors.
        edges: Contracted indices between the sides as (node, node, number).
    """

    sides: tuple[Nodes, Nodes]
    factors: tuple[Tensor, Tensor]
    edges: list[tuple[int, int, int]]


def _induced(tensor: Tensor, nodes: Nodes) -> tuple[Tensor, Nodes]:
    """Canonical tensor on some of the nodes; edges to the others turn into free indices."""
    mus = tuple(tensor.mus[node] for node in nodes)
    pairs = itertools.combinations_with_replacement(nodes, 2)
    canonical, order = _canonical(Tensor(mus, tuple(tensor.entry(i, j) for i, j in pairs)))
    return canonical, tuple(nodes[place] for place in order)


@cache
def _split(tensor: Tensor) -> _Split:
    """Cut where the fewest indices are contracted: the sum over components is shortest there.

    Ties go to single nodes before pairs and to the first node in canonical order: MLIP's choice.
    """
    nodes = range(len(tensor.mus))
    halves: list[Nodes] = [(node,) for node in nodes]
    if len(nodes) == MAX_FACTORS:
        halves += [(0, node) for node in nodes[1:]]
    cuts: list[tuple[Nodes, Nodes]] = [(half, tuple(node for node in nodes if node not in half)) for half in halves]
    left, right = min(cuts, key=lambda cut: sum(tensor.entry(i, j) for i, j in itertools.product(*cut)))
    edges = [(i, j, tensor.entry(i, j)) for i in left for j in right if tensor.entry(i, j)]
    (left_tensor, left), (right_tensor, right) = _induced(tensor, left), _induced(tensor, right)
    return _Split((left, right), (left_tensor, right_tensor), edges)


@cache
def _distributions(tensor: Tensor) -> list[tuple[int, Component]]:
    """All assignments of x, y, z to the indices contracted in the split of a tensor.

    Returns:
        For each, how many index tuples it stands for and the powers it adds to every node.
    """
    edges = _split(tensor).edges
    terms = []
    for powers in itertools.product(*(_exponents(number) for _, _, number in edges)):
        added = [(0, 0, 0)] * len(tensor.mus)
        for (i, j, _), power in zip(edges, powers, strict=True):
            added[i] = _add(added[i], power)
            added[j] = _add(added[j], power)
        terms.append((math.prod(map(_multinomial, powers)), tuple(added)))
    return terms


def _add(a: Exponents, b: Exponents) -> Exponents:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


@dataclass
class _Builder:
    """Collects the moments needed for a list of scalars, in the order they are first met.

    Attributes:
        numbers: Provisional number of each moment met; equal moments share one.
        products: Products of each moment, empty for basic ones.
        depths: Length of the longest chain of products below each moment.
        names: The first of the names of each moment in MLIP's order.
    """

    numbers: dict[Moment, int] = field(default_factory=dict)
    products: list[Products] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    names: list[Moment] = field(default_factory=list)
    _seen: dict[frozenset[tuple[tuple[int, int], int]], int] = field(default_factory=dict)

    def require(self, moment: Moment) -> int:
        """Number of a moment, made with all it is computed from where it is new."""
        if moment not in self.numbers:
            products = self._products(moment) if len(moment[0].mus) > 1 else {}
            self.numbers[moment] = self._number(moment, products)
        return self.numbers[moment]

    def _products(self, moment: Moment) -> Products:
        """Products that add up to one component of a tensor."""
        tensor, component = moment
        split = _split(tensor)
        (left, right), (left_tensor, right_tensor) = split.sides, split.factors
        products: Products = {}
        for multiplicity, added in _distributions(tensor):
            powers = [_add(own, more) for own, more in zip(component, added, strict=True)]
            i = self.require((left_tensor, tuple([powers[node] for node in left])))
            j = self.require((right_tensor, tuple([powers[node] for node in right])))
            pair = (i, j) if i < j else (j, i)
            products[pair] = products.get(pair, 0) + multiplicity
        return products

    def _number(self, moment: Moment, products: Products) -> int:
        """Number for a moment; components with the same products are one moment."""
        content = frozenset(products.items())
        if content and content in self._seen:
            number = self._seen[content]
            self.names[number] = min(moment, self.names[number], key=_rank)
            return number
        number = len(self.names)
        self.names.append(moment)
        self.products.append(products)
        depths = [self.depths[factor] for pair in products for factor in pair]
        self.depths.append(1 + max(depths, default=-1))
        self._seen[content] = number
        return number


def _rank(moment: Moment) -> tuple[int, Tensor, list[int]]:
    """Sort key of a moment: factors, mus, triangle, then components with x and y descending."""
    tensor, component = moment
    return len(tensor.mus), tensor, [-power for powers in component for power in powers]


def _basic_moments(scalars: list[Tensor]) -> list[Moment]:
    """All components of every moment that occurs in a scalar."""
    labels = {(mu, scalar.entry(i, i)) for scalar in scalars for i, mu in enumerate(scalar.mus)}
    return [(Tensor((mu,), (nu,)), (powers,)) for mu, nu in sorted(labels) for powers in _exponents(nu)]


def _check_level(level: int) -> None:
    allowed = range(LOWEST_LEVEL, HIGHEST_LEVEL + 1, 2)
    if isinstance(level, bool) or level not in allowed:
        message = f"level must be an even number from {allowed[0]} to {allowed[-1]}, not {level!r}"
        raise LevelError(message)


def _as_table(rows: list[tuple[int, ...]], width: int) -> IntArray:
    """Read-only array of rows: the tables are shared by every caller."""
    return _frozen(np.array(rows, dtype=np.int32).reshape(-1, width))


def _frozen(array: IntArray) -> IntArray:
    array.flags.writeable = False
    return array


@cache
def _tables(level: int) -> ContractionTables:
    scalars = _scalars(level)
    basics = _basic_moments(scalars)
    builder = _Builder()
    for basic in basics:
        builder.require(basic)
    targets = [builder.require((scalar, ((0, 0, 0),) * len(scalar.mus))) for scalar in scalars]
    # Basic moments keep their place; the others follow by depth, so that factors come first.
    ordered = sorted(
        range(len(basics), len(builder.names)),
        key=lambda number: (builder.depths[number], _rank(builder.names[number])),
    )
    final = {old: new for new, old in enumerate([*range(len(basics)), *ordered])}
    times = [
        (final[old], *sorted((final[i], final[j])), multiplicity)
        for old in ordered
        for (i, j), multiplicity in builder.products[old].items()
    ]
    return ContractionTables(
        level=level,
        radial_funcs_count=basics[-1][0].mus[0] + 1,
        alpha_index_basic=_as_table([(*t.mus, *powers) for t, (powers,) in basics], 4),
        alpha_index_times=_as_table([(i, j, mult, target) for target, i, j, mult in sorted(times)], 4),
        alpha_moments_count=len(final),
        alpha_moment_mapping=_frozen(np.array([final[t] for t in targets], dtype=np.int32)),
    )


@cache
def scalar_graphs(level: int) -> tuple[Tensor, ...]:
    """The scalars of a level as graphs, in the order of ``alpha_moment_mapping``."""
    _check_level(level)
    return tuple(_scalars(level))


def relabelled(scalar: Tensor, mus: tuple[int, ...]) -> Tensor:
    """The scalar with other radial indices on its nodes, in canonical order."""
    return _canonical(Tensor(mus, scalar.triangle))[0]


def contraction_tables(level: int) -> ContractionTables:
    """Contraction tables of one level, in the numbering of MLIP's own files.

    Args:
        level: Even number from 2 to 28.

    Returns:
        The tables, cached and with read-only arrays.

    Raises:
        LevelError: the level is odd or outside that range.

    Source: Shapeev 2016 and Novikov et al. 2021; see the module for the formula. Above level 24
        the limits mu <= 5 and nu <= 10 of MLIP's tables apply.
    """
    _check_level(level)
    return _tables(int(level))
