"""Vertices and facets of a tessellation, each once, however many grains and images of the cell share them."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from argyro.common.errors import ContinuumError
from argyro.microstructure.tessellation import IntArray, Tessellation

from .material import FloatArray

COINCIDENT = 1e-6  # distance of vertices, relative to the mean grain, that are one
SMALLEST_POLYGON = 3


@dataclass(frozen=True, eq=False)
class Topology:
    """Polyhedral grains of a periodic cell.

    Attributes:
        cell: Cell vectors as rows, shape (3, 3), angstrom.
        vertices: Places of the vertices, one image of each, shape (V, 3), angstrom.
        facets: Of each, its corners in order: index of the vertex and image, shape (C, 4) each.
        grain: The grain that a facet bounds where it is, shape (F,).
        neighbour: The grain behind it, shape (F,).
        shift: Image of the neighbour that is there, in cell vectors, shape (F, 3).
        is_boundary: Whether two crystals meet there. Shape (F,).
        grains: Their number.
    """

    cell: FloatArray
    vertices: FloatArray
    facets: tuple[IntArray, ...]
    grain: IntArray
    neighbour: IntArray
    shift: IntArray
    is_boundary: np.ndarray[tuple[int], np.dtype[np.bool_]]
    grains: int

    def places(self, corners: IntArray) -> FloatArray:
        """Where corners are: index of the vertex and image, shape (C, 4), to shape (C, 3), angstrom."""
        places: FloatArray = self.vertices[corners[:, 0]] + corners[:, 1:] @ self.cell
        return places


def topology_of(tessellation: Tessellation) -> Topology:
    """Vertices and facets of a tessellation.

    Vertices that coincide are one, so more than four grains may meet in it, as those of bricks do.

    Raises:
        ContinuumError: a facet looks different from either side.
    """
    cell, facets = tessellation.microstructure.cell, tessellation.facets
    vertices, corners = _vertices(tessellation)
    polygons = [_without_repetition(corners[g][p]) for g, p in zip(facets.grain, facets.polygon, strict=True)]
    kept: list[int] = []
    seen: dict[tuple[tuple[int, ...], ...], int] = {}
    for index, polygon in enumerate(polygons):
        if len(polygon) < SMALLEST_POLYGON:
            continue
        key = _key(polygon)
        if key not in seen:
            seen[key] = index
            kept.append(index)
        elif facets.grain[seen[key]] != facets.neighbour[index]:
            raise _degenerate(tessellation)
    if 2 * len(kept) != sum(len(polygon) >= SMALLEST_POLYGON for polygon in polygons):
        raise _degenerate(tessellation)
    return Topology(
        cell=cell,
        vertices=vertices,
        facets=tuple(polygons[index] for index in kept),
        grain=facets.grain[kept],
        neighbour=facets.neighbour[kept],
        shift=facets.shift[kept],
        is_boundary=facets.is_boundary[kept],
        grains=tessellation.microstructure.grains,
    )


def _degenerate(tessellation: Tessellation) -> ContinuumError:
    return ContinuumError(
        f"microstructure {tessellation.microstructure.name}: facets of neighbouring grains don't fit each other, as "
        "vertices nearly coincide; move a seed a little"
    )


def _vertices(tessellation: Tessellation) -> tuple[FloatArray, list[IntArray]]:
    """Places of all vertices, shape (V, 3), and of each grain its corners: vertex and image, shape (C, 4)."""
    microstructure = tessellation.microstructure
    places = np.concatenate([c + s for c, s in zip(tessellation.corners, microstructure.seeds, strict=True)])
    fractions = np.linalg.solve(microstructure.cell.T, places.T).T
    inside = fractions - np.floor(fractions)
    inside[inside >= 1] = 0  # of what rounding leaves below zero
    size = np.cbrt(microstructure.volume / microstructure.grains)
    shortest = 1 / np.linalg.norm(np.linalg.inv(microstructure.cell), axis=0).max()
    pairs = KDTree(inside, boxsize=1.0).query_pairs(COINCIDENT * size / shortest, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(places), len(places)))
    count, vertex = connected_components(graph, directed=False)
    first = np.full(count, len(places))
    np.minimum.at(first, vertex, np.arange(len(places)))
    images = np.rint(fractions - inside[first[vertex]]).astype(np.int64)
    corners = np.column_stack([vertex, images])
    bounds = np.cumsum([len(grain) for grain in tessellation.corners])[:-1]
    return inside[first] @ microstructure.cell, np.split(corners, bounds)


def _without_repetition(polygon: IntArray) -> IntArray:
    """A polygon without the corners that are the same as the one before."""
    distinct: IntArray = polygon[(polygon != np.roll(polygon, 1, axis=0)).any(axis=1)]
    return distinct


def _key(polygon: IntArray) -> tuple[tuple[int, ...], ...]:
    """What a polygon and all of its periodic images have in common."""
    order = np.lexsort(polygon.T[::-1])
    ordered = polygon[order]
    ordered[:, 1:] -= ordered[0, 1:]
    return tuple(map(tuple, ordered.tolist()))
