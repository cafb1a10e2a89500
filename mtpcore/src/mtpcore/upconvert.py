"""Potentials of a higher level that begin as exact copies of a lower one."""

import numpy as np
import numpy.typing as npt

from .errors import LevelError, MtpcoreError
from .levels import contraction_tables
from .potential import Potential, new_potential
from .scalars import level_fingerprints, scalar_fingerprints, table_level

type FloatArray = npt.NDArray[np.float64]

NEGLIGIBLE = 1e-10  # of the typical coefficient: no direction to be orthogonal to
SMALLEST_REST = 1e-6


def upconvert(
    potential: Potential,
    level: int,
    *,
    radial_basis_size: int | None = None,
    species_count: int | None = None,
    seed: int = 0,
) -> Potential:
    """A potential of a higher level, of more radial basis functions or of more species, with the same energies.

    Scalars keep their moment coefficients wherever the tables of either level have them; they are told apart as
    polynomials of the basic moments, so that any order will do. New scalars get the coefficient 0. New radial functions
    are random, smooth, as large as the old ones and orthogonal to them: were they 0 like the coefficients of their
    scalars, the loss would not change with either to first order, and no fit could leave that point. The functions of
    new pairs of species are of the same kind.

    Args:
        potential: With coefficients. Its active set, if any, is dropped: it does not fit the new parameters.
        level: Even, at least that of the potential.
        radial_basis_size: Chebyshev polynomials per radial function, at least as many as the potential's, the default.
        species_count: At least that of the potential, the default; the new species come last.
        seed: Of the new radial functions.

    Returns:
        The potential in MLIP's own tables. Energies and forces are the same but for rounding.

    Raises:
        LevelError: the level is lower than the potential's, odd or too high, or its tables lack one of the potential's
            scalars.
        MtpcoreError: the potential has no coefficients, or fewer functions or species are asked for than it has.
    """
    size = potential.radial_basis_size if radial_basis_size is None else radial_basis_size
    species = potential.species_count if species_count is None else species_count
    _check(potential, level, size, species)
    result = new_potential(
        level, species, min_dist=potential.min_dist, max_dist=potential.max_dist, radial_basis_size=size
    )
    result.name, result.tag, result.scaling = potential.name, potential.tag, potential.scaling
    result.species_labels = _labels(potential.species_labels, species)
    result.moment_coeffs = _moment_coeffs(potential, level)
    result.species_coeffs = np.pad(potential.species_coeffs, (0, species - potential.species_count))
    result.radial_coeffs = _radial_coeffs(potential, result.radial_coeffs.shape, np.random.default_rng(seed))
    result.trained = True
    result.validate()
    return result


def _check(potential: Potential, level: int, size: int, species: int) -> None:
    if not potential.trained:
        raise MtpcoreError("the potential has no coefficients to keep: make a new one of the level instead")
    tables, own = contraction_tables(level), table_level(potential)
    if level < own or tables.radial_funcs_count < potential.radial_funcs_count:
        raise LevelError(f"the potential is of level {own}: it cannot be converted to level {level}, which is lower")
    for what, asked, least in (
        ("radial basis functions", size, potential.radial_basis_size),
        ("species", species, potential.species_count),
    ):
        if asked < least:
            raise MtpcoreError(f"the potential has {least} {what}: {asked} are fewer")


def _labels(labels: list[int], count: int) -> list[int]:
    """Labels of the species in the file, new ones after the highest."""
    if not labels:
        return []
    highest = max(labels)
    return [*labels, *(highest + 1 + new for new in range(count - len(labels)))]


def _moment_coeffs(potential: Potential, level: int) -> FloatArray:
    """The coefficients, each at the place of its scalar among those of the level."""
    places = level_fingerprints(level)
    coefficients = np.zeros(len(contraction_tables(level).alpha_moment_mapping))
    for number, fingerprint in enumerate(scalar_fingerprints(potential)):
        if fingerprint not in places:
            raise LevelError(f"scalar {number} of the potential is not among those of level {level}")
        coefficients[places[fingerprint]] += potential.moment_coeffs[number]
    return coefficients


def _radial_coeffs(potential: Potential, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Old functions padded with zeros, then new ones orthogonal to all before."""
    old = potential.radial_coeffs
    species, _, functions, size = old.shape
    coefficients = np.zeros(shape)
    coefficients[:species, :species, :functions, :size] = old
    typical = float(np.sqrt(np.mean(old**2))) or 1.0
    smooth = 1.0 / np.arange(1, shape[3] + 1) ** 2
    is_new = np.ones(shape[:3], dtype=np.bool_)
    is_new[:species, :species, :functions] = False
    for a, b, mu in zip(*np.nonzero(is_new), strict=True):
        function = rng.normal(size=shape[3]) * smooth
        norms = np.linalg.norm(coefficients[a, b, :mu], axis=1, keepdims=True)
        # Directions only: a pair that hardly matters has functions too small to divide by.
        others = (coefficients[a, b, :mu] / np.where(norms > 0.0, norms, 1.0))[norms[:, 0] > NEGLIGIBLE * typical]
        rest = function - np.linalg.pinv(others) @ (others @ function)
        if np.linalg.norm(rest) < SMALLEST_REST * np.linalg.norm(function):
            rest = function  # as many functions as polynomials: none is orthogonal to all
        coefficients[a, b, mu] = rest * (typical * np.sqrt(size) / np.linalg.norm(rest))
    return coefficients
