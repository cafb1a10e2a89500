"""Coincidence site lattices: rotations, their Sigma, and what two lattices share in a plane.

Rotations of cubic lattices: Ranganathan, Acta Cryst. 21, 197 (1966); Sigma of any lattice: Grimmer, Acta Cryst. A32,
783 (1976).
"""

from collections.abc import Sequence
from fractions import Fraction
from math import atan2, ceil, degrees, gcd, lcm, sqrt

import numpy as np
from scipy.spatial.transform import Rotation

from .integers import congruence_lattice, hermite_rows, shortest_pair
from .neighbours import FloatArray, IntArray

MAX_DENOMINATOR = 500  # of coordinates of one lattice in the other's; a larger one counts as no coincidence
TOLERANCE = 1e-9  # by which coordinates may miss a fraction: few irrational numbers come as close to one

type Indices = tuple[int, int, int]


def rotation_about(axis: Sequence[float] | FloatArray, angle_degrees: float) -> FloatArray:
    """Rotation matrix, shape (3, 3), of columns, about a Cartesian axis, counterclockwise seen against it."""
    unit = np.asarray(axis, dtype=float) / np.linalg.norm(axis)
    matrix: FloatArray = Rotation.from_rotvec(np.radians(angle_degrees) * unit).as_matrix()
    return matrix


def sigma_angles(axis: Indices, sigma: int) -> list[float]:
    """All angles, above 0 and up to 180 degrees, by which rotation about an axis of a cubic lattice gives a Sigma.

    A rotation with tan(angle / 2) = (n / m) |axis| has Sigma = m^2 + n^2 |axis|^2 without its factors of two
    (Ranganathan).
    """
    if sigma % 2 == 0:
        return []  # Sigma of a cubic lattice is odd
    common = gcd(*axis)
    square = sum((index // common) ** 2 for index in axis)
    found = set()
    for power in (1, 2, 4):  # m^2 + n^2 |axis|^2 with m and n coprime has no more factors of two
        for n in range(ceil(sqrt(power * sigma / square)) + 1):
            rest = power * sigma - n * n * square
            m = round(sqrt(max(rest, 0)))
            if m * m == rest and gcd(m, n) == 1 and n > 0:
                found.add(round(degrees(2 * atan2(n * sqrt(square), m)), 10))
    return sorted(found)


def coordinates(vectors: FloatArray, lattice: FloatArray) -> FloatArray:
    """Coordinates of vectors, as rows, in a lattice of vectors as rows, of two or three dimensions."""
    found: FloatArray = np.linalg.lstsq(lattice.T, vectors.T, rcond=None)[0].T
    return found


def rational(matrix: FloatArray, max_denominator: int = MAX_DENOMINATOR) -> tuple[IntArray, int] | None:
    """A matrix as integers over a common denominator; None if it is not rational."""
    fractions = [Fraction(float(x)).limit_denominator(max_denominator) for x in matrix.ravel()]
    if max(abs(float(f) - x) for f, x in zip(fractions, matrix.ravel(), strict=True)) > TOLERANCE:
        return None
    denominator = lcm(*(f.denominator for f in fractions))
    numerators = np.array([int(f * denominator) for f in fractions], dtype=np.int64).reshape(matrix.shape)
    return numerators, denominator


def sigma_of(rotation: FloatArray, lattice: FloatArray) -> int | None:
    """Sigma of a rotation: the least positive integer that makes the rotation and its inverse integral in the lattice.

    Args:
        rotation: Shape (3, 3).
        lattice: Primitive vectors as rows, shape (3, 3), angstrom.

    Returns:
        None if there is no coincidence site lattice.
    """
    there = rational(coordinates(lattice @ rotation.T, lattice))
    back = rational(coordinates(lattice @ rotation, lattice))
    return None if there is None or back is None else lcm(there[1], back[1])


def plane_normal(plane: Indices, cell: FloatArray) -> FloatArray:
    """Unit normal of a plane of Miller indices in a conventional cell of vectors as rows."""
    normal: FloatArray = np.linalg.inv(cell) @ np.array(plane, dtype=float)
    return normal / np.linalg.norm(normal)


def layer_basis(lattice: FloatArray, normal: FloatArray) -> FloatArray | None:
    """Lattice vectors of which the first two lie in a plane and the third leads to the next.

    Args:
        lattice: Primitive vectors as rows, shape (3, 3), angstrom.
        normal: Of the plane; unit vector.

    Returns:
        Vectors as rows, shape (3, 3), angstrom, the third above the plane by the distance of lattice planes, the three
        right-handed; None if the plane is no lattice plane.
    """
    heights = lattice @ normal
    found = rational((heights / np.abs(heights).max())[:, None])
    if found is None:
        return None
    steps = found[0] // np.gcd.reduce(found[0].ravel())
    _, transformation = hermite_rows(steps)
    above, *inside = transformation @ lattice
    if above @ normal < 0:
        above = -above
    first, second = shortest_pair(*inside)
    if np.cross(first, second) @ normal < 0:
        second = -second
    return np.array([first, second, above])


def common_plane_lattice(first: FloatArray, second: FloatArray) -> FloatArray | None:
    """What two planar lattices of the same plane share.

    Args:
        first: Vectors as rows, shape (2, 3), angstrom.
        second: Likewise.

    Returns:
        The two shortest vectors that span it, as rows, shape (2, 3), angstrom; None if there is no coincidence.
    """
    found = rational(coordinates(second, first))
    if found is None:
        return None
    numerators, denominator = found
    return shortest_pair(*(congruence_lattice(numerators, denominator) @ second))


def combined_plane_lattice(first: FloatArray, second: FloatArray) -> FloatArray:
    """All sums of vectors of two planar lattices with coincidence: translations that leave a boundary what it is.

    Arguments and result as of `common_plane_lattice`.
    """
    found = rational(coordinates(second, first))
    if found is None:
        raise ValueError("the planar lattices have no vector in common")
    numerators, denominator = found
    stacked = np.concatenate([numerators, denominator * np.eye(2, dtype=np.int64)])
    echelon, _ = hermite_rows(stacked)
    return shortest_pair(*(echelon[:2] / denominator @ first))
