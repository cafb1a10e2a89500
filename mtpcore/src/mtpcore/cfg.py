"""Configuration files of MLIP (``.cfg``): structures with energies, forces, stresses and grades.

A file is a list of blocks, each between BEGIN_CFG and END_CFG, with the sections Size, Supercell
(absent: open boundaries), AtomData, Energy, PlusStress and any number of Feature lines.

PlusStress is minus the strain derivative of the energy in eV, so ASE's stress (tensile positive,
eV/angstrom^3) is ``-plus_stress / volume``. Sections ``Stress:`` and ``Virial:`` of old files are
refused: MLIP gives them other signs and units, so guessing could flip the sign of the labels.
"""

import io
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from .configuration import (
    CARTESIAN,
    DIRECT,
    FORCES,
    GRADES,
    RESERVED_COLUMNS,
    VOIGT,
    Column,
    Configuration,
)
from .errors import CfgFormatError, InvalidStructureError

__all__ = ["Configuration", "format_cfg", "iter_cfg", "parse_cfg", "read_cfg", "write_cfg"]

# ASCII digits only: Python's own conversions also take "1_000", other alphabets, "nan" and "inf".
_INTEGER = re.compile(rb"[0-9]{1,9}")
_REAL = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_FLAGS = {b"true": True, b"false": False}


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
        yield from _configurations(_Lines(Path(path), stream))


def parse_cfg(text: str, name: str = "text") -> list[Configuration]:
    """All configurations of a text such as an active set's.

    Args:
        text: The text; bytes that are no UTF-8 as lone surrogates.
        name: What to call the text in errors.

    Raises:
        CfgFormatError: as :func:`read_cfg`.
    """
    stream = io.BytesIO(text.encode("utf-8", "surrogateescape"))
    return list(_configurations(_Lines(Path(name), stream)))


def format_cfg(configurations: Iterable[Configuration]) -> str:
    """The text :func:`write_cfg` writes."""
    stream = io.StringIO()
    for configuration in configurations:
        _write_configuration(stream, configuration)
    return stream.getvalue()


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
    stream: Iterator[bytes]
    number: int = 0
    line: bytes = b""

    def advance(self) -> bool:
        """Step to the next line, False at the end of the file."""
        self.number += 1
        self.line = next(self.stream, b"")
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


def _configurations(lines: _Lines) -> Iterator[Configuration]:
    while lines.advance():
        if lines.line.split() == [b"BEGIN_CFG"]:
            yield _read_configuration(lines)
        elif lines.line.strip():
            raise lines.error("BEGIN_CFG")


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
                self.cell = [[lines.real(word) for word in lines.words("three lattice vectors", 3)] for _ in range(3)]
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
    (word,) = lines.words(expected, 1)
    size = lines.integer(word, expected)
    if size == 0:
        raise lines.error(f"{expected}, at least one")
    return size


def _read_atom_data(lines: _Lines, size: int | None) -> dict[str, list[Any]]:
    """The columns of the atom data by name."""
    if size is None:
        raise lines.error("Size before the atom data")
    names = [lines.text(word) for word in lines.line.split()[1:]]
    _check_names(lines, names)
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


def _check_names(lines: _Lines, names: list[str]) -> None:
    if len(set(names)) < len(names) or "type" not in names:
        raise lines.error("names of columns, type among them, each once")
    for triple in (CARTESIAN, DIRECT, FORCES):
        if len({*triple} & {*names}) not in {0, len(triple)}:
            raise lines.error(f"all or none of the columns {' '.join(triple)}")
    if (CARTESIAN[0] in names) == (DIRECT[0] in names):
        raise lines.error(f"columns either {' '.join(CARTESIAN)} or {' '.join(DIRECT)}")


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
    positions, direct = _take(columns, CARTESIAN), _take(columns, DIRECT)
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
            forces=_take(columns, FORCES),
            plus_stress=None if sections.plus_stress is None else np.array(sections.plus_stress),
            grades=columns.pop(GRADES, None),
            columns=columns,
            features=sections.features,
        )
    except InvalidStructureError as error:
        raise lines.error("a consistent configuration", str(error)) from error


def _take(columns: dict[str, Any], names: tuple[str, ...]) -> Any:
    """Remove the columns that form one array; None if they are not there."""
    present = [columns.pop(name) for name in names if name in columns]
    return np.column_stack(present) if present else None


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
    stream.writelines(f"    {number} {kind}  {_row(values)}\n" for number, (kind, *values) in enumerate(rows, start=1))


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
