"""Fields of one case of a campaign."""

import numpy as np

from argyro.common.errors import ContinuumError
from argyro.config.continuum import FieldCase
from argyro.microstructure.model import Microstructure
from argyro.microstructure.tessellation import tessellate

from .fields import VoxelFields, voxel_fields
from .grains import scaled_to
from .material import GrainBoundaryMaterial
from .pairs import Pair
from .voxel import grid_shape, require_resolution
from .voxel_grid import voxelize
from .voxel_solver import Voxels, solve_voxels


def fields_of_case(
    case: FieldCase, microstructure: Microstructure, pairs: list[Pair], width_nm: float, *, threads: int
) -> VoxelFields:
    """Concentration and flux of a case.

    Args:
        case: Material, temperature, grain size, grid and direction.
        microstructure: The grains, of any size.
        pairs: Of all materials.
        width_nm: Of boundaries.
        threads: That share the work.

    Raises:
        ContinuumError: there is no such material, or the grid does not resolve its boundaries.
    """
    material = _material(case, pairs, width_nm)
    scaled = scaled_to(microstructure, case.grain_size_nm)
    require_resolution(scaled, material, case.voxels)
    boundaries = voxelize(tessellate(scaled), width_nm, grid_shape(scaled, case.voxels), threads=threads)
    voxels = Voxels(boundaries.number, boundaries.tensors(material), scaled.cell)
    return voxel_fields(voxels, solve_voxels(voxels, threads=threads), np.array(case.direction))


def _material(case: FieldCase, pairs: list[Pair], width_nm: float) -> GrainBoundaryMaterial:
    for pair in pairs:
        if (pair.anion, pair.exchange_percent) == (case.anion, case.exchange_percent):
            return GrainBoundaryMaterial(*pair.at(case.temperature_K), width_nm)
    there = ", ".join(f"{pair.anion} {pair.exchange_percent:g} %" for pair in pairs)
    raise ContinuumError(
        f"fields: {case.name} is of {case.anion} at {case.exchange_percent:g} % exchange, of which the table of "
        f"diffusivities has no bulk and boundaries; it has {there}"
    )
