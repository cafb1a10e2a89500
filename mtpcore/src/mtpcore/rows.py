"""Rows of derivatives by the parameters, from structures, among which active sets are chosen."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from .configuration import Configuration
from .engine import Engine
from .errors import ActiveSetError, InvalidStructureError, MtpcoreError, UnknownSpeciesError
from .gauge import canonical_mixing, row_transform
from .potential import Potential

if TYPE_CHECKING:
    from ase import Atoms

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int32]
type Structure = tuple[IntArray, FloatArray, FloatArray, tuple[bool, bool, bool]]
type Mode = Literal["neighborhood", "configuration"]

START_SIZE = 1e-5
NOISE = 1e-10  # columns this small beside the largest of their kind hold rounding only


@dataclass
class RowSource:
    """Rows of a potential and their grades.

    Attributes:
        potential: Its own active set plays no part.
        mode: One row an atom, or one a configuration.
        weight_scaling: p; the row of a configuration of N atoms is the sum over its atoms divided by N^(p / 2), which
            is the mean for p = 2, and MLIP-3's choice.
        threads: Threads over atoms.
    """

    potential: Potential
    mode: Mode
    weight_scaling: int
    threads: int | None = None

    def __post_init__(self) -> None:
        """Make the potential ready."""
        bare = Potential(self.potential)
        bare.active_set = None
        self._engine = Engine(bare, threads=self.threads)
        self._inverse: FloatArray | None = None

    def rows(self, structure: Structure) -> FloatArray:
        """d(site energy)/d(parameters) of every atom, shape (N, n), or the one row of the configuration, shape (1, n).

        Raises:
            UnknownSpeciesError: a species the potential lacks.
            InvalidStructureError: the structure cannot be evaluated, or a row is not finite.
        """
        rows = self._engine.site_energy_jacobian(*structure)
        if not np.isfinite(rows).all():
            raise InvalidStructureError("derivatives by the parameters overflow: atoms far too close")
        if self.mode == "configuration":
            rows = rows.sum(axis=0, keepdims=True) / len(rows) ** (self.weight_scaling / 2)
        return rows

    def set_inverse(self, inverse: FloatArray) -> None:
        """Grade by this inverse of an active set's matrix from now on."""
        self._inverse = inverse.copy()
        self._engine.set_inverse(inverse)

    def grades(self, structure: Structure) -> FloatArray:
        """Grade of every atom, shape (N,), or the one of the configuration, shape (1,).

        Raises:
            ActiveSetError: no inverse is set.
            UnknownSpeciesError: as :meth:`rows`.
            InvalidStructureError: as :meth:`rows`.
        """
        if self._inverse is None:
            raise ActiveSetError("grades need an active set")
        if self.mode == "neighborhood":
            grades = self._engine.grades(*structure)
        else:
            grades = np.abs(self.rows(structure) @ self._inverse).max(axis=1)
        if not np.isfinite(grades).all():
            raise InvalidStructureError("derivatives by the parameters overflow: atoms far too close")
        return grades

    def first_equation(self, atom_count: int) -> int:
        """Number of the first row among the equations of a configuration.

        MLIP-3 numbers the energy 0, then 3 N forces, 9 stresses and N site energies; in configuration mode the energy
        is the only row.
        """
        return 10 + 3 * atom_count if self.mode == "neighborhood" else 0


def structure_of(item: "Configuration | Atoms", species: Sequence[str] | None) -> Structure:
    """What an engine takes, from a configuration or ASE's atoms.

    Args:
        item: The structure.
        species: Chemical symbol of each species of the potential; needed for ASE's atoms.

    Raises:
        MtpcoreError: ``species`` is missing.
        UnknownSpeciesError: an element is not among the species.
    """
    if isinstance(item, Configuration):
        periodic = item.cell is not None
        return item.types, item.positions, np.eye(3) if item.cell is None else item.cell, (periodic,) * 3
    names = _needed(species)
    symbols = [str(symbol) for symbol in item.symbols]
    if unknown := sorted(set(symbols) - set(names)):
        raise UnknownSpeciesError(f"{', '.join(unknown)} not among the species {names}")
    types = np.array([names.index(symbol) for symbol in symbols], dtype=np.int32)
    x, y, z = (bool(flag) for flag in item.pbc)
    return types, item.positions, np.asarray(item.cell), (x, y, z)


def configuration_of(item: "Configuration | Atoms", species: Sequence[str] | None) -> Configuration:
    """A configuration, from one or from ASE's atoms; as :func:`structure_of`.

    Raises:
        InvalidStructureError: atoms periodic along some directions only, which no file of configurations can hold.
    """
    return item if isinstance(item, Configuration) else Configuration.from_atoms(item, _needed(species))


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Say of which structure an error speaks."""
    try:
        yield
    except (InvalidStructureError, UnknownSpeciesError) as error:
        raise type(error)(f"{what}: {error}") from None


def _needed(species: Sequence[str] | None) -> list[str]:
    if species is None:
        raise MtpcoreError("atoms of ASE need species=[...], the element of each species of the potential")
    return list(species)


def start_rows(source: RowSource, structures: Iterable[Structure]) -> FloatArray:
    """Start rows for an active set: small multiples of the axes, in the canonical gauge.

    What size counts as small, and along which axes, must not depend on the gauge a fit happened to end in, or grades
    would. So the axes are those of the canonical gauge (see :mod:`mtpcore.gauge`), and the size along each is
    ``START_SIZE`` times the root mean square of that derivative over the data. A direction enters the active set, and
    counts in grades, when a row has more than that along it; what is smaller is taken for rounding. Where the data
    have nothing (a species or a pair of species that never occurs), the size of the other derivatives of the same kind
    serves, so that such a neighbourhood gets a grade of the order of 1 / ``START_SIZE``.

    Args:
        source: Gives the rows.
        structures: The data.

    Returns:
        Shape (n, n), not singular.
    """
    potential = source.potential
    transform = row_transform(potential, canonical_mixing(potential))
    squares, count = np.zeros(potential.parameter_count), 0
    for index, structure in enumerate(structures):
        with naming(f"configuration {index}"):
            rows = transform.forward(source.rows(structure))
        squares += np.einsum("ij,ij->j", rows, rows)
        count += len(rows)
    size = np.sqrt(squares / max(count, 1))
    bounds = np.cumsum([potential.radial_coeffs.size, potential.species_count])
    kinds = np.split(size, bounds)
    filled = np.concatenate([_without_gaps(kind) for kind in kinds])
    return START_SIZE * transform.backward(np.diag(filled))


def _without_gaps(size: FloatArray) -> FloatArray:
    """Sizes with the root mean square of the others in place of those that are nothing but rounding."""
    present = size > NOISE * size.max()
    if not present.any():
        return np.ones_like(size)
    return np.where(present, size, np.sqrt(np.mean(size[present] ** 2)))
