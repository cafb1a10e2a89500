r"""Moment tensor potential in plain NumPy: slow, short, and the oracle of the fast engine.

For atom i with neighbours j at :math:`\mathbf r_j`, distance :math:`r_j`, unit vector
:math:`\mathbf u_j = \mathbf r_j / r_j`:

.. math::

    f_\mu(r, z_i, z_j) &= \sum_k c_{z_i z_j \mu k} \, T_k(s) \cdot \mathrm{scaling}
        \cdot (r_\mathrm{max} - r)^2 \quad (r < r_\mathrm{max}), \qquad
        s = \frac{2 r - (r_\mathrm{min} + r_\mathrm{max})}{r_\mathrm{max} - r_\mathrm{min}} \\
    M_{\mu xyz} &= \sum_j f_\mu(r_j, z_i, z_j) \, u_{j1}^x u_{j2}^y u_{j3}^z \\
    M_\mathrm{target} &= \sum \mathrm{multiplicity} \cdot M_i M_j \\
    E_i &= \zeta_{z_i} + \sum_a \xi_a M_{\mathrm{mapping}(a)}

with Chebyshev polynomials T_k. Source: A. V. Shapeev, Multiscale Model. Simul. 14, 1153 (2016);
I. S. Novikov et al., Mach. Learn. Sci. Technol. 2, 025002 (2021).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from .errors import InvalidStructureError, UnknownSpeciesError

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int32]


class PotentialLike(Protocol):
    """What a moment tensor potential is made of; S species, R radial functions of K polynomials.

    Distances are in angstrom and energies in eV.
    """

    @property
    def species_count(self) -> int:
        """Number of species S."""

    @property
    def scaling(self) -> float:
        """Factor of every radial function, 1/angstrom^2."""

    @property
    def min_dist(self) -> float:
        """Distance mapped to -1 in the Chebyshev polynomials, angstrom."""

    @property
    def max_dist(self) -> float:
        """Cutoff, where the radial functions vanish with their first derivative, angstrom."""

    @property
    def radial_basis_size(self) -> int:
        """Number of Chebyshev polynomials K."""

    @property
    def radial_funcs_count(self) -> int:
        """Number of radial functions R."""

    @property
    def radial_coeffs(self) -> FloatArray:
        """Coefficients c[z_i, z_j, mu, k], shape (S, S, R, K)."""

    @property
    def alpha_index_basic(self) -> IntArray:
        """Basic moments, rows (mu, x, y, z), shape (B, 4)."""

    @property
    def alpha_index_times(self) -> IntArray:
        """Products, rows (i, j, multiplicity, target), shape (T, 4), factors before targets."""

    @property
    def alpha_moment_mapping(self) -> IntArray:
        """Moment number of each basis function, shape (A,)."""

    @property
    def alpha_moments_count(self) -> int:
        """Number of moments, basic ones included."""

    @property
    def species_coeffs(self) -> FloatArray:
        """Energy of a lone atom of each species, shape (S,), eV."""

    @property
    def moment_coeffs(self) -> FloatArray:
        """Coefficient of each basis function, shape (A,), eV."""


class Neighborhood(NamedTuple):
    """Neighbours of one atom, periodic images counted one by one.

    Attributes:
        indices: Atom each neighbour is (an image of), shape (n,).
        vectors: From the central atom to the neighbour, shape (n, 3), angstrom.
    """

    indices: npt.NDArray[np.intp]
    vectors: FloatArray


@dataclass(frozen=True, eq=False)
class ReferenceResult:
    """Energy of a structure and its derivatives.

    Attributes:
        energy: Sum of the site energies, eV.
        site_energies: Energy of each atom, shape (N,), eV.
        forces: Minus the gradient of the energy, shape (N, 3), eV/angstrom.
        virial: ``virial[a, b]`` = - sum over all pairs (i, j) of r_ij[a] dE_i/dr_ij[b] =
            - dE/dstrain[a, b], shape (3, 3), eV. Symmetric. It is MLIP's PlusStress; ASE's stress
            (tensile positive) is ``-virial / volume``.
    """

    energy: float
    site_energies: FloatArray
    forces: FloatArray
    virial: FloatArray


def neighborhoods(positions: FloatArray, cell: FloatArray, pbc: Sequence[bool], cutoff: float) -> list[Neighborhood]:
    """Neighbours of every atom by trying all periodic images within reach.

    Args:
        positions: Cartesian positions, inside the cell or not, shape (N, 3), angstrom.
        cell: Lattice vectors in rows, shape (3, 3), angstrom; rows of open directions do not count.
        pbc: Which of the three lattice vectors are periods.
        cutoff: Neighbours are nearer than this, angstrom.

    Returns:
        One neighbourhood per atom. A cell smaller than the cutoff yields several images of one
        atom, also of the atom itself.

    Raises:
        InvalidStructureError: wrong shapes, non-finite numbers, linearly dependent periods or two
            atoms on one spot.
    """
    positions, periods = _checked_structure(positions, cell, pbc)
    # A vector v = difference + shifts @ periods has v @ dual = its coordinates along the periods,
    # bounded by cutoff * |dual|.
    dual = np.linalg.pinv(periods)
    coordinates = positions @ dual
    spread = np.ptp(coordinates, axis=0) if len(positions) else np.zeros(len(periods))
    reach = np.ceil(cutoff * np.linalg.norm(dual, axis=0) + spread).astype(int)
    shifts = np.array(list(itertools.product(*(range(-n, n + 1) for n in reach))), dtype=float)
    offsets = shifts @ periods
    return [_neighborhood(i, positions, offsets, cutoff) for i in range(len(positions))]


def _checked_structure(positions: FloatArray, cell: FloatArray, pbc: Sequence[bool]) -> tuple[FloatArray, FloatArray]:
    """Positions and the periodic lattice vectors, shape (number of periods, 3)."""
    positions = np.atleast_1d(np.asarray(positions, dtype=float))
    if positions.shape != (len(positions), 3):
        message = f"positions must have shape (N, 3), not {positions.shape}"
        raise InvalidStructureError(message)
    if np.shape(cell) != (3, 3) or np.shape(pbc) != (3,):
        message = f"cell must have shape (3, 3), not {np.shape(cell)}, and pbc three entries"
        raise InvalidStructureError(message)
    periods = np.asarray(cell, dtype=float)[np.asarray(pbc, dtype=bool)]
    if not (np.isfinite(positions).all() and np.isfinite(periods).all()):
        message = "positions and cell must be finite numbers"
        raise InvalidStructureError(message)
    if len(periods) and np.linalg.matrix_rank(periods) < len(periods):
        message = f"the periodic lattice vectors are linearly dependent: {periods.tolist()}"
        raise InvalidStructureError(message)
    return positions, periods


def _neighborhood(i: int, positions: FloatArray, offsets: FloatArray, cutoff: float) -> Neighborhood:
    """Neighbours of atom i among all atoms shifted by all offsets."""
    vectors = positions + offsets[:, None] - positions[i]
    distances = np.linalg.norm(vectors, axis=2)
    is_itself = (np.arange(len(positions)) == i) & (offsets == 0.0).all(axis=1)[:, None]
    near = (distances < cutoff) & ~is_itself
    if (distances[near] == 0.0).any():
        message = f"atom {i} and another atom or image lie on one spot"
        raise InvalidStructureError(message)
    return Neighborhood(np.nonzero(near)[1], vectors[near])


class _Site(NamedTuple):
    """Everything about one atom that both forces and parameter derivatives need.

    Attributes:
        energy: Site energy, eV.
        basis: Value of each basis function, shape (A,).
        adjoints: dE_i/dM of each basic moment, shape (B,).
        radial: Radial polynomials at each neighbour and their slopes, 2 x shape (K, n).
        functions: Radial functions at each neighbour and their slopes, 2 x shape (R, n).
        monomials: Monomials of the unit vectors and their gradients, shapes (B, n), (B, n, 3).
        units: Unit vectors, shape (n, 3).
        distances: Shape (n,), angstrom.
    """

    energy: float
    basis: FloatArray
    adjoints: FloatArray
    radial: tuple[FloatArray, FloatArray]
    functions: tuple[FloatArray, FloatArray]
    monomials: tuple[FloatArray, FloatArray]
    units: FloatArray
    distances: FloatArray


def _radial_polynomials(potential: PotentialLike, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
    """T_k(s) * scaling * (max_dist - r)^2 and its derivative by r, both of shape (K, n)."""
    width = potential.max_dist - potential.min_dist
    s = (2.0 * distances - (potential.min_dist + potential.max_dist)) / width
    values, slopes = [np.ones_like(s), s], [np.zeros_like(s), np.ones_like(s)]
    for _ in range(2, potential.radial_basis_size):
        slopes.append(2.0 * values[-1] + 2.0 * s * slopes[-1] - slopes[-2])
        values.append(2.0 * s * values[-1] - values[-2])
    t = np.array(values[: potential.radial_basis_size])
    dt_dr = np.array(slopes[: potential.radial_basis_size]) * 2.0 / width
    gap = potential.max_dist - distances
    return (
        potential.scaling * t * gap**2,
        potential.scaling * (dt_dr * gap**2 - 2.0 * t * gap),
    )


def _monomials(exponents: IntArray, units: FloatArray) -> tuple[FloatArray, FloatArray]:
    """u1^x u2^y u3^z, shape (B, n), and its derivatives by u1, u2, u3, shape (B, n, 3)."""
    factors = units[None] ** exponents[:, None]
    # Exponent 0 gives slope 0; the clipped power only keeps 0 ** -1 away.
    slopes = exponents[:, None] * units[None] ** np.maximum(exponents[:, None] - 1, 0)
    gradients = np.empty_like(factors)
    for axis in range(3):
        others = [a for a in range(3) if a != axis]
        gradients[..., axis] = slopes[..., axis] * factors[..., others].prod(axis=-1)
    return factors.prod(axis=-1), gradients


def _moments(potential: PotentialLike, basics: FloatArray) -> FloatArray:
    """All moments from the basic ones, shape (alpha_moments_count,)."""
    moments = np.zeros(potential.alpha_moments_count)
    moments[: len(basics)] = basics
    for i, j, multiplicity, target in potential.alpha_index_times:
        moments[target] += multiplicity * moments[i] * moments[j]
    return moments


def _adjoints(potential: PotentialLike, moments: FloatArray) -> FloatArray:
    """Derivative of the site energy by every moment: the products in reverse order."""
    adjoints = np.zeros_like(moments)
    np.add.at(adjoints, potential.alpha_moment_mapping, potential.moment_coeffs)
    for i, j, multiplicity, target in potential.alpha_index_times[::-1]:
        adjoints[i] += multiplicity * adjoints[target] * moments[j]
        adjoints[j] += multiplicity * adjoints[target] * moments[i]
    return adjoints


def _site(potential: PotentialLike, types: IntArray, i: int, near: Neighborhood) -> _Site:
    """Energy of atom i with all intermediate quantities."""
    distances = np.linalg.norm(near.vectors, axis=1)
    units = near.vectors / distances[:, None]
    radial, radial_slopes = _radial_polynomials(potential, distances)
    coefficients = potential.radial_coeffs[types[i], types[near.indices]]
    functions = np.einsum("jmk,kj->mj", coefficients, radial)
    slopes = np.einsum("jmk,kj->mj", coefficients, radial_slopes)
    mu, exponents = potential.alpha_index_basic[:, 0], potential.alpha_index_basic[:, 1:]
    monomials, gradients = _monomials(exponents, units)
    moments = _moments(potential, np.sum(functions[mu] * monomials, axis=1))
    basis = moments[potential.alpha_moment_mapping]
    return _Site(
        energy=float(potential.species_coeffs[types[i]] + potential.moment_coeffs @ basis),
        basis=basis,
        adjoints=_adjoints(potential, moments)[: len(mu)],
        radial=(radial, radial_slopes),
        functions=(functions, slopes),
        monomials=(monomials, gradients),
        units=units,
        distances=distances,
    )


def _site_gradient(potential: PotentialLike, site: _Site) -> FloatArray:
    """Derivative of one site energy by the vector to each neighbour, shape (n, 3)."""
    mu = potential.alpha_index_basic[:, 0]
    (functions, slopes), (monomials, gradients) = site.functions, site.monomials
    along = site.adjoints @ (slopes[mu] * monomials)
    by_unit = np.einsum("b,bj,bjc->jc", site.adjoints, functions[mu], gradients)
    # du/dr = (1 - u u^T) / r
    across = by_unit - site.units * np.sum(by_unit * site.units, axis=1, keepdims=True)
    gradient: FloatArray = along[:, None] * site.units + across / site.distances[:, None]
    return gradient


def _checked_types(potential: PotentialLike, types: IntArray, atom_count: int) -> IntArray:
    types = np.asarray(types)
    if types.shape != (atom_count,) or not np.issubdtype(types.dtype, np.integer):
        message = f"types must be {atom_count} integers, not {types.dtype} of shape {types.shape}"
        raise InvalidStructureError(message)
    if atom_count and not 0 <= types.min() <= types.max() < potential.species_count:
        unknown = sorted(set(types.tolist()) - set(range(potential.species_count)))
        message = f"types {unknown} are not among the {potential.species_count} species"
        raise UnknownSpeciesError(message)
    return types


def evaluate(
    potential: PotentialLike,
    types: IntArray,
    positions: FloatArray,
    cell: FloatArray,
    pbc: Sequence[bool],
) -> ReferenceResult:
    """Energy, site energies, forces and virial of a structure.

    Args:
        potential: The potential.
        types: Species index of each atom, shape (N,).
        positions: Cartesian positions, shape (N, 3), angstrom.
        cell: Lattice vectors in rows, shape (3, 3), angstrom.
        pbc: Which lattice vectors are periods.

    Returns:
        The result, see there for the sign of the virial.

    Raises:
        InvalidStructureError: see :func:`neighborhoods`, or types of the wrong kind or number.
        UnknownSpeciesError: a type is not a species index of the potential.
    """
    nearby = neighborhoods(positions, cell, pbc, potential.max_dist)
    types = _checked_types(potential, types, len(nearby))
    energies, forces, virial = np.zeros(len(nearby)), np.zeros((len(nearby), 3)), np.zeros((3, 3))
    for i, near in enumerate(nearby):
        site = _site(potential, types, i, near)
        gradient = _site_gradient(potential, site)
        energies[i] = site.energy
        forces[i] += gradient.sum(axis=0)
        np.subtract.at(forces, near.indices, gradient)
        virial -= near.vectors.T @ gradient
    return ReferenceResult(float(energies.sum()), energies, forces, virial)


def site_energy_jacobian(
    potential: PotentialLike,
    types: IntArray,
    positions: FloatArray,
    cell: FloatArray,
    pbc: Sequence[bool],
) -> FloatArray:
    """Derivatives of every site energy by every parameter.

    Args:
        potential: The potential.
        types: Species index of each atom, shape (N,).
        positions: Cartesian positions, shape (N, 3), angstrom.
        cell: Lattice vectors in rows, shape (3, 3), angstrom.
        pbc: Which lattice vectors are periods.

    Returns:
        Shape (N, P) with MLIP-3's order of parameters: radial coefficients at
        (z_i * S + z_j) * R * K + mu * K + k, then species_coeffs (S), then moment_coeffs (A).

    Raises:
        InvalidStructureError: as in :func:`evaluate`.
        UnknownSpeciesError: as in :func:`evaluate`.
    """
    nearby = neighborhoods(positions, cell, pbc, potential.max_dist)
    types = _checked_types(potential, types, len(nearby))
    mu = potential.alpha_index_basic[:, 0]
    rows = []
    for i, near in enumerate(nearby):
        site = _site(potential, types, i, near)
        by_radial = np.zeros_like(potential.radial_coeffs)
        for b, term in enumerate(site.adjoints[:, None] * site.monomials[0]):
            by_polynomial = (term * site.radial[0]).T
            np.add.at(by_radial[types[i], :, mu[b]], types[near.indices], by_polynomial)
        by_species = np.arange(potential.species_count) == types[i]
        rows.append(np.concatenate([by_radial.ravel(), by_species, site.basis]))
    return np.array(rows).reshape(len(nearby), _parameter_count(potential))


def _parameter_count(potential: PotentialLike) -> int:
    return potential.radial_coeffs.size + potential.species_count + len(potential.moment_coeffs)
