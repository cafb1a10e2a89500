"""Sizes of grains: microstructures scaled to a grain size, and what boundaries leave of grains."""

import numpy as np
from scipy.optimize import linprog
from scipy.spatial import ConvexHull, HalfspaceIntersection

from argyro.common.errors import ContinuumError
from argyro.config.continuum import Grains
from argyro.microstructure.generate import draw_microstructure
from argyro.microstructure.model import Microstructure, read_microstructure
from argyro.microstructure.tessellation import Tessellation

from .material import FloatArray

ANGSTROM_PER_NM = 10.0
CUBE = np.eye(3) * 100.0  # angstrom; it is scaled
SMALLEST_INTERIOR = 1e-6  # inscribed radius, relative to the grain size, that counts as something left of a grain


def draw_grains(settings: Grains, tessellation: int, seed: int) -> Microstructure:
    """One tessellation of a microstructure, or the one of its file, scaled to a grain size of 1 nm.

    Args:
        settings: Of the microstructure.
        tessellation: Its number.
        seed: Of the job; used if the settings have none.

    Raises:
        FileError: the file is no microstructure.
        StructureError: the grains cannot be drawn.
    """
    if settings.microstructure is not None:
        microstructure = read_microstructure(settings.microstructure)
    else:
        microstructure = draw_microstructure(
            settings.name,
            CUBE,
            settings.grains or 0,
            diameter_spread=settings.diameter_spread,
            arrangement=settings.arrangement,
            seed=seed if settings.seed is None else settings.seed + tessellation,
        )
    return scaled_to(microstructure, 1.0)


def grain_size_nm(microstructure: Microstructure) -> float:
    """Diameter of the sphere of the mean grain volume, (6 V / (pi N))^(1/3), nm."""
    return float(np.cbrt(6 * microstructure.volume / (np.pi * microstructure.grains))) / ANGSTROM_PER_NM


def scaled_to(microstructure: Microstructure, size_nm: float) -> Microstructure:
    """The same grains, larger or smaller.

    Args:
        microstructure: Of any size.
        size_nm: Grain size wanted.

    Raises:
        ContinuumError: the size is not a positive number.
    """
    if not (np.isfinite(size_nm) and size_nm > 0):
        raise ContinuumError(f"a grain size of {size_nm:g} nm is asked for; it must be a positive, finite number")
    factor = size_nm / grain_size_nm(microstructure)
    cell = factor * microstructure.cell
    weights = factor**2 * microstructure.weights
    update = {"cell_angstrom": tuple(map(tuple, cell.tolist())), "weights_angstrom2": tuple(weights.tolist())}
    return microstructure.model_copy(update=update)


def require_narrower(width_nm: float, microstructure: Microstructure) -> None:
    """See that boundaries are narrower than grains.

    Raises:
        ContinuumError: they are not.
    """
    size = grain_size_nm(microstructure)
    if width_nm >= size:
        raise ContinuumError(
            f"boundaries {width_nm:g} nm wide are asked for between grains of {size:g} nm (sphere-equivalent "
            "diameter): nothing would be left of the grains; take larger grains or narrower boundaries"
        )


def interior_fraction(tessellation: Tessellation, width_nm: float) -> float:
    """Part of the volume farther than half a width from the planes of all boundaries of its grain; exact."""
    inset = width_nm * ANGSTROM_PER_NM / 2
    facets = tessellation.facets
    volume = 0.0
    for grain in range(tessellation.microstructure.grains):
        mine = facets.grain == grain
        offsets = facets.offset[mine] - inset * facets.is_boundary[mine]
        volume += _polyhedron_volume(facets.normal[mine], offsets, np.cbrt(tessellation.volumes[grain]))
    return volume / tessellation.microstructure.volume


def interior_size_nm(tessellation: Tessellation, width_nm: float) -> float:
    """Diameter of the sphere of the mean volume that boundaries leave of a grain, nm."""
    fraction = interior_fraction(tessellation, width_nm)
    return grain_size_nm(tessellation.microstructure) * float(np.cbrt(fraction))


def _polyhedron_volume(normals: FloatArray, offsets: FloatArray, size: float) -> float:
    """Volume of where n.x <= offset, of unit normals, shape (F, 3); zero if that is (almost) nowhere."""
    # The largest inscribed sphere: its centre is inside, if anything is
    ones = np.ones((len(normals), 1))
    sphere = linprog(
        [0, 0, 0, -1], A_ub=np.hstack([normals, ones]), b_ub=offsets, bounds=[(None, None)] * 3 + [(0, None)]
    )
    if not sphere.success or sphere.x[3] < SMALLEST_INTERIOR * size:
        return 0.0
    corners = HalfspaceIntersection(np.column_stack([normals, -offsets]), sphere.x[:3]).intersections
    return float(ConvexHull(corners).volume)
