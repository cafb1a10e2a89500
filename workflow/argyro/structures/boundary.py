"""What a grain boundary is made of: two orientations, their lattice planes, and the cell they share in the plane."""

from dataclasses import dataclass

import numpy as np

from argyro.common.errors import StructureError
from argyro.config.structures import Boundary

from .coincidence import (
    Indices,
    combined_plane_lattice,
    common_plane_lattice,
    layer_basis,
    plane_normal,
    rotation_about,
    sigma_angles,
    sigma_of,
)
from .crystal import Crystal
from .neighbours import FloatArray

SYMMETRIC = 1e-6  # by which the normal of a symmetric plane may differ
MAX_SIGMA = 200  # up to which angles are recognised, and nearest possible boundaries looked for
ANGLE_TOLERANCE = 0.01  # degrees; people write 70.53


@dataclass(frozen=True, eq=False)
class BoundaryGeometry:
    """Two crystals that meet in a plane, in a frame whose third axis is the plane's normal.

    Attributes:
        misorientation: Rotation that makes the second crystal of the first, shape (3, 3), in the crystal's frame.
        misorientation_degrees: Its angle, positive counterclockwise.
        sigma: Of the coincidence site lattice; None if there is none, but only planar coincidence.
        orientations: From each crystal to the frame, shape (2, 3, 3).
        layers: Lattice vectors of each crystal in the frame, as rows, shape (2, 3, 3), angstrom: two in the plane, and
            one to the next lattice plane.
        cell: Vectors in the plane that both crystals share, as rows, shape (2, 3), angstrom, the first along x.
        translations: Vectors that span all shifts that leave the boundary what it is, shape (2, 3), angstrom.
    """

    misorientation: FloatArray
    misorientation_degrees: float
    sigma: int | None
    orientations: FloatArray
    layers: FloatArray
    cell: FloatArray
    translations: FloatArray

    @property
    def area(self) -> float:
        """Of the shared cell, square angstrom."""
        return float(np.linalg.norm(np.cross(*self.cell)))

    def boundaries_equivalent(self, crystal: Crystal) -> bool:
        """Whether a symmetry maps the boundary above the first crystal to the one above the second.

        One that turns the normal round and leaves each crystal as it is would do, or one that keeps the normal and
        swaps the crystals. Translations along the plane are not looked at.
        """
        normal = np.array([0.0, 0.0, 1.0])
        first, second = self.orientations
        for operation in crystal.point_group:
            kept, swapped = first @ operation @ first.T, second @ operation @ first.T
            if np.allclose(kept @ normal, -normal) and _is_symmetry(second.T @ kept @ second, crystal):
                return True
            if np.allclose(swapped @ normal, normal) and _is_symmetry(first.T @ swapped @ second, crystal):
                return True
        return False


def boundary_geometry(crystal: Crystal, boundary: Boundary) -> BoundaryGeometry:
    """The geometry of a boundary in a crystal.

    Raises:
        StructureError: there is no coincidence; the message names the nearest possible.
    """
    normal = plane_normal(boundary.plane, crystal.cell)
    angle = _angle(crystal, boundary, normal)
    axis = normal if boundary.axis is None else np.array(boundary.axis) @ crystal.cell
    misorientation = rotation_about(axis, angle)
    lattices = crystal.primitive, crystal.primitive @ misorientation.T
    first, second = (layer_basis(lattice, normal) for lattice in lattices)
    shared = None if first is None or second is None else common_plane_lattice(first[:2], second[:2])
    if first is None or second is None or shared is None:
        raise StructureError(_no_coincidence(crystal, boundary, angle))
    if np.cross(*shared) @ normal < 0:
        shared = shared * [[1], [-1]]
    frame = _frame(shared[0], normal)
    return BoundaryGeometry(
        misorientation=misorientation,
        misorientation_degrees=angle,
        sigma=sigma_of(misorientation, crystal.primitive),
        orientations=np.array([frame, frame @ misorientation]),
        layers=np.array([first, second]) @ frame.T,
        cell=shared @ frame.T,
        translations=combined_plane_lattice(first[:2], second[:2]) @ frame.T,
    )


def _frame(along: FloatArray, normal: FloatArray) -> FloatArray:
    """Rotation that brings a vector in the plane to x and the normal to z."""
    x = along / np.linalg.norm(along)
    return np.array([x, np.cross(normal, x), normal])


def is_cubic(crystal: Crystal) -> bool:
    """Whether the conventional cell is a cube along the axes."""
    return bool(np.allclose(crystal.cell, crystal.cell[0, 0] * np.eye(3), atol=1e-6))


def _angle(crystal: Crystal, boundary: Boundary, normal: FloatArray) -> float:
    """The angle that is asked for, a cubic crystal's to the last digit.

    Of the angles of a Sigma the smallest in which both crystals have the same plane, and the same polar direction along
    its normal, counts; else with the opposite polar direction; else the smallest of all.
    """
    if not is_cubic(crystal):
        if boundary.angle_degrees is None:
            raise StructureError(
                f"boundary {boundary.name}: sigma without angle_degrees belongs to cubic crystals, and "
                f"{crystal.material.id} is none; give angle_degrees, such as 180 about the normal of the plane"
            )
        return boundary.angle_degrees
    if boundary.angle_degrees is not None:
        return _nearest_exact_angle(boundary)
    axis = _cubic_axis(boundary)
    angles = sigma_angles(axis, boundary.sigma or 1)
    if not angles:
        raise StructureError(f"boundary {boundary.name}: {_nearest_sigmas(axis, boundary.sigma or 1)}")
    signed = [sign * angle for angle in angles for sign in (1, -1)]
    for sense in (1, -1):
        for angle in signed:
            other = rotation_about(axis, angle).T @ normal
            if np.isclose(crystal.point_group @ other, sense * normal, atol=SYMMETRIC).all(axis=1).any():
                return angle
    return angles[0]


def _cubic_axis(boundary: Boundary) -> Indices:
    """Direction of the rotation in a cubic crystal, where normals are along the indices of their planes."""
    return boundary.plane if boundary.axis is None else boundary.axis


def _is_symmetry(rotation: FloatArray, crystal: Crystal) -> bool:
    return bool(np.isclose(crystal.point_group, rotation, atol=SYMMETRIC).all(axis=(1, 2)).any())


def _nearest_exact_angle(boundary: Boundary) -> float:
    """An angle given to some digits as that of the coincidence site lattice it means."""
    axis = _cubic_axis(boundary)
    given = 180 - (180 - (boundary.angle_degrees or 0.0)) % 360
    sigmas = range(1, MAX_SIGMA, 2) if boundary.sigma is None else [boundary.sigma]
    candidates = [sign * angle for sigma in sigmas for angle in sigma_angles(axis, sigma) for sign in (1, -1)]
    if not candidates:
        raise StructureError(f"boundary {boundary.name}: {_nearest_sigmas(axis, boundary.sigma or 1)}")
    exact = min(candidates, key=lambda angle: abs(angle - given))
    if abs(exact - given) > ANGLE_TOLERANCE:
        near = sorted({abs(angle) for angle in candidates}, key=lambda angle: abs(angle - abs(given)))[:2]
        raise StructureError(
            f"boundary {boundary.name}: rotation by {given:g} degrees about {list(axis)} gives no coincidence site "
            f"lattice{_of_sigma(boundary)}; the nearest angles that do are "
            f"{' and '.join(f'{angle:.4f}' for angle in near)}"
        )
    return exact


def _of_sigma(boundary: Boundary) -> str:
    return "" if boundary.sigma is None else f" of Sigma {boundary.sigma}"


def _nearest_sigmas(axis: Indices, sigma: int) -> str:
    possible = [s for s in range(3, MAX_SIGMA, 2) if sigma_angles(axis, s)]
    near = sorted(sorted(possible, key=lambda s: abs(s - sigma))[:2])
    return f"rotations about {list(axis)} give no Sigma {sigma}; the nearest possible are {near[0]} and {near[1]}"


def _no_coincidence(crystal: Crystal, boundary: Boundary, angle: float) -> str:
    return (
        f"boundary {boundary.name}: after this rotation by {angle:g} degrees the two crystals of {crystal.material.id} "
        f"share no cell in the plane {list(boundary.plane)}; with axis: null and angle_degrees: 180, about the normal, "
        "they always do"
    )
