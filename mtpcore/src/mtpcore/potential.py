"""Potentials as data: made untrained, read, written."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from . import _core
from ._core import ActiveSet, Potential
from .errors import PotentialFormatError
from .levels import contraction_tables

__all__ = [
    "ActiveSet",
    "Potential",
    "get_parameters",
    "new_potential",
    "read_potential",
    "set_parameters",
    "write_potential",
]

type FloatArray = npt.NDArray[np.float64]


def new_potential(
    level: int,
    species_count: int,
    *,
    min_dist: float,
    max_dist: float,
    radial_basis_size: int = 8,
) -> Potential:
    """An untrained potential of a level: the tables of MLIP's templates and no coefficients.

    Args:
        level: Even, 2 to 28.
        species_count: Number of species.
        min_dist: Shortest distance in the data, angstrom; the radial polynomials live between it
            and ``max_dist``.
        max_dist: Cutoff, angstrom.
        radial_basis_size: Chebyshev polynomials per radial function.

    Raises:
        LevelError: no tables exist for the level.
        ValueError: the distances or counts make no potential.
    """
    tables = contraction_tables(level)
    potential = Potential()
    potential.species_count = species_count
    potential.min_dist, potential.max_dist = min_dist, max_dist
    potential.radial_basis_size = radial_basis_size
    potential.radial_funcs_count = tables.radial_funcs_count
    potential.alpha_index_basic = np.array(tables.alpha_index_basic, dtype=np.int32)
    potential.alpha_index_times = np.array(tables.alpha_index_times, dtype=np.int32)
    potential.alpha_moment_mapping = np.array(tables.alpha_moment_mapping, dtype=np.int32)
    potential.alpha_moments_count = int(tables.alpha_moments_count)
    shape = (species_count, species_count, tables.radial_funcs_count, radial_basis_size)
    potential.radial_coeffs = np.zeros(shape)
    potential.species_coeffs = np.zeros(species_count)
    potential.moment_coeffs = np.zeros(len(tables.alpha_moment_mapping))
    potential.validate()
    return potential


def read_potential(path: str | os.PathLike[str]) -> Potential:
    """Read an ``.mtp`` or ``.almtp`` file of MLIP (version 1.1.0).

    Raises:
        PotentialFormatError: the file is missing, truncated, mistyped or inconsistent; names the
            line.
    """
    try:
        return _core.read_potential(os.fspath(path))
    except ValueError as error:
        raise _format_error(error) from None


def _format_error(error: ValueError) -> ValueError:
    if len(error.args) == 4:  # noqa: PLR2004  path, line, expected, found
        path, line, expected, found = error.args
        return PotentialFormatError(Path(path), line, expected, found)
    return error


def write_potential(path: str | os.PathLike[str], potential: Potential) -> None:
    """Write an ``.mtp`` file, or with an active set an ``.almtp`` one.

    It is written under a temporary name first, then renamed. Numbers have 17 significant digits, so
    that reading gives back the same potential bit for bit.

    Raises:
        ValueError: the potential is inconsistent.
        RuntimeError: the file cannot be written.
    """
    _core.write_potential(os.fspath(path), potential)


def get_parameters(potential: Potential) -> FloatArray:
    """All coefficients in MLIP-3's order: radial, species, moment; shape (parameter_count,)."""
    parts = (potential.radial_coeffs.ravel(), potential.species_coeffs, potential.moment_coeffs)
    return np.concatenate(parts)


def set_parameters(potential: Potential, parameters: FloatArray) -> Potential:
    """A copy of the potential with other coefficients.

    It has no active set: the old one would not fit the new coefficients.

    Args:
        potential: The potential that gives the tables.
        parameters: Shape (parameter_count,), in the order of :func:`get_parameters`.
    """
    if parameters.shape != (potential.parameter_count,):
        raise ValueError(f"parameters have shape {parameters.shape}, not ({potential.parameter_count},)")
    radial = potential.radial_coeffs.size
    species = potential.species_count
    copy = Potential(potential)
    copy.active_set = None
    copy.radial_coeffs = np.ascontiguousarray(parameters[:radial]).reshape(potential.radial_coeffs.shape)
    copy.species_coeffs = np.ascontiguousarray(parameters[radial : radial + species])
    copy.moment_coeffs = np.ascontiguousarray(parameters[radial + species :])
    copy.trained = True
    return copy
