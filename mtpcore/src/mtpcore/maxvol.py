"""Square matrices of largest volume: which rows of a tall matrix span all others with small coefficients.

A row b of the tall matrix has the coefficients c = b A^-1 in the n selected rows A. Replacing row j of A by b
multiplies |det A|, the volume, by |c_j|. So as long as some |c_j| > 1 a swap makes the volume larger, and when none is
left every row is an interpolation of the selected ones: max |c_j| is its extrapolation grade.

The matrix starts from rows that stand for nothing in data (start rows), small, so that any row with a component along
one of them replaces it. Directions that no data span keep their start row for good.

Source: S. A. Goreinov et al., in: Matrix Methods: Theory, Algorithms and Applications, World Scientific (2010), p. 247
    (the swaps); Podryabinkin and Shapeev, Comput. Mater. Sci. 140, 171 (2017) (start rows); B. W. Kernighan and S. Lin,
    Bell Syst. Tech. J. 49, 291 (1970) (chains of exchanges).
"""

from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .errors import InvalidStructureError

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int32]
type Move = tuple[int, int]

START = -1  # link of a start row
DEFAULT_THRESHOLD = 1.001
CHECK_INTERVAL = 32  # swaps between two looks at the residual
REFACTOR_INTERVAL = 512  # swaps after which the inverse is computed anew anyway
LARGEST_RESIDUAL = 1e-9

BLOCK = 64  # rows updated at a time

# A chain of exchanges begins with a swap that lowers the volume to no less than FIRST_FACTOR of what it was, and is
# given up below GIVE_UP; coefficients below NEGLIGIBLE are left out of its search.
CHAIN_LENGTH = 4
FIRST_FACTOR = 0.6
GIVE_UP = 0.5
NEGLIGIBLE = 0.2
KICK = 8  # candidates a kick looks at; it takes those that a swap would neither change little nor cost much
SMALLEST_KICK = 0.1


@dataclass
class MaxVol:
    """The selected rows, their inverse, and where they come from.

    Attributes:
        matrix: The selected rows A, shape (n, n).
        inverse: A^-1, shape (n, n).
        links: Two numbers of the caller's for each row, ``START`` where it is a start row, shape (n, 2).
        swaps: Swaps made so far.
        refactorizations: How often the inverse was computed anew.
    """

    matrix: FloatArray
    inverse: FloatArray
    links: IntArray
    swaps: int = 0
    refactorizations: int = 0
    _age: int = field(default=0, repr=False)  # swaps since the inverse was computed anew

    @classmethod
    def from_start(cls, start: FloatArray) -> "MaxVol":
        """Start rows only.

        Args:
            start: The start rows, shape (n, n), not singular.
        """
        links = np.full((len(start), 2), START, dtype=np.int32)
        state = cls(np.array(start, dtype=np.float64), np.empty_like(start, dtype=np.float64), links)
        state.refactorize()
        return state

    @property
    def is_real(self) -> npt.NDArray[np.bool_]:
        """Which rows are not start rows, shape (n,)."""
        real: npt.NDArray[np.bool_] = self.links[:, 0] != START
        return real

    def coefficients(self, rows: FloatArray) -> FloatArray:
        """Coefficients of rows in the selected ones, shape (m, n).

        Raises:
            InvalidStructureError: a row is not finite.
        """
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            raise InvalidStructureError(f"row {int(np.argmin(finite))} of {len(rows)} holds NaN or infinity")
        return rows @ self.inverse

    def grades(self, rows: FloatArray) -> FloatArray:
        """Extrapolation grade of rows, shape (m,)."""
        return np.abs(self.coefficients(rows)).max(axis=1, initial=0.0)

    def log_volume(self) -> float:
        """Natural logarithm of |det A|, start rows included."""
        return float(np.linalg.slogdet(self.matrix)[1])

    def residual(self) -> float:
        """Largest element of |A A^-1 - I|."""
        return float(np.abs(self.matrix @ self.inverse - np.eye(len(self.matrix))).max())

    def condition(self) -> float:
        """Bound of the condition number on the space that the data span, in the maximum norm.

        Start rows would make it as large as they are small, for good. So only rows of data count, their columns scaled
        to the same size, and the columns of the inverse that belong to them: a right inverse of these rows. 1 if there
        are none.
        """
        real = self.is_real
        if not real.any():
            return 1.0
        scale = np.abs(self.matrix[real]).max(axis=0)
        scale[scale == 0.0] = 1.0
        direct = np.abs(self.matrix[real] / scale).sum(axis=1).max()
        return float(direct * np.abs(self.inverse[:, real] * scale[:, None]).sum(axis=1).max())

    def refactorize(self) -> None:
        """Compute the inverse from the matrix, rows and columns scaled to the same size first."""
        columns = np.abs(self.matrix).max(axis=0)
        scaled = self.matrix / columns
        rows = np.abs(scaled).max(axis=1)
        inverse = np.linalg.inv(scaled / rows[:, None])
        self.inverse = np.ascontiguousarray(inverse / columns[:, None] / rows)
        self._age = 0
        self.refactorizations += 1

    def exchange(
        self, rows: FloatArray, links: IntArray, *, threshold: float = DEFAULT_THRESHOLD, limit: int | None = None
    ) -> int:
        """Swap rows in, the largest coefficient first, until none is larger than the threshold.

        Args:
            rows: Candidates, shape (m, n).
            links: Where they come from, shape (m, 2).
            threshold: Smallest gain of volume worth a swap, above 1.
            limit: Most swaps to make.

        Returns:
            Number of swaps made.

        Raises:
            InvalidStructureError: a row is not finite.
        """
        before = self.swaps
        self._exchange(rows, links, self.coefficients(rows), threshold, limit)
        return self.swaps - before

    def deepen(
        self, rows: FloatArray, links: IntArray, *, threshold: float = DEFAULT_THRESHOLD, trials: int = 2000
    ) -> int:
        """Look for chains of exchanges that make the volume larger where no single one does.

        Args:
            rows: Candidates, shape (m, n), none of which a single swap would take.
            links: Where they come from, shape (m, 2).
            threshold: Smallest gain of volume worth a chain.
            trials: Most chains to try.

        Returns:
            Number of swaps made.
        """
        coefficients, before = self.coefficients(rows), self.swaps
        tried = 0
        while tried < trials:
            chain: list[Move] = []
            for first in _promising(coefficients, self._selected(links)):
                tried += 1
                chain = _chain(coefficients, first, threshold)
                if chain or tried >= trials:
                    break
            if not chain:
                break
            for move in chain:
                coefficients = self._swap(rows, links, coefficients, move)
            coefficients = self._exchange(rows, links, coefficients, threshold, None)
        return self.swaps - before

    def kick(self, rows: FloatArray, links: IntArray, rng: np.random.Generator) -> None:
        """Replace a few chosen rows by others at random, without losing much volume."""
        coefficients = self.coefficients(rows)
        for candidate in rng.permutation(len(rows))[:KICK]:
            place = int(np.abs(coefficients[candidate]).argmax())
            if SMALLEST_KICK < abs(coefficients[candidate, place]) < 1.0 - SMALLEST_KICK:
                coefficients = self._swap(rows, links, coefficients, (int(candidate), place))

    def _exchange(
        self, rows: FloatArray, links: IntArray, coefficients: FloatArray, threshold: float, limit: int | None
    ) -> FloatArray:
        """As :meth:`exchange`, from the coefficients of the candidates to those after the swaps."""
        last = None if limit is None else self.swaps + limit
        while coefficients.size and self.swaps != last:
            move = _largest(coefficients)
            if abs(coefficients[move]) <= threshold:
                break
            coefficients = self._swap(rows, links, coefficients, move)
        return coefficients

    def _selected(self, links: IntArray) -> npt.NDArray[np.bool_]:
        """Which of these links belong to selected rows, shape (m,)."""
        selected = {tuple(link) for link in self.links.tolist()}
        return np.array([tuple(link) in selected for link in links.tolist()], dtype=np.bool_)

    def _swap(self, rows: FloatArray, links: IntArray, coefficients: FloatArray, move: Move) -> FloatArray:
        """Put candidate ``move[0]`` in place of row ``move[1]``; the coefficients after that."""
        candidate, place = move
        step = coefficients[candidate].copy()
        step[place] -= 1.0
        step /= coefficients[move]
        _subtract_outer(self.inverse, self.inverse[:, place], step)
        _subtract_outer(coefficients, coefficients[:, place], step)
        self.matrix[place] = rows[candidate]
        self.links[place] = links[candidate]
        self.swaps += 1
        self._age += 1
        if self._age % CHECK_INTERVAL == 0 and self._is_worn():
            self.refactorize()
            return self.coefficients(rows)
        return coefficients

    def _is_worn(self) -> bool:
        """Whether rounding has piled up in the inverse, by the residual along one vector of ones of either sign."""
        signs = np.where(np.arange(len(self.matrix)) % 3 == 0, -1.0, 1.0)
        residual = np.abs(self.matrix @ (self.inverse @ signs) - signs).max()
        return self._age >= REFACTOR_INTERVAL or not residual <= LARGEST_RESIDUAL


def maximize_volume(
    rows: FloatArray,
    *,
    threshold: float = 1.0 + 1e-6,
    start: float = 1e-6,
    trials: int = 2000,
    kicks: int = 10,
) -> MaxVol:
    """Rows of a matrix, all in memory, with the largest volume that a thorough search finds.

    There are many choices that no swap and no chain of exchanges improves. So the search begins from start rows, and
    from a greedy choice with columns scaled to the same size or as they are, and goes on from the best with a few of
    its rows replaced at random.

    Args:
        rows: Shape (m, n).
        threshold: Smallest gain of volume worth a swap, above 1.
        start: Size of the start rows in units of the root mean square of each column.
        trials: Most chains of exchanges to try at a time.
        kicks: How often to go on from the best.

    Returns:
        The state; links are (row, 0). The same for the same rows.

    Raises:
        InvalidStructureError: a row is not finite.
    """
    size = np.sqrt(np.mean(rows**2, axis=0)) if len(rows) else np.zeros(rows.shape[1])
    size[size == 0.0] = 1.0
    links = np.stack([np.arange(len(rows)), np.zeros(len(rows))], axis=1).astype(np.int32)
    rng = np.random.default_rng(0)
    states = []
    for first in (links[:0, 0], greedy_rows(rows / size), greedy_rows(rows)):
        state = MaxVol.from_start(np.diag(start * size))
        state.exchange(rows[first], links[first], threshold=threshold)
        states.append(state)
    states = [_climb(state, rows, links, threshold, trials) for state in states]
    best = max(states, key=MaxVol.log_volume)
    for _ in range(kicks if len(rows) else 0):
        trial = deepcopy(best)
        trial.kick(rows, links, rng)
        best = max(best, _climb(trial, rows, links, threshold, trials), key=MaxVol.log_volume)
    return best


def _climb(state: MaxVol, rows: FloatArray, links: IntArray, threshold: float, trials: int) -> MaxVol:
    """Make the volume larger as far as swaps and chains go."""
    state.exchange(rows, links, threshold=threshold)
    state.deepen(rows, links, threshold=threshold, trials=trials)
    state.refactorize()
    return state


def greedy_rows(rows: FloatArray, tolerance: float = 1e-6) -> IntArray:
    """Rows each of which has the largest component outside the span of those before it, at most n.

    Args:
        rows: Shape (m, n).
        tolerance: Where to stop, in units of the largest row.
    """
    rest = rows.copy()
    chosen: list[int] = []
    squares = np.einsum("ij,ij->i", rest, rest)
    smallest = tolerance**2 * squares.max(initial=0.0)
    while len(chosen) < min(rows.shape) and squares.max(initial=0.0) > smallest:
        row = int(squares.argmax())
        chosen.append(row)
        direction = rest[row] / np.sqrt(squares[row])
        rest -= np.outer(rest @ direction, direction)
        squares = np.einsum("ij,ij->i", rest, rest)
    return np.array(chosen, dtype=np.int32)


def _subtract_outer(matrix: FloatArray, column: FloatArray, row: FloatArray) -> None:
    """Subtract column times row in place, by blocks that fit a processor's cache."""
    column = column.copy()
    for begin in range(0, len(matrix), BLOCK):
        matrix[begin : begin + BLOCK] -= column[begin : begin + BLOCK, None] * row


def _largest(matrix: FloatArray) -> Move:
    """Place of the largest absolute value."""
    high, low = int(matrix.argmax()), int(matrix.argmin())
    place = high if matrix.flat[high] >= -matrix.flat[low] else low
    row, column = divmod(place, matrix.shape[1])
    return row, column


def _promising(coefficients: FloatArray, selected: npt.NDArray[np.bool_]) -> list[Move]:
    """Swaps that lower the volume only a little, the best first."""
    size = np.abs(coefficients)
    size[selected] = 0.0
    rows, columns = np.nonzero(size > FIRST_FACTOR)
    order = np.argsort(-size[rows, columns], kind="stable")
    return list(zip(rows[order].tolist(), columns[order].tolist(), strict=True))


def _chain(coefficients: FloatArray, first: Move, threshold: float) -> list[Move]:
    """Swaps that begin with the given one and together multiply the volume by more than the threshold, or none.

    No row or column is touched twice. Only rows and columns that the first swap changes take part: the coefficients of
    the others are no larger than they were.
    """
    rows = np.flatnonzero(np.abs(coefficients[:, first[1]]) > NEGLIGIBLE)
    columns = np.flatnonzero(np.abs(coefficients[first[0]]) > NEGLIGIBLE)
    block = coefficients[np.ix_(rows, columns)]
    move = (int(np.searchsorted(rows, first[0])), int(np.searchsorted(columns, first[1])))
    factor, chain = 1.0, []
    for _ in range(CHAIN_LENGTH):
        pivot = block[move]
        factor *= abs(pivot)
        if factor < GIVE_UP:
            break
        chain.append((int(rows[move[0]]), int(columns[move[1]])))
        if factor > threshold:
            return chain
        block = block - np.outer(block[:, move[1]], block[move[0]] / pivot)
        block[move[0]] = 0.0
        block[:, move[1]] = 0.0
        move = _largest(block)
    return []
