"""A potential and a crystal to check and to time an installation with; nothing physical."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .potential import Potential, get_parameters, new_potential, set_parameters

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int32]

ELEMENTS = ("Li", "P", "S", "Cl")

# Ordered Li6PS5Cl (F-43m): types and fractional coordinates of the atoms at one lattice point
_TYPES = (0,) * 6 + (1,) + (2,) * 5 + (3,)
_SITES = (
    *((0.476, 0.25, 0.25), (0.024, 0.25, 0.25), (0.25, 0.476, 0.25)),
    *((0.25, 0.024, 0.25), (0.25, 0.25, 0.476), (0.25, 0.25, 0.024)),
    (0.5, 0.5, 0.5),
    *((0.618, 0.618, 0.618), (0.618, 0.382, 0.382), (0.382, 0.618, 0.382), (0.382, 0.382, 0.618)),
    (0.25, 0.25, 0.25),
    (0.0, 0.0, 0.0),
)
_CENTRING = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
_LATTICE_CONSTANT = 9.86


# Depth in eV, width in 1/angstrom and minimum in angstrom of Morse potentials, by pairs of types
_MORSE = {(1, 2): (1.5, 1.8, 2.05), (0, 2): (0.4, 1.3, 2.45), (0, 3): (0.35, 1.3, 2.6)}
_MORSE |= {(0, 0): (0.005, 1.2, 4.2), (0, 1): (0.005, 1.2, 4.2)}
_REPULSION = (0.05, 1.3, 4.0)


class Crystal(NamedTuple):
    """A periodic structure.

    Attributes:
        types: Index into ``ELEMENTS`` of each atom, shape (N,).
        positions: Shape (N, 3), angstrom.
        cell: Lattice vectors in rows, shape (3, 3), angstrom.
        periodic: Periodicity along each.
    """

    types: IntArray
    positions: FloatArray
    cell: FloatArray
    periodic: tuple[bool, bool, bool]


def lithium_argyrodite(repeat: tuple[int, int, int] = (1, 1, 1), displacement: float = 0.1) -> Crystal:
    """Ordered Li6PS5Cl, 52 atoms a cubic cell, atoms displaced by a fixed pattern.

    Args:
        repeat: Cells along each axis.
        displacement: Largest displacement, angstrom.

    Source: H.-J. Deiseroth et al., Angew. Chem. Int. Ed. 47, 755 (2008).
    """
    corners = np.stack(np.meshgrid(*map(np.arange, repeat), indexing="ij"), axis=-1).reshape(-1, 3)
    points = (corners[:, None] + np.array(_CENTRING)).reshape(-1, 1, 3)
    positions = _LATTICE_CONSTANT * (points + np.array(_SITES)).reshape(-1, 3)
    pattern = np.sin(np.arange(positions.size) ** 2).reshape(positions.shape)
    types = np.tile(np.array(_TYPES, dtype=np.int32), len(points))
    cell = _LATTICE_CONSTANT * np.diag(np.array(repeat, dtype=np.float64))
    return Crystal(types, positions + displacement * pattern, cell, (True, True, True))


def sample_potential(level: int) -> Potential:
    """A potential of four species with small coefficients from a fixed pattern."""
    potential = new_potential(level, len(ELEMENTS), min_dist=1.2, max_dist=5.0)
    potential.name = f"sample of level {level}"
    potential.scaling = 0.08
    pattern = np.sin(np.arange(potential.parameter_count) ** 2)
    size = potential.radial_basis_size
    falling = 0.1 / (1.0 + np.arange(potential.radial_coeffs.size) % size)
    pattern[: falling.size] *= falling
    return set_parameters(potential, pattern)


def solid_potential(potential: Potential, many_body: float = 2e-5) -> Potential:
    """A copy under which Li6PS5Cl vibrates without falling apart.

    The first radial functions become Morse potentials, so that the first scalar makes a pair potential; the
    coefficients of all others are multiplied by ``many_body``.
    """
    parameters = get_parameters(potential)
    shape = potential.radial_coeffs.shape
    radial = parameters[: potential.radial_coeffs.size].reshape(shape)
    r = np.linspace(1.5, potential.max_dist, 200)
    s = (2.0 * r - potential.min_dist - potential.max_dist) / (potential.max_dist - potential.min_dist)
    basis = np.polynomial.chebyshev.chebvander(s, shape[3] - 1)
    basis *= potential.scaling * (potential.max_dist - r[:, None]) ** 2
    for pair in np.ndindex(shape[:2]):
        depth, width, minimum = _MORSE.get((min(pair), max(pair)), _REPULSION)
        u = np.exp(-width * (r - minimum))
        morse = depth * (u**2 - 2.0 * u)
        weight = 1.0 / (1.0 + np.abs(morse))
        radial[(*pair, 0)] = np.linalg.lstsq(weight[:, None] * basis, weight * morse, rcond=None)[0]
    moments = parameters[-len(potential.alpha_moment_mapping) :]
    moments *= many_body
    moments[0] = 0.5
    return set_parameters(potential, parameters)
