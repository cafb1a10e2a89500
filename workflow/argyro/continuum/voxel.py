"""Voxel engine: effective diffusivity of polycrystals whose boundaries are resolved by a grid.

For grains so small that their boundaries are no thin layers: boundaries are as wide as they are, meet as they do, and
each of their voxels has the tensor of its facet. What is left is the error of the grid:

* The part of the voxels that is boundary is off by chance. Each grid's result is corrected for that by what coated
  spheres with the one and the other part would have.
* Boundaries across the grid have steps. That is of first order in the edge of voxels for slow boundaries and up to the
  second for fast ones: the result is extrapolated from two grids, with the order that a third tells. Where strongly
  anisotropic boundaries meet, fields have singularities; errors fall more slowly and are stated to be larger.
"""

import numpy as np

from argyro.common.errors import ContinuumError
from argyro.microstructure.model import Microstructure
from argyro.microstructure.tessellation import Tessellation

from .grains import ANGSTROM_PER_NM, interior_fraction
from .material import EffectiveDiffusivity, FloatArray, GrainBoundaryMaterial
from .voxel_array import gpu_library, solve_voxels_by_arrays
from .voxel_grid import VoxelBoundaries, voxelize
from .voxel_solver import Voxels, VoxelSolution, solve_voxels

RESISTIVE_VOXELS = 8.0  # least across boundaries on the finest grid: what is slow leaks where voxels meet at edges
CONDUCTIVE_VOXELS = 4.0
GRIDS = (4, 2, 1)  # edges of their voxels to those of the finest
SLOWEST, FIRST_ORDER, SECOND_ORDER = 1.25, 2.0, 4.0  # how many times the error falls from one grid to the next


def effective_diffusivity_voxel(
    tessellation: Tessellation,
    material: GrainBoundaryMaterial,
    voxels: int,
    *,
    tolerance: float = 1e-5,
    threads: int = 1,
) -> EffectiveDiffusivity:
    """Effective diffusivity of grains with resolved boundaries.

    Args:
        tessellation: Of the actual size.
        material: Its grains and boundaries.
        voxels: Of the finest grid along the shortest cell vector; along others in proportion.
        tolerance: Of the residuals, relative to the forces of the mean gradient.
        threads: That share the work; the result does not depend on them.

    Returns:
        Extrapolated from three grids. The discretization error is the difference of the finer two, and more if the
        coarser two tell that errors do not fall by half.

    Raises:
        ContinuumError: the grid does not resolve the boundaries; the message says which would.
    """
    return VoxelEngine(voxels, tolerance=tolerance, threads=threads).effective_diffusivity(tessellation, material)


class _Grid:
    """Voxels of one microstructure and width, kept while materials change."""

    def __init__(self, tessellation: Tessellation, width_nm: float) -> None:
        self.tessellation, self.width_nm = tessellation, width_nm
        self.fraction = 1 - interior_fraction(tessellation, width_nm)
        self._boundaries: dict[tuple[int, int, int], VoxelBoundaries] = {}

    def boundaries(self, shape: tuple[int, int, int], threads: int) -> VoxelBoundaries:
        """Those of a grid."""
        if shape not in self._boundaries:
            self._boundaries[shape] = voxelize(self.tessellation, self.width_nm, shape, threads=threads)
        return self._boundaries[shape]


class VoxelEngine:
    """Effective diffusivities of a sweep: each solution is where the next begins.

    The arguments are those of `effective_diffusivity_voxel`, and ``gpu``: solve on a GPU, by CuPy.

    Raises:
        ContinuumError: there is none.
    """

    def __init__(self, voxels: int, *, tolerance: float = 1e-5, threads: int = 1, gpu: bool = False) -> None:
        self.voxels, self.tolerance, self.threads = voxels, tolerance, threads
        self._library = gpu_library() if gpu else None
        self._potentials: dict[tuple[int, int, int], FloatArray] = {}
        self._grid: _Grid | None = None

    def effective_diffusivity(
        self, tessellation: Tessellation, material: GrainBoundaryMaterial
    ) -> EffectiveDiffusivity:
        """Effective diffusivity of one case; see `effective_diffusivity_voxel`."""
        require_resolution(tessellation.microstructure, material, self.voxels)
        if (
            self._grid is None
            or self._grid.tessellation is not tessellation
            or self._grid.width_nm != material.width_nm
        ):
            self._grid = _Grid(tessellation, material.width_nm)
        coarsest, coarse, fine = (self._solve(self._grid, material, -(-self.voxels // times)) for times in GRIDS)
        change, change_before = abs(np.trace(fine - coarse)), abs(np.trace(coarse - coarsest))
        falls = change_before / change if change > 0 else FIRST_ORDER
        tensor = fine + (fine - coarse) / (np.clip(falls, FIRST_ORDER, SECOND_ORDER) - 1)
        error = float(change / (np.clip(falls, SLOWEST, FIRST_ORDER) - 1) / np.trace(tensor))
        return EffectiveDiffusivity(tensor=tensor, engine="voxel", discretization_error=error, model_error=0.0)

    def _solve(self, grid: _Grid, material: GrainBoundaryMaterial, voxels: int) -> FloatArray:
        """Effective tensor on one grid, corrected for its part of boundary voxels."""
        microstructure = grid.tessellation.microstructure
        shape = grid_shape(microstructure, voxels)
        boundaries = grid.boundaries(shape, self.threads)
        problem = Voxels(boundaries.number, boundaries.tensors(material), microstructure.cell)
        solution = self._solution(problem, self._potentials.get(shape))
        self._potentials[shape] = solution.potentials
        wanted, there = (coated_spheres(material, part) for part in (grid.fraction, boundaries.fraction))
        return solution.tensor * (wanted / there)

    def _solution(self, voxels: Voxels, start: FloatArray | None) -> VoxelSolution:
        if self._library:
            return solve_voxels_by_arrays(voxels, self._library, start=start, tolerance=self.tolerance)
        return solve_voxels(voxels, start=start, tolerance=self.tolerance, threads=self.threads)


def coated_spheres(material: GrainBoundaryMaterial, fraction: float) -> float:
    """Effective diffusivity of spheres of all sizes that fill space, cores of grain with a coat of boundary.

    In the coat fields are sums of two powers of the radius; what goes through it is matched to the core. With an
    isotropic coat, one of the bounds of Hashin and Shtrikman (Milton, The Theory of Composites, chapter 7).

    Args:
        material: Boundaries have D_perp along the radius.
        fraction: Part of the volume that is coat.
    """
    root = np.sqrt(1 + 8 * material.D_par / material.D_perp)
    rising, falling = (root - 1) / 2, -(root + 1) / 2
    core = material.D_bulk / material.D_perp
    amplitude = (rising - core) / (core - falling) * (1 - fraction) ** (root / 3)
    return float(material.D_perp * (rising + falling * amplitude) / (1 + amplitude))


def grid_shape(microstructure: Microstructure, voxels: int) -> tuple[int, int, int]:
    """Voxels along each cell vector, so many along the shortest, that are as long along the others.

    Raises:
        ContinuumError: less than one voxel.
    """
    if voxels < 1:
        raise ContinuumError(f"a grid of {voxels} voxels is asked for; at least 1 is needed")
    lengths = np.linalg.norm(microstructure.cell, axis=1)
    x, y, z = np.rint(voxels * lengths / lengths.min()).astype(int).tolist()
    return x, y, z


def needed_voxels(microstructure: Microstructure, material: GrainBoundaryMaterial) -> int:
    """The smallest grid that resolves the boundaries, in voxels along the shortest cell vector."""
    shortest = np.linalg.norm(microstructure.cell, axis=1).min() / ANGSTROM_PER_NM
    return int(np.ceil(_least_across(material) * shortest / material.width_nm))


def require_resolution(microstructure: Microstructure, material: GrainBoundaryMaterial, voxels: int) -> None:
    """See that a grid resolves the boundaries.

    Raises:
        ContinuumError: it does not.
    """
    needed = needed_voxels(microstructure, material)
    if voxels < needed:
        kind = "slower" if _is_slow(material) else "faster"
        raise ContinuumError(
            f"a grid of {voxels} voxels does not resolve boundaries {material.width_nm:g} nm wide that are {kind} than "
            f"the grains: {_least_across(material):g} voxels must fit across; take at least {needed}, or the interface "
            "engine"
        )


def _is_slow(material: GrainBoundaryMaterial) -> bool:
    return min(material.D_par, material.D_perp) < material.D_bulk


def _least_across(material: GrainBoundaryMaterial) -> float:
    return RESISTIVE_VOXELS if _is_slow(material) else CONDUCTIVE_VOXELS
