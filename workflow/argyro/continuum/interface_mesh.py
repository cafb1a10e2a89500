"""Tetrahedra of whole grains that fit each other across all boundaries, periodic ones included.

Facets are meshed by gmsh once, with edges divided alike wherever they occur, and the volume of each grain is meshed
inside the facets around it. Grains are whole, not cut by the cell, and have nodes of their own: a facet knows the nodes
of the grains on both of its sides, and that is all that connects grains.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gmsh
import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from argyro.common.errors import ContinuumError
from argyro.microstructure.tessellation import IntArray

from .interface_topology import Topology
from .material import FloatArray

TRIANGLE, TETRAHEDRON = 2, 4  # gmsh's numbers of element types
EDGES = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]  # of a tetrahedron, by its corners
FACES = [(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)]
DIAGONALS = [(0, 5), (1, 4), (2, 3)]  # of the octahedron of their middles
SAME_PLACE = 1e-9  # distance of nodes, relative to the cell, that are one


@dataclass(frozen=True, eq=False)
class GrainMesh:
    """Linear tetrahedra of all grains and the triangles in which they meet.

    Attributes:
        volume: Of the cell, in the unit of length cubed.
        nodes: Places, shape (P, 3).
        tetrahedra: Nodes of each, shape (T, 4).
        triangles: Nodes of each on the side of the one grain, shape (S, 3).
        opposite: Nodes at the same places on the side of the other grain, shape (S, 3).
        is_boundary: Whether two crystals meet in a triangle, shape (S,); else its sides are the same material.
    """

    volume: float
    nodes: FloatArray
    tetrahedra: IntArray
    triangles: IntArray
    opposite: IntArray
    is_boundary: npt.NDArray[np.bool_]

    @property
    def boundary_area(self) -> float:
        """Area in which crystals meet."""
        corners = self.nodes[self.triangles[self.is_boundary]]
        double = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        return float(np.linalg.norm(double, axis=1).sum() / 2)


@dataclass(frozen=True, eq=False)
class _Surface:
    """Triangles of one facet: nodes, shape (P, 3), and indices of them, shape (S, 3)."""

    nodes: FloatArray
    triangles: IntArray


def mesh_grains(topology: Topology, element_size: float) -> GrainMesh:
    """Mesh the grains of a tessellation.

    Args:
        topology: Of the tessellation.
        element_size: Length of edges of elements wanted, angstrom; edges of grains that are shorter stay whole.

    Raises:
        ContinuumError: gmsh fails, which a small facet at an acute angle may make it.
    """
    try:
        with _gmsh(element_size):
            surfaces = list(_mesh_facets(topology, element_size))
            return _mesh_volumes(topology, surfaces)
    except Exception as error:
        if type(error) is not Exception:  # what gmsh raises
            raise
        raise ContinuumError(f"gmsh cannot mesh the grains ({error}); take another element_size or seed") from None


@contextmanager
def _gmsh(element_size: float) -> Iterator[None]:
    gmsh.initialize(readConfigFiles=False, interruptible=False)
    try:
        for option, value in {
            "General.Terminal": 0,
            "General.NumThreads": 1,
            "Mesh.MeshSizeMax": element_size,
            "Mesh.MeshSizeExtendFromBoundary": 1,
            "Geometry.Tolerance": 1e-12,
        }.items():
            gmsh.option.setNumber(option, value)
        yield
    finally:
        gmsh.finalize()


def _mesh_facets(topology: Topology, element_size: float) -> Iterator[_Surface]:
    """Triangles of all facets, each where the grain that it bounds is."""
    geometry = gmsh.model.geo
    points: dict[tuple[int, ...], int] = {}
    lines: dict[tuple[int, int], int] = {}
    tags = []
    for corners in topology.facets:
        mine = []
        for corner, place in zip(map(tuple, corners.tolist()), topology.places(corners), strict=True):
            if corner not in points:
                points[corner] = geometry.addPoint(*place, element_size)
            mine.append(points[corner])
        loop = []
        ends = zip(mine, np.roll(mine, -1).tolist(), corners, np.roll(corners, -1, axis=0), strict=True)
        for start, end, first, second in ends:
            line = (min(start, end), max(start, end))
            if line not in lines:
                lines[line] = geometry.addLine(*line)
                geometry.mesh.setTransfiniteCurve(lines[line], 1 + _divisions(topology, first, second, element_size))
            loop.append(lines[line] if start < end else -lines[line])
        tags.append(geometry.addPlaneSurface([geometry.addCurveLoop(loop)]))
    geometry.synchronize()
    gmsh.model.mesh.generate(2)
    for tag in tags:
        yield _surface(tag)


def _divisions(topology: Topology, first: IntArray, second: IntArray, element_size: float) -> int:
    """In how many parts an edge is divided, the same for all its images."""
    pair = sorted([tuple(first.tolist()), tuple(second.tolist())])
    relative = np.array(pair)
    relative[:, 1:] -= relative[0, 1:]  # rounding must not tell images apart
    start, end = topology.places(relative)
    return max(1, round(float(np.linalg.norm(end - start)) / element_size))


def _surface(tag: int) -> _Surface:
    node_tags, coordinates, _ = gmsh.model.mesh.getNodes(2, tag, includeBoundary=True)
    _, corners = gmsh.model.mesh.getElementsByType(TRIANGLE, tag)
    unique, first = np.unique(node_tags, return_index=True)
    return _Surface(nodes=coordinates.reshape(-1, 3)[first], triangles=np.searchsorted(unique, corners).reshape(-1, 3))


def _mesh_volumes(topology: Topology, surfaces: list[_Surface]) -> GrainMesh:
    nodes: list[FloatArray] = []
    tetrahedra: list[IntArray] = []
    count = 0
    starts = np.cumsum([0, *(len(surface.triangles) for surface in surfaces)])
    sides = np.zeros((2, starts[-1], 3), dtype=np.int64)
    for grain in range(topology.grains):
        shell, triangles, places = _shell(topology, surfaces, grain)
        for facet, side, corners in triangles:
            sides[side, starts[facet] : starts[facet + 1]] = corners + count
        all_places, inside = _fill(shell, places)
        nodes.append(all_places)
        tetrahedra.append(inside + count)
        count += len(all_places)
    return GrainMesh(
        volume=float(np.linalg.det(topology.cell)),
        nodes=np.concatenate(nodes),
        tetrahedra=np.concatenate(tetrahedra),
        triangles=sides[0],
        opposite=sides[1],
        is_boundary=np.repeat(topology.is_boundary, np.diff(starts)),
    )


def _shell(
    topology: Topology, surfaces: list[_Surface], grain: int
) -> tuple[IntArray, list[tuple[int, int, IntArray]], FloatArray]:
    """All triangles around a grain, those of each facet and side, and the places of their nodes."""
    own, others = (np.flatnonzero(side == grain).tolist() for side in (topology.grain, topology.neighbour))
    pieces = [(facet, 0, surfaces[facet].nodes) for facet in own]
    pieces += [(facet, 1, surfaces[facet].nodes - topology.shift[facet] @ topology.cell) for facet in others]
    places = np.concatenate([piece for _, _, piece in pieces])
    size = float(np.linalg.norm(topology.cell, axis=1).max())
    neighbours = KDTree(places).query_ball_point(places, SAME_PLACE * size)
    _, inverse = np.unique([min(near) for near in neighbours], return_inverse=True)
    unique = np.zeros((inverse.max() + 1, 3))
    unique[inverse[::-1]] = places[::-1]
    triangles, start = [], 0
    for facet, side, piece in pieces:
        triangles.append((facet, side, inverse[start + surfaces[facet].triangles]))
        start += len(piece)
    return np.concatenate([corners for _, _, corners in triangles]), triangles, unique


def _fill(shell: IntArray, places: FloatArray) -> tuple[FloatArray, IntArray]:
    """Tetrahedra inside a closed shell of triangles: all places, those of the shell first, and corners."""
    gmsh.clear()  # the time of many volumes in one model grows with the square of their number
    model = gmsh.model
    surface = model.addDiscreteEntity(2)
    model.mesh.addNodes(2, surface, np.arange(len(places)) + 1, places.ravel())
    model.mesh.addElementsByType(surface, TRIANGLE, [], (shell + 1).ravel())
    model.geo.addVolume([model.geo.addSurfaceLoop([surface])])
    model.geo.synchronize()
    model.mesh.generate(3)
    tags, coordinates, _ = model.mesh.getNodes()
    _, corners = model.mesh.getElementsByType(TETRAHEDRON)
    order = np.argsort(tags)
    tetrahedra: IntArray = np.searchsorted(tags[order], corners).reshape(-1, 4)
    return coordinates.reshape(-1, 3)[order], tetrahedra


def refined(mesh: GrainMesh) -> GrainMesh:
    """Every edge halved: eight tetrahedra for each, four triangles for each, all old nodes and places kept.

    The octahedron inside a tetrahedron is cut along its shortest diagonal (Bey, Computing 55, 355 (1995), cuts along a
    fixed one; here shapes get no worse either way, as it is done once).
    """
    corners = mesh.tetrahedra
    pairs = np.sort(corners[:, EDGES], axis=2).reshape(-1, 2)
    numbers, middle = np.unique(pairs[:, 0] * len(mesh.nodes) + pairs[:, 1], return_inverse=True)
    edges = np.column_stack(np.divmod(numbers, len(mesh.nodes)))
    nodes = np.concatenate([mesh.nodes, mesh.nodes[edges].mean(axis=1)])
    middle = middle.reshape(-1, 6) + len(mesh.nodes)
    index = {(i, j): middle[:, edge] for edge, (i, j) in enumerate(EDGES)}
    return GrainMesh(
        volume=mesh.volume,
        nodes=nodes,
        tetrahedra=np.concatenate([*_corner_tetrahedra(corners, index), *_inner_tetrahedra(nodes, middle)]),
        triangles=_quartered(mesh.triangles, numbers, len(mesh.nodes)),
        opposite=_quartered(mesh.opposite, numbers, len(mesh.nodes)),
        is_boundary=np.tile(mesh.is_boundary, 4),
    )


def _corner_tetrahedra(corners: IntArray, middle: dict[tuple[int, int], IntArray]) -> Iterator[IntArray]:
    """At each corner of a tetrahedron the one that the middles of three edges cut off."""
    for corner in range(4):
        others = [middle[min(corner, other), max(corner, other)] for other in range(4) if other != corner]
        yield np.column_stack([corners[:, corner], *others])


def _inner_tetrahedra(nodes: FloatArray, middle: IntArray) -> Iterator[IntArray]:
    """The octahedra of the middles of edges, cut in four along their shortest diagonal."""
    lengths = [np.linalg.norm(nodes[middle[:, a]] - nodes[middle[:, b]], axis=1) for a, b in DIAGONALS]
    shortest = np.argmin(lengths, axis=0)
    for diagonal, (start, end) in enumerate(DIAGONALS):
        mine = middle[shortest == diagonal]
        (a, c), (b, d) = (pair for pair in DIAGONALS if pair != (start, end))
        for first, second in ((a, b), (b, c), (c, d), (d, a)):
            yield mine[:, [start, end, first, second]]


def _quartered(triangles: IntArray, numbers: IntArray, count: int) -> IntArray:
    """Triangles in four; the middle of the edge of nodes i < j of P has number i P + j among numbers, and is a node."""
    pairs = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]], axis=2)
    ab, bc, ca = (np.searchsorted(numbers, pairs[..., 0] * count + pairs[..., 1]) + count).T
    a, b, c = triangles.T
    parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.concatenate([np.column_stack(part) for part in parts])
