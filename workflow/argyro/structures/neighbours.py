"""Which atoms are near which, periodic images included, in cells of any shape and size."""

from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int64]


class Pairs(NamedTuple):
    """Pairs of points of two sets.

    Attributes:
        first: Index in the first set, shape (M,).
        second: Index in the second set, shape (M,).
        distance: Angstrom, shape (M,).
    """

    first: IntArray
    second: IntArray
    distance: FloatArray


class PeriodicPoints:
    """Points of a periodic cell together with their images around it.

    Args:
        positions: Shape (N, 3), angstrom.
        cell: Cell vectors as rows, shape (3, 3), angstrom.
        reach: Largest distance that is asked for, angstrom.
    """

    def __init__(self, positions: FloatArray, cell: FloatArray, reach: float) -> None:
        fractional = np.linalg.solve(cell.T, positions.T).T
        fractional -= np.floor(fractional)
        margin = reach * np.linalg.norm(np.linalg.inv(cell), axis=0)  # over the distances between faces
        self.inside = fractional @ cell
        images = [fractional]
        self.index = np.arange(len(fractional))
        for shift in _shifts(margin):
            moved = fractional + shift
            near = np.flatnonzero(((moved >= -margin) & (moved <= 1 + margin)).all(axis=1))
            images.append(moved[near])
            self.index = np.concatenate([self.index, near])
        self.tree = KDTree(np.concatenate(images) @ cell)

    def pairs_from(self, first: "PeriodicPoints", distance: float) -> Pairs:
        """All pairs of a point of another set of the same cell, inside it, and one of this set or its images.

        No point is its own partner, but its images are.
        """
        found = KDTree(first.inside).sparse_distance_matrix(self.tree, distance, output_type="ndarray")
        if first is self:
            found = found[found["i"] != found["j"]]
        return Pairs(found["i"], self.index[found["j"]], found["v"])

    def nearest_distance_from(self, first: "PeriodicPoints", reach: float) -> float | None:
        """Smallest distance between two sets of points of the same cell, angstrom; none within reach: None."""
        others = 2 if first is self else 1  # the nearest to a point of the same set is itself
        distance = self.tree.query(first.inside, k=[others], distance_upper_bound=reach)[0].min(initial=np.inf)
        return float(distance) if np.isfinite(distance) else None

    def nearest_to(self, points: FloatArray, count: int) -> IntArray:
        """Indices of the points nearest to given places inside the cell, fewer than asked for if there are no more."""
        found = self.tree.query(points, k=range(1, count + 1))[1].ravel()
        indices: IntArray = self.index[found[found < len(self.index)]]
        return indices


def _shifts(margin: FloatArray) -> list[FloatArray]:
    """All lattice translations but zero that may bring a point within a margin, in fractions, of the cell."""
    ranges = [range(-int(np.ceil(m)), int(np.ceil(m)) + 1) for m in margin]
    return [np.array(shift, dtype=float) for shift in product(*ranges) if any(shift)]
