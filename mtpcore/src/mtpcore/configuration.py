"""A structure with its labels, and its exchange with ASE."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .errors import InvalidStructureError, UnknownSpeciesError

if TYPE_CHECKING:
    from ase import Atoms

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int32]
type Column = npt.NDArray[np.float64] | npt.NDArray[np.bool_]

CARTESIAN = ("cartes_x", "cartes_y", "cartes_z")
DIRECT = ("direct_x", "direct_y", "direct_z")
FORCES = ("fx", "fy", "fz")
VOIGT = ("xx", "yy", "zz", "yz", "xz", "xy")
GRADES = "nbh_grades"
RESERVED_COLUMNS = frozenset({"id", "type", GRADES, *CARTESIAN, *DIRECT, *FORCES})
LARGEST_TYPE = 999_999_999
# Arrays of ase.Atoms that have another meaning than a column of a configuration
ASE_ARRAYS = frozenset({"numbers", "positions", "tags", "masses", "momenta", "initial_magmoms", "initial_charges"})
REFERENCE_PREFIX = "REF_"


@dataclass(frozen=True, eq=False)
class Configuration:
    """One structure with its labels; N atoms.

    Attributes:
        types: Species index of each atom, shape (N,).
        positions: Cartesian positions, shape (N, 3), angstrom.
        cell: Lattice vectors in rows, shape (3, 3), angstrom; None for open boundaries.
        energy: eV.
        forces: Shape (N, 3), eV/angstrom.
        plus_stress: Minus the strain derivative of the energy in the order xx, yy, zz, yz, xz, xy,
            shape (6,), eV; equals minus volume times ASE's stress.
        grades: Extrapolation grade of each atom (nbh_grades), shape (N,).
        columns: All other columns of the atom data (site_en, charge, ghost, ...), shape (N,) each.
        features: Feature lines; a feature given on several lines holds line breaks.

    Raises:
        InvalidStructureError: shapes do not fit, numbers are not finite, the cell is singular, or
            names and texts could not be read back from a file.
    """

    types: IntArray
    positions: FloatArray
    cell: FloatArray | None = None
    energy: float | None = None
    forces: FloatArray | None = None
    plus_stress: FloatArray | None = None
    grades: FloatArray | None = None
    columns: dict[str, Column] = field(default_factory=dict)
    features: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Convert all arrays and check that everything fits together."""
        types = np.asarray(self.types)
        count = len(types) if types.ndim == 1 else 0
        if count == 0 or types.dtype.kind not in "iu":
            raise InvalidStructureError(f"types must be species indices of some atoms, not {types}")
        if not 0 <= types.min() <= types.max() <= LARGEST_TYPE:
            raise InvalidStructureError(f"types must be from 0 to {LARGEST_TYPE}, not {types}")
        object.__setattr__(self, "types", types.astype(np.int32))
        shapes = {"positions": (count, 3), "cell": (3, 3), "energy": ()}
        shapes |= {"forces": (count, 3), "plus_stress": (6,), "grades": (count,)}
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value is not None or name == "positions":
                array = _finite_array(name, value, shape)
                object.__setattr__(self, name, array if shape else float(array))
        if self.cell is not None and _is_singular(self.cell):
            raise InvalidStructureError(f"the lattice vectors are dependent: {self.cell.tolist()}")
        columns = {name: _checked_column(name, c, count) for name, c in self.columns.items()}
        object.__setattr__(self, "columns", columns)
        for name, text in self.features.items():
            _check_feature(name, text)

    def to_atoms(self, species: Sequence[str]) -> "Atoms":
        """The structure as ASE's atoms, labels in a SinglePointCalculator.

        Args:
            species: Chemical symbol of each type.

        Returns:
            Periodic atoms if there is a cell, else open ones. Grades and other columns are arrays,
            features are strings in ``info``; stress is in ASE's sign and order.

        Raises:
            UnknownSpeciesError: a type has no symbol.
        """
        from ase import Atoms  # noqa: PLC0415  optional dependency
        from ase.calculators.singlepoint import SinglePointCalculator  # noqa: PLC0415

        if self.types.max() >= len(species):
            raise UnknownSpeciesError(f"no symbol for type {self.types.max()} among {species}")
        symbols = [species[index] for index in self.types]
        atoms: Any = Atoms(symbols, positions=self.positions, cell=self.cell, pbc=self.cell is not None)
        arrays = self.columns if self.grades is None else {GRADES: self.grades, **self.columns}
        for name, values in arrays.items():
            if name in ASE_ARRAYS:
                raise InvalidStructureError(f"column {name!r} has another meaning in ASE")
            atoms.set_array(name, values)
        atoms.info.update(self.features)
        labels: dict[str, Any] = {"energy": self.energy, "forces": self.forces}
        if self.plus_stress is not None and self.cell is not None:
            labels["stress"] = -self.plus_stress / abs(np.linalg.det(self.cell))
        calculator: Any = SinglePointCalculator
        atoms.calc = calculator(atoms, **labels)
        periodic: Atoms = atoms
        return periodic

    @classmethod
    def from_atoms(cls, atoms: "Atoms", species: Sequence[str]) -> "Configuration":
        """The configuration of ASE's atoms.

        Args:
            atoms: Periodic in all directions or in none. Labels are ``info["REF_energy"]``,
                ``arrays["REF_forces"]`` and ``info["REF_stress"]`` if any of them is there, else
                the calculator's results as far as they belong to these positions; nothing is
                computed and the two sources are never mixed.
            species: Chemical symbol of each type.

        Returns:
            The configuration; the array nbh_grades becomes ``grades``, other arrays of one number
            per atom become columns, texts and numbers in ``info`` become features.

        Raises:
            UnknownSpeciesError: an element is not in the list.
            InvalidStructureError: mixed boundary conditions, or see the class.
        """
        symbols = [str(symbol) for symbol in atoms.symbols]
        if unknown := sorted(set(symbols) - set(species)):
            raise UnknownSpeciesError(f"{', '.join(unknown)} not among the species {species}")
        if any(atoms.pbc) and not all(atoms.pbc):
            raise InvalidStructureError(f"boundaries must be all periodic or all open: {atoms.pbc}")
        cell = np.array(atoms.cell) if all(atoms.pbc) else None
        energy, forces, stress = _labels(atoms)
        plus_stress = None
        if stress is not None and cell is not None:
            plus_stress = -abs(np.linalg.det(cell)) * _voigt(stress)
        grades, columns = _extra_arrays(atoms)
        return cls(
            types=np.array([list(species).index(symbol) for symbol in symbols], dtype=np.int32),
            positions=atoms.positions.copy(),
            cell=cell,
            energy=energy,
            forces=forces,
            plus_stress=plus_stress,
            grades=grades,
            columns=columns,
            features={
                name: str(value)
                for name, value in atoms.info.items()
                if isinstance(value, (str, int, float, np.generic)) and not name.startswith(REFERENCE_PREFIX)
            },
        )


def _finite_array(name: str, value: Any, shape: tuple[int, ...]) -> FloatArray:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidStructureError(f"{name} must be numbers: {error}") from error
    if array.shape != shape or not np.isfinite(array).all():
        raise InvalidStructureError(
            f"{name} must be finite numbers of shape {shape}, not {array} of shape {array.shape}"
        )
    return array


def _is_singular(cell: FloatArray) -> bool:
    scale = np.abs(cell).max(axis=1, keepdims=True)
    return bool((scale == 0.0).any()) or bool(np.linalg.matrix_rank(cell / scale) < len(cell))


def _checked_column(name: str, values: Any, count: int) -> Column:
    if name in RESERVED_COLUMNS or not _is_word(name):
        raise InvalidStructureError(f"{name!r} cannot name a further column")
    array = np.asarray(values)
    if array.dtype == np.bool_ and array.shape == (count,):
        return array
    return _finite_array(f"column {name}", values, (count,))


def _is_word(text: str) -> bool:
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        return False
    return encoded.split() == [encoded]


def _check_feature(name: str, text: str) -> None:
    try:
        lines = text.encode().split(b"\n")
    except UnicodeEncodeError as error:
        raise InvalidStructureError(f"feature {name!r} is not valid text: {error}") from error
    if not _is_word(name) or any(line != line.strip() for line in lines):
        raise InvalidStructureError(f"feature {name!r}: no blanks in the name, nor at either end of a line: {text!r}")


def _labels(atoms: Any) -> tuple[Any, Any, Any]:
    """Energy, forces and stress, from the REF_ entries or from the calculator's results."""
    info, arrays = atoms.info, atoms.arrays
    reference = (info.get("REF_energy"), arrays.get("REF_forces"), info.get("REF_stress"))
    if any(label is not None for label in reference) or atoms.calc is None:
        return reference
    results = getattr(atoms.calc, "results", {})
    energy, forces, stress = (
        atoms.calc.get_property(name, atoms, allow_calculation=False) if name in results else None
        for name in ("energy", "forces", "stress")
    )
    return energy, forces, stress


def _voigt(stress: Any) -> FloatArray:
    """Six components of a stress given as six (ASE's order) or nine numbers."""
    array = np.array(stress, dtype=np.float64)
    if array.size != 9:  # noqa: PLR2004  a 3 x 3 tensor, flat or not
        return array
    rows, columns = [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]
    return array.reshape(3, 3)[rows, columns]


def _extra_arrays(atoms: Any) -> tuple[Any, dict[str, Any]]:
    """Grades and further columns among the arrays of ASE's atoms."""
    extra = {
        name: values
        for name, values in atoms.arrays.items()
        if name not in ASE_ARRAYS
        and not name.startswith(REFERENCE_PREFIX)
        and values.ndim == 1
        and values.dtype.kind in "iufb"
    }
    return extra.pop(GRADES, None), extra
