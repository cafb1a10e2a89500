"""Grains and facets of a microstructure: its periodic Voronoi or Laguerre tessellation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvoro2
from scipy.spatial import KDTree

from argyro.common.errors import StructureError

from .model import FloatArray, Microstructure

type IntArray = npt.NDArray[np.int64]

GRAIN_EDGE = 10.0
SAME_PLACE = 1e-6  # distance of seeds, relative to the cell


@dataclass(frozen=True, eq=False)
class Facets:
    """Facets, each seen from the grain on either side.

    Attributes:
        grain: The grain whose face it is, shape (F,).
        neighbour: The grain behind it, shape (F,).
        shift: Which image of the neighbour, in cell vectors, shape (F, 3).
        normal: Unit vector out of the grain, shape (F, 3).
        offset: Height of its plane above the grain's seed along the normal, shape (F,), angstrom.
        area: Shape (F,), square angstrom.
        center: Mean of its corners from the grain's seed, shape (F, 3), angstrom.
        polygon: Its corners in order, counterclockwise or clockwise: indices into those of the grain, F arrays.
        is_boundary: Whether two crystals meet there; not where a column meets its own image. Shape (F,).
    """

    grain: IntArray
    neighbour: IntArray
    shift: IntArray
    normal: FloatArray
    offset: FloatArray
    area: FloatArray
    center: FloatArray
    polygon: tuple[IntArray, ...]
    is_boundary: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Tessellation:
    """Grains of a microstructure.

    Attributes:
        microstructure: What it is of.
        volumes: Of the grains, shape (N,), cubic angstrom.
        corners: Of each grain, from its seed, shape (C, 3) each, angstrom.
        facets: All of them, from both sides.
    """

    microstructure: Microstructure
    volumes: FloatArray
    corners: tuple[FloatArray, ...]
    facets: Facets

    @property
    def boundary_area(self) -> float:
        """Of all boundaries, each once, square angstrom."""
        return float(self.facets.area[self.facets.is_boundary].sum()) / 2

    @property
    def centroids(self) -> FloatArray:
        """Of the grains, from their seeds, shape (N, 3), angstrom."""
        moments = np.zeros((len(self.volumes), 3))
        facets = self.facets
        for grain, offset, polygon in zip(facets.grain, facets.offset, facets.polygon, strict=True):
            corners = self.corners[grain][polygon]
            # Tetrahedra of the seed and a fan of triangles; a seed outside its grain sees some facets from behind
            first = np.broadcast_to(corners[0], (len(corners) - 2, 3))
            edges = np.stack([first, corners[1:-1], corners[2:]], axis=1)
            volumes = np.sign(offset) * np.abs(np.linalg.det(edges)) / 6
            moments[grain] += volumes @ edges.sum(axis=1) / 4
        return moments / self.volumes[:, None]

    def boundary_fraction(self, width: float) -> float:
        """Part of the volume within half a width, angstrom, of a boundary, to first order: edges count twice."""
        return self.boundary_area * width / self.microstructure.volume


def tessellate(microstructure: Microstructure) -> Tessellation:
    """The tessellation of a microstructure.

    Raises:
        StructureError: a grain is empty, as the weights differ too much, or two seeds coincide.
    """
    # In units in which grains are a few long: it has tolerances that are not relative, and fails in large cells
    unit = float(np.cbrt(microstructure.volume / microstructure.grains)) / GRAIN_EDGE
    try:
        cells = pyvoro2.compute(
            microstructure.seeds / unit,
            domain=pyvoro2.PeriodicCell(vectors=(microstructure.cell / unit).tolist()),
            mode="power",
            weights=microstructure.weights / unit**2,
            return_face_shifts=True,
            include_empty=True,
            output="cells",
        )
    except ValueError as error:
        raise StructureError(
            f"the microstructure {microstructure.name} has no tessellation: {_coincidence(microstructure) or error}"
        ) from None
    cells.sort(key=lambda grain: int(grain["id"]))
    if empty := [grain["id"] for grain in cells if not grain["faces"]]:
        raise StructureError(
            f"the microstructure {microstructure.name} has no room for grain {empty[0]}: the weights of its neighbours "
            "are too large for the distance to their seeds; use weights that differ less"
        )
    corners = tuple((np.array(grain["vertices"]) - grain["site"]) * unit for grain in cells)
    return Tessellation(
        microstructure=microstructure,
        volumes=np.array([grain["volume"] for grain in cells]) * unit**3,
        corners=corners,
        facets=_facets(microstructure, cells, corners, unit),
    )


def _coincidence(microstructure: Microstructure) -> str:
    """Which seeds are at one place, or nothing."""
    fractions = np.array(microstructure.seeds_fractional)
    inside = (fractions - np.floor(fractions)) % 1.0
    pairs = KDTree(inside, boxsize=1.0).query_pairs(SAME_PLACE)
    return "".join(f"seeds {i} and {j} are at one place; move or remove one" for i, j in sorted(pairs)[:1])


def _facets(
    microstructure: Microstructure, cells: list[dict[str, Any]], corners: tuple[FloatArray, ...], unit: float
) -> Facets:
    faces = [(grain, face) for grain, cell in enumerate(cells) for face in cell["faces"]]
    grain = np.array([grain for grain, _ in faces])
    neighbour = np.array([face["adjacent_cell"] for _, face in faces])
    shift = np.array([face["adjacent_shift"] for _, face in faces])
    seeds, weights = microstructure.seeds, microstructure.weights
    # Shifts count from the images of the seeds that cells are around, which may not be those inside our cell
    images = _images(np.array([cell["site"] for cell in cells]) * unit - seeds, microstructure.cell)
    shift += images[neighbour] - images[grain]
    across = seeds[neighbour] + shift @ microstructure.cell - seeds[grain]
    distance = np.linalg.norm(across, axis=1)
    polygons = [corners[grain][face["vertices"]] for grain, face in faces]
    return Facets(
        grain=grain,
        neighbour=neighbour,
        shift=shift,
        normal=across / distance[:, None],
        offset=(distance**2 - weights[neighbour] + weights[grain]) / (2 * distance),
        area=np.array([polygon_area(polygon) for polygon in polygons]),
        center=np.array([polygon.mean(axis=0) for polygon in polygons]),
        polygon=tuple(np.array(face["vertices"]) for _, face in faces),
        is_boundary=~_within_columns(microstructure, grain, neighbour, shift),
    )


def _images(translations: FloatArray, cell: FloatArray) -> IntArray:
    """Lattice translations, shape (N, 3), angstrom, in whole cell vectors."""
    steps: IntArray = np.rint(np.linalg.solve(cell.T, translations.T).T).astype(np.int64)
    return steps


def polygon_area(corners: FloatArray) -> float:
    """Area of a plane polygon, its corners in order, shape (C, 3)."""
    return float(np.linalg.norm(np.cross(corners, np.roll(corners, -1, axis=0)).sum(axis=0))) / 2


def _within_columns(
    microstructure: Microstructure, grain: IntArray, neighbour: IntArray, shift: IntArray
) -> npt.NDArray[np.bool_]:
    """Facets in which a grain that goes on for ever along some cell vectors meets its own image."""
    across = [axis for axis in range(3) if axis not in microstructure.column_axes]
    within: npt.NDArray[np.bool_] = (grain == neighbour) & (shift[:, across] == 0).all(axis=1)
    return within & bool(microstructure.column_axes)
