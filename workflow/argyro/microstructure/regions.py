"""Which grain a point belongs to, how far it is from the next boundary, and how much of the volume is near one."""

from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree
from scipy.stats import qmc

from .model import FloatArray, Microstructure
from .tessellation import IntArray, Tessellation

IMAGES = (-2, -1, 0, 1, 2)  # of the cell along each vector whose grains may reach into it


class Region(NamedTuple):
    """Where points are.

    Attributes:
        grain: Index of the grain of each, shape (P,).
        distance: To the plane of the next facet that is a boundary, shape (P,), angstrom; infinite without any.
        facet: Index of that facet, shape (P,); -1 without any.
    """

    grain: IntArray
    distance: FloatArray
    facet: IntArray

    def is_boundary(self, width: float) -> npt.NDArray[np.bool_]:
        """Whether points count as boundary, of a width in angstrom: half of it lies on either side."""
        return self.distance <= width / 2


class Regions:
    """Finds grains and boundaries of points, fast enough for every ion of every frame.

    Args:
        tessellation: Of a microstructure.
    """

    def __init__(self, tessellation: Tessellation) -> None:
        microstructure = tessellation.microstructure
        self.tessellation = tessellation
        shifts = np.array(list(product(IMAGES, repeat=3))) @ microstructure.cell
        self._seeds = (microstructure.seeds[None, :, :] + shifts[:, None, :]).reshape(-1, 3)
        # The smallest power distance is the smallest distance, squared, in a space with one more axis
        lift = np.sqrt(microstructure.weights.max() - microstructure.weights)
        self._tree = KDTree(np.column_stack([self._seeds, np.tile(lift, len(shifts))]))

    def find(self, positions: FloatArray) -> Region:
        """Where points are.

        Args:
            positions: Anywhere, shape (P, 3), angstrom.
        """
        points = wrapped(positions, self.tessellation.microstructure)
        image = self._tree.query(np.column_stack([points, np.zeros(len(points))]))[1]
        grain = image % self.tessellation.microstructure.grains
        from_seed = points - self._seeds[image]
        distance, facet = np.full(len(points), np.inf), np.full(len(points), -1)
        facets = self.tessellation.facets
        order = np.argsort(grain, kind="stable")
        bounds = np.searchsorted(grain[order], np.arange(self.tessellation.microstructure.grains + 1))
        for index in range(self.tessellation.microstructure.grains):
            mine = order[bounds[index] : bounds[index + 1]]
            faces = np.flatnonzero((facets.grain == index) & facets.is_boundary)
            if len(mine) and len(faces):
                heights = facets.offset[faces] - from_seed[mine] @ facets.normal[faces].T
                nearest = heights.argmin(axis=1)
                distance[mine] = heights[np.arange(len(mine)), nearest]
                facet[mine] = faces[nearest]
        return Region(grain, distance, facet)


def wrapped(positions: FloatArray, microstructure: Microstructure) -> FloatArray:
    """Positions inside the cell."""
    fractional = np.linalg.solve(microstructure.cell.T, positions.T).T
    inside: FloatArray = (fractional - np.floor(fractional)) @ microstructure.cell
    return inside


def sampled_boundary_fraction(regions: Regions, width: float, points: int, seed: int) -> float:
    """Part of the volume within half a width, angstrom, of a boundary, edges counted once.

    Args:
        regions: Of a microstructure.
        width: Of boundaries, angstrom.
        points: How many are sampled: their number is rounded up to a power of two, in a scrambled Sobol sequence.
        seed: Of the scrambling.
    """
    fractional = qmc.Sobol(3, rng=seed).random_base2(int(np.ceil(np.log2(points))))
    region = regions.find(fractional @ regions.tessellation.microstructure.cell)
    return float(region.is_boundary(width).mean())
