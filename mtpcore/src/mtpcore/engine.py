"""Energies, forces, virials, parameter derivatives and grades of structures by the native engine."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import _core
from ._core import Potential
from .errors import InvalidStructureError, MtpcoreError, UnknownSpeciesError

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Evaluation:
    """Result for one structure of N atoms.

    Attributes:
        energy: Potential energy, eV.
        site_energies: Shape (N,), eV.
        forces: Shape (N, 3), eV/angstrom.
        virial: -dE/d(strain), shape (3, 3), eV; the stress (tensile positive, as ASE's) is -virial / volume.
        close_pairs: (i, j, distance in angstrom) of every pair below the potential's ``min_dist``,
            where the potential knows nothing and its radial polynomials grow without bound.
    """

    energy: float
    site_energies: FloatArray
    forces: FloatArray
    virial: FloatArray
    close_pairs: list[tuple[int, int, float]]


class Engine:
    """A potential made ready to evaluate structures.

    Structures are passed as 0-based species of the potential, shape (N,); positions, shape (N, 3),
    angstrom; cell
    vectors in rows, shape (3, 3), angstrom; and the periodicity along each. Any cell serves:
    triclinic, open, smaller than the cutoff. Every method raises :class:`UnknownSpeciesError` for a
    species the potential lacks and :class:`InvalidStructureError` for arrays of the wrong shape,
    coordinates that are not finite, a singular periodic cell or atoms that coincide.

    Args:
        potential: A trained potential; its active set, if any, serves :meth:`grades`.
        threads: Threads over atoms; by default the processors this process may use, at most 16.
    """

    def __init__(self, potential: Potential, *, threads: int | None = None) -> None:
        self.potential = potential
        self.threads = threads or min(16, len(os.sched_getaffinity(0)))
        self._core = _core.Engine(potential)
        active_set = potential.active_set
        self._has_grades = active_set is not None and active_set.neighborhood_mode

    def set_inverse(self, inverse: FloatArray) -> None:
        """Grade by this active set from now on.

        Args:
            inverse: Inverse of the matrix of the active set, shape (parameter_count, parameter_count).
        """
        self._core.set_inverse(np.ascontiguousarray(inverse.T))
        self._has_grades = True

    def evaluate(
        self, types: IntArray, positions: FloatArray, cell: FloatArray, periodic: Sequence[bool]
    ) -> Evaluation:
        """Energy, forces and virial."""
        with _typed_errors():
            result = self._core.evaluate(*_arguments(types, positions, cell, periodic), self.threads)
        return Evaluation(**result)

    def site_energy_jacobian(
        self, types: IntArray, positions: FloatArray, cell: FloatArray, periodic: Sequence[bool]
    ) -> FloatArray:
        """d(site energy)/d(parameters), shape (N, parameter_count).

        Parameters in MLIP-3's order: radial, species, moment.
        """
        with _typed_errors():
            return self._core.jacobian(*_arguments(types, positions, cell, periodic), self.threads)

    def grades(self, types: IntArray, positions: FloatArray, cell: FloatArray, periodic: Sequence[bool]) -> FloatArray:
        """Extrapolation grade of every neighbourhood, max |b A^-1|, shape (N,).

        Source: Podryabinkin et al., J. Chem. Phys. 159, 084112 (2023).

        Raises:
            MtpcoreError: the potential holds no active set of neighbourhoods.
        """
        if not self._has_grades:
            raise MtpcoreError(
                "the potential holds no active set of neighbourhoods: read one from an .almtp file or select one first"
            )
        with _typed_errors():
            return self._core.grades(*_arguments(types, positions, cell, periodic), self.threads)

    def loss_gradient(
        self,
        types: IntArray,
        positions: FloatArray,
        cell: FloatArray,
        periodic: Sequence[bool],
        *,
        energy_weight: float,
        force_weights: FloatArray,
        strain_weights: FloatArray,
    ) -> FloatArray:
        """d/d(parameters) of a E + sum_i w_i . F_i + sum_ab s_ab dE/d(strain_ab).

        One pass of dual numbers, a few times the cost of :meth:`evaluate`; no derivative of a
        single force is formed.

        Returns:
            Shape (parameter_count,), parameters as in :meth:`site_energy_jacobian`.

        Args:
            types: Species, shape (N,).
            positions: Shape (N, 3), angstrom.
            cell: Shape (3, 3), angstrom.
            periodic: Periodicity along each cell vector.
            energy_weight: a.
            force_weights: w, shape (N, 3).
            strain_weights: s, shape (3, 3).
        """
        with _typed_errors():
            return self._core.loss_gradient(
                *_arguments(types, positions, cell, periodic),
                float(energy_weight),
                _reals("force_weights", force_weights, (len(types), 3)),
                _reals("strain_weights", strain_weights, (3, 3)),
                self.threads,
            )


@contextmanager
def _typed_errors() -> Iterator[None]:
    """Errors of the core, which knows no Python classes, as the package's own."""
    try:
        yield
    except LookupError as error:
        raise UnknownSpeciesError(str(error)) from None
    except ArithmeticError as error:
        raise InvalidStructureError(str(error)) from None


def _arguments(
    types: npt.ArrayLike, positions: npt.ArrayLike, cell: npt.ArrayLike, periodic: Sequence[bool]
) -> tuple[IntArray, FloatArray, FloatArray, list[bool]]:
    """The arrays as the core reads them; no copy is made where they fit already."""
    species = np.asarray(types)
    if species.ndim != 1 or (species.dtype.kind not in "iu" and species.size):
        raise InvalidStructureError(
            f"types must be integers of shape (N,), not {species.dtype} of shape {species.shape}"
        )
    flags = [bool(flag) for flag in periodic]
    if len(flags) != 3:  # noqa: PLR2004  three dimensions
        raise InvalidStructureError(f"periodic must have three entries, not {len(flags)}")
    return (
        np.ascontiguousarray(species, dtype=np.int32),
        _reals("positions", positions, (len(species), 3)),
        _reals("cell", cell, (3, 3)),
        flags,
    )


def _reals(name: str, values: npt.ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.shape != shape:
        raise InvalidStructureError(f"{name} must have shape {shape}, not {array.shape}")
    return array
