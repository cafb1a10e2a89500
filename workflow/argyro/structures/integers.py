"""Integer lattices: bases, kernels and intersections, exactly."""

from collections.abc import Sequence

import numpy as np

from .neighbours import FloatArray, IntArray

TIE = 1e-9  # so that halves, a matter of the last digit, do not send Gauss's algorithm round in circles


def hermite_rows(matrix: IntArray) -> tuple[IntArray, IntArray]:
    """Bring an integer matrix into row echelon form by a unimodular transformation of its rows.

    Args:
        matrix: Shape (M, N).

    Returns:
        The echelon form H, zero rows last, and the transformation U, shape (M, M), with ``U @ matrix == H``.
    """
    rows = np.array(matrix, dtype=object)
    transformation = np.eye(len(rows), dtype=int).astype(object)
    pivot = 0
    for column in range(rows.shape[1]):
        while len(live := pivot + np.flatnonzero(rows[pivot:, column] != 0)):
            smallest = int(live[np.abs(rows[live, column]).argmin()])
            for array in (rows, transformation):
                array[np.array([pivot, smallest])] = array[np.array([smallest, pivot])]
            if len(live) == 1:
                pivot += 1
                break
            for row in range(pivot + 1, len(rows)):
                quotient = rows[row, column] // rows[pivot, column]
                for array in (rows, transformation):
                    array[row] = array[row] - quotient * array[pivot]
    return rows.astype(np.int64), transformation.astype(np.int64)


def lattice_basis(vectors: IntArray) -> IntArray:
    """A basis of the lattice that integer vectors, the rows of an array, span."""
    echelon, _ = hermite_rows(vectors)
    return echelon[echelon.any(axis=1)]


def kernel(matrix: IntArray) -> IntArray:
    """A basis of all integer row vectors x with ``x @ matrix == 0``."""
    echelon, transformation = hermite_rows(matrix)
    return transformation[~echelon.any(axis=1)]


def congruence_lattice(matrix: IntArray, modulus: int) -> IntArray:
    """A basis of all integer row vectors x with ``x @ matrix`` divisible by a number.

    Args:
        matrix: Square, shape (N, N), not singular.
        modulus: The number.

    Returns:
        Shape (N, N).
    """
    size = len(matrix)
    stacked = np.concatenate([matrix, modulus * np.eye(size, dtype=int)])
    return lattice_basis(kernel(stacked)[:, :size])


def shortest_pair(first: Sequence[float] | FloatArray, second: Sequence[float] | FloatArray) -> FloatArray:
    """The two shortest vectors of a planar lattice, by Gauss's algorithm, with an angle of 60 to 90 degrees."""
    short, long = np.array(first, dtype=float), np.array(second, dtype=float)
    while True:
        if short @ short > long @ long:
            short, long = long, short
        steps = np.rint((1 - TIE) * (short @ long) / (short @ short))
        if steps == 0:
            return np.array([short, -long if short @ long < 0 else long])
        long = long - steps * short
