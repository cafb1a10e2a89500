"""Configuration files of MLIP (``.cfg``): structures with energies, forces, stresses and grades.

A file is a list of blocks, each between BEGIN_CFG and END_CFG, with the sections Size, Supercell
(absent: open boundaries), AtomData, Energy, PlusStress and any number of Feature lines.

PlusStress is minus the strain derivative of the energy in eV, so ASE's stress (tensile positive,
eV/angstrom^3) is ``-plus_stress / volume``. Sections ``Stress:`` and ``Virial:`` of old files are
refused: MLIP gives them other signs and units, so guessing could flip the sign of the labels.
"""

import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import numpy.typing as npt

from .errors import CfgFormatError, InvalidStructureError, UnknownSpeciesError

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
# Arrays and info entries of ase.Atoms that have no place in a configuration file
ASE_ARRAYS = frozenset(
    {"numbers", "positions", "tags", "masses", "momenta", "initial_magmoms", "initial_charges"}
)
REFERENCE_PREFIX = "REF_"

# ASCII digits only: Python's own conversions also take "1_000", other alphabets, "nan" and "inf".
_INTEGER = re.compile(rb"[0-9]{1,9}")
_REAL = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_FLAGS = {b"true": True, b"false": False}


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
        if count == 0 or types.dtype.kind not in "iu" or not 0 <= types.min() <= types.max() < 1e9:
            raise InvalidStructureError(f"types must be species indices of some atoms, not {types}")
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
        atoms: Any = Atoms(
            symbols, positions=self.positions, cell=self.cell, pbc=self.cell is not None
        )
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
                if isinstance(value, (str, int, float, np.generic))
                and not name.startswith(REFERENCE_PREFIX)
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
        raise InvalidStructureError(
            f"feature {name!r}: names hold no blanks, lines neither begin nor end with any: {text!r}"
        )


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
    tensor = array.reshape(3, 3)
    return np.array([tensor["xyz".index(a), "xyz".index(b)] for a, b in VOIGT])


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


def read_cfg(path: str | Path) -> list[Configuration]:
    """All configurations of a file.

    Args:
        path: The file; an empty one holds no configuration.

    Returns:
        The configurations in the order of the file.

    Raises:
        CfgFormatError: the file is truncated, mistyped or inconsistent; names file and line.
    """
    return list(iter_cfg(path))


def iter_cfg(path: str | Path) -> Iterator[Configuration]:
    """The configurations of a file one by one, for files larger than memory.

    Args:
        path: The file.

    Yields:
        The configurations in the order of the file.

    Raises:
        CfgFormatError: as :func:`read_cfg`, once the iteration gets to the fault.
    """
    with Path(path).open("rb") as stream:
        lines = _Lines(Path(path), stream)
        while lines.advance():
            if lines.line.split() == [b"BEGIN_CFG"]:
                yield _read_configuration(lines)
            elif lines.line.strip():
                raise lines.error("BEGIN_CFG")


@dataclass
class _Lines:
    """The lines of a file with their numbers.

    Attributes:
        path: The file.
        stream: Lines not yet read.
        number: Number of the current line, from 1.
        line: The current line, empty before the first and after the last.
    """

    path: Path
    stream: Iterable[bytes]
    number: int = 0
    line: bytes = b""

    def __post_init__(self) -> None:
        self._rest = iter(self.stream)

    def advance(self) -> bool:
        """Step to the next line, False at the end of the file."""
        self.number += 1
        self.line = next(self._rest, b"")
        return bool(self.line)

    def error(self, expected: str, found: str | None = None) -> CfgFormatError:
        """The error to raise for the current line."""
        if found is None:
            text = self.line.strip().decode("utf-8", "backslashreplace")
            found = repr(text[:80]) if self.line else "the end of the file"
        return CfgFormatError(self.path, self.number, expected, found)

    def words(self, expected: str, count: int) -> list[bytes]:
        """Words of the next line, which must be as many as given."""
        self.advance()
        words = self.line.split()
        if len(words) != count:
            raise self.error(expected)
        return words

    def text(self, raw: bytes) -> str:
        """Bytes of the current line as text."""
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.error("UTF-8 text") from error

    def integer(self, word: bytes, expected: str) -> int:
        """A word of the current line as a non-negative integer."""
        if not _INTEGER.fullmatch(word):
            raise self.error(expected)
        return int(word)

    def real(self, word: bytes) -> float:
        """A word of the current line as a finite number."""
        if not _REAL.fullmatch(word) or not math.isfinite(value := float(word)):
            raise self.error("finite numbers")
        return value


@dataclass
class _Sections:
    """What has been read of a configuration so far; None for sections not met."""

    size: int | None = None
    cell: list[list[float]] | None = None
    columns: dict[str, list[Any]] | None = None
    energy: float | None = None
    plus_stress: list[float] | None = None
    features: dict[str, str] = field(default_factory=dict)

    def read(self, lines: _Lines) -> None:
        """Read the section that begins at the current line."""
        keyword, *rest = lines.line.split()
        alone = not rest
        match keyword:
            case b"Size" if alone and self.size is None:
                self.size = _read_size(lines)
            case b"Supercell" | b"SuperCell" if alone and self.cell is None:
                self.cell = [
                    [lines.real(word) for word in lines.words("three lattice vectors", 3)]
                    for _ in range(3)
                ]
            case b"AtomData:" | b"Atomic_data:" if self.columns is None:
                self.columns = _read_atom_data(lines, self.size)
            case b"Energy" if alone and self.energy is None:
                self.energy = lines.real(*lines.words("the energy", 1))
            case b"PlusStress:" if self.plus_stress is None:
                self.plus_stress = _read_stress(lines)
            case b"Feature" if rest:
                _read_feature(lines, self.features)
            case b"Stress:" | b"Virial:":
                raise lines.error("PlusStress: (sign and unit of other stresses are ambiguous)")
            case _:
                raise lines.error("a section not yet given, or END_CFG")


def _read_size(lines: _Lines) -> int:
    expected = "the number of atoms"
    size = lines.integer(*lines.words(expected, 1), expected=expected)
    if size == 0:
        raise lines.error(f"{expected}, at least one")
    return size


def _read_atom_data(lines: _Lines, size: int | None) -> dict[str, list[Any]]:
    """The columns of the atom data by name."""
    if size is None:
        raise lines.error("Size before the atom data")
    names = [lines.text(word) for word in lines.line.split()[1:]]
    if len(set(names)) < len(names) or "type" not in names:
        raise lines.error("names of columns, type among them, each once")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for row in range(1, size + 1):
        words = lines.words(f"{len(names)} values of atom {row} of {size}", len(names))
        for (name, column), word in zip(columns.items(), words, strict=True):
            column.append(_read_value(lines, name, word))
        if "id" in columns and columns["id"][-1] != row:
            raise lines.error(f"id {row}")
    for name, column in columns.items():
        if len({type(value) for value in column}) > 1:
            raise lines.error(f"either numbers or flags in column {name}", "both")
    return columns


def _read_value(lines: _Lines, name: str, word: bytes) -> float | bool:
    if name in {"id", "type"}:
        return lines.integer(word, f"a whole number as {name}")
    if name not in RESERVED_COLUMNS and word in _FLAGS:
        return _FLAGS[word]
    return lines.real(word)


def _read_stress(lines: _Lines) -> list[float]:
    """The six components in the order of ``VOIGT``."""
    names = [lines.text(word) for word in lines.line.split()[1:]]
    if sorted(names) != sorted(VOIGT):
        raise lines.error(f"PlusStress: with the names {' '.join(VOIGT)} in any order")
    words = lines.words("six stress components", len(VOIGT))
    components = dict(zip(names, map(lines.real, words), strict=True))
    return [components[name] for name in VOIGT]


def _read_feature(lines: _Lines, features: dict[str, str]) -> None:
    """One feature line; further lines of the same name continue the text."""
    _, name, *value = (lines.text(word) for word in lines.line.strip().split(maxsplit=2))
    text = value[0] if value else ""
    features[name] = f"{features[name]}\n{text}" if name in features else text


def _read_configuration(lines: _Lines) -> Configuration:
    """The configuration whose BEGIN_CFG is the current line."""
    sections = _Sections()
    while lines.advance():
        if lines.line.split() == [b"END_CFG"]:
            return _assemble(lines, sections)
        if lines.line.strip():
            sections.read(lines)
    raise lines.error("END_CFG")


def _assemble(lines: _Lines, sections: _Sections) -> Configuration:
    if sections.columns is None:
        raise lines.error("AtomData before END_CFG")
    columns = {name: np.array(column) for name, column in sections.columns.items()}
    columns.pop("id", None)
    positions, direct = (_take(lines, columns, names) for names in (CARTESIAN, DIRECT))
    if (positions is None) == (direct is None):
        raise lines.error("either cartesian or direct positions", "both or none")
    if direct is not None:
        if sections.cell is None:
            raise lines.error("Supercell with direct positions", "none")
        with np.errstate(over="ignore", invalid="ignore"):
            positions = direct @ np.array(sections.cell)
    try:
        return Configuration(
            types=columns.pop("type").astype(np.int32),
            positions=positions,
            cell=None if sections.cell is None else np.array(sections.cell),
            energy=sections.energy,
            forces=_take(lines, columns, FORCES),
            plus_stress=None if sections.plus_stress is None else np.array(sections.plus_stress),
            grades=columns.pop(GRADES, None),
            columns=columns,
            features=sections.features,
        )
    except InvalidStructureError as error:
        raise lines.error("a consistent configuration", str(error)) from error


def _take(lines: _Lines, columns: dict[str, Any], names: tuple[str, ...]) -> Any:
    """Remove three columns that form one array; None if there is none of them."""
    present = [columns.pop(name) for name in names if name in columns]
    if not present:
        return None
    if len(present) < len(names):
        raise lines.error(f"all of the columns {' '.join(names)}", f"{len(present)} of them")
    return np.column_stack(present)


def write_cfg(path: str | Path, configurations: Iterable[Configuration]) -> None:
    """Write configurations so that reading them back gives bit-identical numbers.

    Args:
        path: The file; replaced in one step, so that it is never half-written.
        configurations: What to write.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as stream:
            for configuration in configurations:
                _write_configuration(stream, configuration)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_configuration(stream: TextIO, configuration: Configuration) -> None:
    stream.write(f"BEGIN_CFG\n Size\n    {len(configuration.types)}\n")
    if configuration.cell is not None:
        stream.write(" Supercell\n")
        stream.writelines(f"    {_row(vector)}\n" for vector in configuration.cell)
    _write_atom_data(stream, configuration)
    if configuration.energy is not None:
        stream.write(f" Energy\n    {_text(configuration.energy)}\n")
    if configuration.plus_stress is not None:
        names = "  ".join(VOIGT)
        stream.write(f" PlusStress:  {names}\n    {_row(configuration.plus_stress)}\n")
    for name, text in configuration.features.items():
        stream.writelines(f" Feature   {name}\t{line}\n" for line in text.split("\n"))
    stream.write("END_CFG\n\n")


def _write_atom_data(stream: TextIO, configuration: Configuration) -> None:
    names, columns = [*CARTESIAN], [*configuration.positions.T]
    if configuration.forces is not None:
        names += FORCES
        columns += [*configuration.forces.T]
    extra: dict[str, Column] = dict(configuration.columns)
    if configuration.grades is not None:
        extra[GRADES] = configuration.grades
    stream.write(f" AtomData:  id type  {'  '.join([*names, *extra])}\n")
    rows = zip(configuration.types, *columns, *extra.values(), strict=True)
    stream.writelines(
        f"    {number} {kind}  {_row(values)}\n"
        for number, (kind, *values) in enumerate(rows, start=1)
    )


def _row(values: Iterable[Any]) -> str:
    return "  ".join(map(_text, values))


def _text(value: Any) -> str:
    """Shortest text that reads back as the same number; never with an exponent.

    Not every reader of these files takes exponents in the atom data.
    """
    if isinstance(value, (bool, np.bool_)):
        return str(value).lower()
    text = repr(float(value))
    return np.format_float_positional(value, trim="0") if "e" in text else text
