"""Polycrystals as voxels: which are grain, and which are part of which boundary."""

from dataclasses import dataclass

import numpy as np

from argyro.common.errors import ContinuumError
from argyro.microstructure.tessellation import Facets, IntArray, Tessellation

from .grains import ANGSTROM_PER_NM
from .material import FloatArray, GrainBoundaryMaterial
from .voxel_kernel import Materials, compiled
from .workers import Workers

LARGEST = 2**16 - 1
BEHIND = 1e-9  # of the cell: how far a voxel may be behind a facet until it is looked for in the next grain


@dataclass(frozen=True, eq=False)
class VoxelBoundaries:
    """Boundaries of a polycrystal on a grid of voxels.

    Attributes:
        number: Of each voxel the boundary it is part of, from 1, or 0 in a grain, shape (X, Y, Z).
        normals: Of the boundaries, from number 1, shape (B, 3).
    """

    number: Materials
    normals: FloatArray

    @property
    def fraction(self) -> float:
        """Part of the voxels that is boundary."""
        return sum(np.count_nonzero(plane) for plane in self.number) / self.number.size

    def tensors(self, material: GrainBoundaryMaterial) -> FloatArray:
        """Diffusivities by number, shape (B + 1, 3, 3)."""
        bulk = material.D_bulk * np.eye(3)
        return np.concatenate([bulk[None], material.boundary_tensor(self.normals)])


def voxelize(
    tessellation: Tessellation, width_nm: float, shape: tuple[int, int, int], *, threads: int = 1
) -> VoxelBoundaries:
    """Boundaries on a grid: voxels whose centre is within half a width of the plane of the next facet of their grain.

    Args:
        tessellation: Of any cell.
        width_nm: Of boundaries, however wide.
        shape: Voxels along each cell vector.
        threads: That share the work.

    Raises:
        ContinuumError: more boundaries than there are numbers for.
    """
    facets, microstructure = tessellation.facets, tessellation.microstructure
    numbers, normals = _numbers(facets)
    if len(normals) > LARGEST:
        raise ContinuumError(f"{len(normals)} boundaries; voxels can tell {LARGEST} apart, so take fewer grains")
    starts = np.searchsorted(facets.grain, np.arange(microstructure.grains + 1))
    behind = -BEHIND * np.cbrt(microstructure.volume)
    half_width = width_nm * ANGSTROM_PER_NM / 2
    number = np.empty(shape, np.uint16)

    def find(plane: int) -> None:
        _find_plane(
            plane, number, half_width, microstructure.cell, microstructure.seeds, starts, facets.neighbour,
            facets.shift, facets.normal, facets.offset, numbers, behind,
        )  # fmt: skip

    Workers(threads).run(find, range(shape[0]))
    return VoxelBoundaries(number, normals)


def _numbers(facets: Facets) -> tuple[IntArray, FloatArray]:
    """Number of the boundary of each facet, the same from both sides, 0 if it is none, and normals by number."""
    seen = np.column_stack([facets.grain, facets.neighbour, facets.shift])
    from_behind = np.column_stack([facets.neighbour, facets.grain, -facets.shift])
    # The side that comes first in the order of these five numbers
    different = seen != from_behind
    place = different.argmax(axis=1)[:, None]
    first = np.take_along_axis(seen < from_behind, place, axis=1)
    pairs = np.where(first, seen, from_behind)[facets.is_boundary]
    _, facet, pair = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    numbers = np.zeros(len(seen), np.int64)
    numbers[facets.is_boundary] = pair.ravel() + 1
    return numbers, facets.normal[facets.is_boundary][facet]


@compiled
def _find_plane(  # noqa: PLR0917
    plane: int,
    number: Materials,
    half_width: float,
    cell: FloatArray,
    seeds: FloatArray,
    starts: IntArray,
    neighbour: IntArray,
    shift: IntArray,
    normal: FloatArray,
    offset: FloatArray,
    numbers: IntArray,
    behind: float,
) -> None:
    """Walk through the voxels of a plane, from grain to grain.

    Behind a facet the power distance to the seed there is smaller, so that each way from grain to grain ends.
    """
    grain, image, from_seed = 0, np.zeros(3, np.int64), np.empty(3)
    for j in range(number.shape[1]):
        for k in range(number.shape[2]):
            x, y, z = (plane + 0.5) / number.shape[0], (j + 0.5) / number.shape[1], (k + 0.5) / number.shape[2]
            while True:
                for axis in range(3):
                    image_x, image_y, image_z = x - image[0], y - image[1], z - image[2]
                    place = image_x * cell[0, axis] + image_y * cell[1, axis] + image_z * cell[2, axis]
                    from_seed[axis] = place - seeds[grain, axis]
                facet, height = _nearest_facet(
                    from_seed, starts[grain], starts[grain + 1], normal, offset, numbers, behind
                )
                if height >= behind:
                    break
                grain = neighbour[facet]
                for axis in range(3):
                    image[axis] += shift[facet, axis]
            number[plane, j, k] = numbers[facet] if height <= half_width else 0


@compiled
def _nearest_facet(  # noqa: PLR0917
    from_seed: FloatArray,
    first: int,
    last: int,
    normal: FloatArray,
    offset: FloatArray,
    numbers: IntArray,
    behind: float,
) -> tuple[int, float]:
    """A facet of a grain that the point is behind, else the nearest that is a boundary; and how far before it."""
    nearest, smallest = first, np.inf
    for facet in range(first, last):
        height = offset[facet] - (
            normal[facet, 0] * from_seed[0] + normal[facet, 1] * from_seed[1] + normal[facet, 2] * from_seed[2]
        )
        if height < behind:
            return facet, height
        if height < smallest and numbers[facet] > 0:
            nearest, smallest = facet, height
    return nearest, smallest
