"""Matrices of a mesh: grains, excess resistance of boundaries and excess conductance along them, assembled once.

With a gradient E on average and a periodic fluctuation u, which is free to jump at boundaries, the energy of a cell is

    D_bulk integral |E + grad u|^2  +  (1/R) integral [u]^2  +  sigma integral |P (E + grad_s v)|^2

over grains, boundaries and boundaries, with P = I - n n^T, the excess resistance R = w (1/D_perp - 1/D_bulk) and the
excess conductance sigma = w (D_par - D_bulk). It is stationary in u, and then V E.D_eff.E. In this excess form stacks
of layers are exact at any width. (Scholz, Ou, Grabowski, Fritzen, Comput. Mater. Sci. 260, 114172 (2025) have such
elements.)

Of the potential v of boundaries, three kinds of equations make something different:

* ``jumping``: boundaries conduct no better than grains along them; there is no v.
* ``network``: they do, but resist across. v is an unknown of its own, half of R away from u on either side, and
  continuous where boundaries meet. As the mean of both sides it would not be: what flows along boundaries would have to
  cross some of them there.
* ``continuous``: they resist no more than grains do; u does not jump, and is v.

Linear tetrahedra and triangles have constant gradients, so the element matrices are written down here in full.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from argyro.microstructure.tessellation import IntArray

from .interface_gradients import boundary_triangles, tetrahedra_gradients
from .interface_mesh import GrainMesh
from .material import FloatArray

type Kind = Literal["jumping", "network", "continuous"]
type Elements = tuple[IntArray, FloatArray, FloatArray]
"""Unknowns of each element, shape (M, k), matrices, shape (M, k, k), and loads, shape (M, k, 3)."""

MASS = (np.ones((3, 3)) + np.eye(3)) / 12  # of linear functions on a triangle of unit area
SIDES = np.array([[1, -1], [-1, 1]])  # of a jump


@dataclass(frozen=True, eq=False)
class Term:
    """A quadratic term of the energy, constant + 2 load.u + u.matrix.u, for gradients along the three axes.

    Attributes:
        matrix: Its values at the places of the common pattern, shape (nonzeros,).
        load: Shape (unknowns, 3).
        constant: Shape (3, 3).
    """

    matrix: FloatArray
    load: FloatArray
    constant: FloatArray


@dataclass(frozen=True, eq=False)
class Matrices:
    """Terms of a mesh, for coefficients of one.

    Attributes:
        unknown: Of each node of the mesh, shape (P,).
        starts: Of rows of the common pattern (compressed sparse rows), shape (unknowns + 1,).
        columns: Of the common pattern, shape (nonzeros,).
        bulk: For D_bulk.
        jump: For 1/R; zero where u is continuous.
        surface: For sigma; zero where u jumps without v.
    """

    unknown: IntArray
    starts: IntArray
    columns: IntArray
    bulk: Term
    jump: Term
    surface: Term

    @property
    def unknowns(self) -> int:
        """Number of values of u and v, one of which is arbitrary."""
        return len(self.starts) - 1


def assemble(mesh: GrainMesh, kind: Kind) -> Matrices:
    """Assemble the matrices of a mesh.

    Args:
        mesh: Of the grains.
        kind: Which of the equations above.
    """
    continuous = unknowns_of_nodes(mesh, np.ones_like(mesh.is_boundary))
    unknown = continuous if kind == "continuous" else unknowns_of_nodes(mesh, ~mesh.is_boundary)
    count = int(unknown.max()) + 1
    sides = [unknown[mesh.triangles[mesh.is_boundary]], unknown[mesh.opposite[mesh.is_boundary]]]
    between = np.unique(continuous[mesh.triangles[mesh.is_boundary]], return_inverse=True)[1].reshape(-1, 3) + count
    parts: list[Elements] = [_bulk(mesh, unknown)]
    area = boundary_triangles(mesh).area
    if kind == "jumping":
        parts += [_jump(area, *sides), _nothing()]
    elif kind == "network":
        twice = np.concatenate([area, area])
        # Half of R on each side
        halves = _jump(2 * twice, np.concatenate(sides), np.concatenate([between, between]))
        parts += [halves, _surface(mesh, between)]
        count = int(between.max(initial=count - 1)) + 1
    else:
        parts += [_nothing(), _surface(mesh, sides[0])]
    starts, columns, matrices = _on_common_pattern([(nodes, matrix) for nodes, matrix, _ in parts], count)
    loads = [_summed(nodes.ravel(), load.reshape(-1, 3), count) for nodes, _, load in parts]
    constants = [mesh.volume * np.eye(3), np.zeros((3, 3)), _projected_area(mesh)]
    bulk, jump, surface = map(Term, matrices, loads, constants)
    return Matrices(unknown=unknown, starts=starts, columns=columns, bulk=bulk, jump=jump, surface=surface)


def unknowns_of_nodes(mesh: GrainMesh, joined: npt.NDArray[np.bool_]) -> IntArray:
    """Number of the unknown of each node, where the nodes of some triangles are joined to those opposite."""
    first, second = mesh.triangles[joined].ravel(), mesh.opposite[joined].ravel()
    count = len(mesh.nodes)
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    unknown: IntArray = connected_components(graph, directed=False)[1]
    return unknown


def _nothing() -> Elements:
    return np.zeros((0, 3), dtype=np.int64), np.zeros((0, 3, 3)), np.zeros((0, 3, 3))


def _bulk(mesh: GrainMesh, unknown: IntArray) -> Elements:
    """Integrals of grad u.grad u and of grad u over all tetrahedra."""
    volume, gradient = tetrahedra_gradients(mesh, mesh.tetrahedra)
    matrix = np.einsum("t,tai,tbi->tab", volume, gradient, gradient)
    return unknown[mesh.tetrahedra], matrix, volume[:, None, None] * gradient


def _jump(area: FloatArray, first: IntArray, second: IntArray) -> Elements:
    """Integral of the square of a difference over triangles: six unknowns each."""
    matrix = area[:, None, None] * np.kron(SIDES, MASS)
    return np.hstack([first, second]), matrix, np.zeros((len(area), 6, 3))


def _surface(mesh: GrainMesh, nodes: IntArray) -> Elements:
    """Integrals of grad_s v.grad_s v and of grad_s v over boundaries, given the unknowns of their triangles."""
    triangles = boundary_triangles(mesh)
    matrix = np.einsum("s,sai,sbi->sab", triangles.area, triangles.gradient, triangles.gradient)
    return nodes, matrix, triangles.area[:, None, None] * triangles.gradient


def _projected_area(mesh: GrainMesh) -> FloatArray:
    """Integral of P over boundaries, shape (3, 3)."""
    triangles = boundary_triangles(mesh)
    outer = np.einsum("s,si,sj->ij", triangles.area, triangles.normal, triangles.normal)
    projected: FloatArray = triangles.area.sum() * np.eye(3) - outer
    return projected


def _places(nodes: IntArray) -> tuple[IntArray, IntArray]:
    """Rows and columns of the values of element matrices, given the unknowns of elements, shape (M, k)."""
    return np.repeat(nodes, nodes.shape[1], axis=1).ravel(), np.tile(nodes, nodes.shape[1]).ravel()


def _on_common_pattern(
    parts: list[tuple[IntArray, FloatArray]], count: int
) -> tuple[IntArray, IntArray, list[FloatArray]]:
    """Rows and columns of a pattern that holds all parts (unknowns and matrices of elements), and values of each."""
    places = [_places(nodes) for nodes, _ in parts]
    rows, columns = (np.concatenate(each) for each in zip(*places, strict=True))
    bounds = np.cumsum([0, *(matrix.size for _, matrix in parts)])
    values = []
    for number, (_, matrix) in enumerate(parts):
        all_values = np.zeros(bounds[-1])
        all_values[bounds[number] : bounds[number + 1]] = matrix.ravel()
        summed = coo_array((all_values, (rows, columns)), shape=(count, count)).tocsr()
        values.append(summed.data)
    return summed.indptr, summed.indices, values


def _summed(places: IntArray, values: FloatArray, count: int) -> FloatArray:
    """Values, shape (M, 3), summed at their places, shape (count, 3)."""
    return np.column_stack([np.bincount(places, weights=values[:, axis], minlength=count) for axis in range(3)])
