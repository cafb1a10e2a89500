"""Gradients of linear functions on tetrahedra and on the triangles of boundaries, and energies that need no matrix."""

from dataclasses import dataclass

import numpy as np

from argyro.microstructure.tessellation import IntArray

from .interface_mesh import FACES, GrainMesh
from .material import FloatArray


@dataclass(frozen=True, eq=False)
class BoundaryTriangles:
    """Triangles in which crystals meet: normals, shape (S, 3), areas, shape (S,), and gradients, shape (S, 3, 3)."""

    normal: FloatArray
    area: FloatArray
    gradient: FloatArray


def boundary_triangles(mesh: GrainMesh) -> BoundaryTriangles:
    """Normals, areas and gradients of the linear functions of the triangles of boundaries."""
    corners = mesh.nodes[mesh.triangles[mesh.is_boundary]]
    double = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(double, axis=1)
    normal = double / length[:, None]
    opposite = corners[:, [2, 0, 1]] - corners[:, [1, 2, 0]]
    gradient = np.cross(normal[:, None], opposite) / length[:, None, None]
    return BoundaryTriangles(normal, length / 2, gradient)


def tetrahedra_gradients(mesh: GrainMesh, tetrahedra: IntArray) -> tuple[FloatArray, FloatArray]:
    """Volumes, shape (T,), and gradients of linear functions, shape (T, 4, 3), of some tetrahedra, shape (T, 4)."""
    corners = mesh.nodes[tetrahedra]
    edges = corners[:, 1:] - corners[:, :1]
    others = np.linalg.inv(edges).transpose(0, 2, 1)
    gradient = np.concatenate([-others.sum(axis=1, keepdims=True), others], axis=1)
    return np.abs(np.linalg.det(edges)) / 6, gradient


class BoundaryEnergies:
    """Integrals over boundaries of gradients in the grains on either side.

    Args:
        mesh: Of the grains.
    """

    def __init__(self, mesh: GrainMesh) -> None:
        self._triangles = boundary_triangles(mesh)
        sides = [side[mesh.is_boundary] for side in (mesh.triangles, mesh.opposite)]
        self._tetrahedra = [mesh.tetrahedra[_adjacent(mesh, side)] for side in sides]
        self._gradients = [tetrahedra_gradients(mesh, tetrahedra)[1] for tetrahedra in self._tetrahedra]

    def across_and_along(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Integrals of the products of gradients for mean gradients along two axes, mean of both sides.

        Args:
            u: Of nodes, for a mean gradient along each axis, shape (P, 3).

        Returns:
            Of the components normal to boundaries, and of those along them, shape (3, 3) each.
        """
        normal, area = self._triangles.normal, self._triangles.area
        across, along = np.zeros((3, 3)), np.zeros((3, 3))
        for tetrahedra, gradient in zip(self._tetrahedra, self._gradients, strict=True):
            total = np.eye(3) + np.einsum("sai,sae->sie", gradient, u[tetrahedra])
            component = np.einsum("si,sie->se", normal, total)
            tangential = total - normal[:, :, None] * component[:, None, :]
            across += np.einsum("s,se,sf->ef", area / 2, component, component)
            along += np.einsum("s,sie,sif->ef", area / 2, tangential, tangential)
        return across, along


def _adjacent(mesh: GrainMesh, triangles: IntArray) -> IntArray:
    """The tetrahedron that each triangle is a face of."""
    stride = len(mesh.nodes)
    faces = _numbers(mesh.tetrahedra[:, FACES].reshape(-1, 3), stride)
    order = np.argsort(faces)
    found: IntArray = order[np.searchsorted(faces, _numbers(triangles, stride), sorter=order)] // len(FACES)
    return found


def _numbers(triangles: IntArray, stride: int) -> IntArray:
    """A number for each triangle, whatever the order of its nodes."""
    first, second, third = np.sort(triangles, axis=1).T
    numbers: IntArray = (first * stride + second) * stride + third
    return numbers
