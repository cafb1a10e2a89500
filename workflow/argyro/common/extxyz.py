"""Structures in extended XYZ files, to the last bit.

ASE reads every digit but writes eight decimals only, too few for files that are named by a hash of their content.
Importing ASE's reader takes longer than many a job, so files as they are written here are also read here, with the same
result; ASE reads all others, and words what it knows better.
"""

import json
import lzma
import re
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_properties

from .errors import FileError
from .files import replacing

COMPRESSED = ".xz"
KIND_LETTERS = {"f": "R", "i": "I", "u": "I", "b": "L", "U": "S"}  # NumPy's kinds of arrays and extended XYZ's
CELL_SIZE = 9
FIRST_COLUMNS = ("species", "S", "1", "pos", "R", "3")
LEFT_TO_ASE = {
    *all_properties,
    "Z",
    "charge",
    "charges",
    "initial_charges",
    "move_mask",
    "numbers",
    "positions",
    "symbols",
}
ENTRY = re.compile(r'([A-Za-z_]\w*)=(?:"([^"\\]+)"|([^\s"\'\\{}\[\]=]+))(?:\s+|$)', re.ASCII)
TRUTH = {"T": True, "F": False}
HEADER_TRUTH = TRUTH | {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
JSON = "_JSON "


def read_structures(path: Path) -> list[Atoms]:
    """All structures of an extended XYZ file, compressed if its name ends in ``.xz``.

    Raises:
        FileError: missing, empty or damaged.
    """
    try:
        text = (lzma.decompress(path.read_bytes()) if path.suffix == COMPRESSED else path.read_bytes()).decode("utf-8")
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from None
    except (lzma.LZMAError, EOFError):
        raise FileError(f"{path} is damaged: it cannot be decompressed") from None
    except UnicodeDecodeError:
        raise FileError(f"{path} is not a text file") from None
    try:
        structures = list(_own_frames(text))
    except (ValueError, LookupError, OverflowError):
        structures = _read_by_ase(text, path)
    if not structures:
        raise FileError(f"{path} holds no structure")
    return structures


def _read_by_ase(text: str, path: Path) -> list[Atoms]:
    from ase.io.extxyz import read_xyz  # noqa: PLC0415  half a second

    try:
        return list(read_xyz(StringIO(text), index=slice(None)))
    except Exception as error:  # noqa: BLE001  ASE's reader raises anything
        raise FileError(f"{path} is not an extended XYZ file: {error}") from None


class _NotOwnError(ValueError):
    """A file holds what `format_structure` does not write."""


def _own_frames(text: str) -> Iterator[Atoms]:
    """Structures of a text that `format_structure` wrote.

    Raises:
        ValueError, LookupError, OverflowError: it did not, or the text is damaged.
    """
    lines, at = text.removesuffix("\n").split("\n"), 0
    while at < len(lines):
        count = int(lines[at])
        rows = lines[at + 2 : at + 2 + count]
        if len(rows) < count:
            raise _NotOwnError
        yield _own_frame(lines[at + 1], rows)
        at += 2 + count


def _own_frame(header: str, rows: list[str]) -> Atoms:
    info = _own_header(header)
    lattice, columns, pbc = (info.pop(name, None) for name in ("Lattice", "Properties", "pbc"))
    if not (rows and isinstance(columns, str) and isinstance(lattice, np.ndarray) and lattice.size == CELL_SIZE):
        raise _NotOwnError
    arrays = _own_arrays(columns.split(":"), [row.split() for row in rows])
    symbols, positions = arrays.pop("species"), arrays.pop("pos")
    atoms = Atoms(list(symbols), positions, cell=lattice.reshape(3, 3), pbc=pbc, info=info)
    for name, values in arrays.items():
        atoms.set_array(name, values)
    return atoms


def _own_header(header: str) -> dict[str, Any]:
    """Entries of the second line."""
    info, at = {}, 0
    while at < len(header):
        entry = ENTRY.match(header, at)
        if entry is None or entry[1] in LEFT_TO_ASE:
            raise _NotOwnError
        info[entry[1]] = _value(entry[2] or entry[3])
        at = entry.end()
    return info


def _value(text: str) -> Any:
    """An entry as ASE understands it: numbers if they can be, then truth values, then JSON, then text."""
    words = re.findall(r"[^\s,]+", text)
    for kind in (int, float):
        try:
            numbers = np.array(words, dtype=kind)
        except (ValueError, OverflowError):
            continue
        return numbers[0] if len(numbers) == 1 else numbers
    if all(word in HEADER_TRUTH for word in words):
        truth = [HEADER_TRUTH[word] for word in words]
        return truth[0] if len(truth) == 1 else truth
    if not text.startswith(JSON):
        return text
    content = json.loads(text.removeprefix(JSON))
    values = np.array(content)
    return values if values.dtype.kind in "ifb" else content


def _own_arrays(columns: list[str], words: list[list[str]]) -> dict[str, np.ndarray]:
    """Arrays of atoms by name."""
    names, letters, widths = columns[::3], columns[1::3], list(map(int, columns[2::3]))
    if tuple(columns[:6]) != FIRST_COLUMNS or "S" in letters[1:] or LEFT_TO_ASE & set(names):
        raise _NotOwnError
    by_column = list(zip(*words, strict=True))
    if len(by_column) != sum(widths):
        raise _NotOwnError
    arrays, at = {}, 0
    for name, letter, width in zip(names, letters, widths, strict=True):
        values = np.array([_column(letter, column) for column in by_column[at : at + width]]).T
        arrays[name] = values[:, 0] if width == 1 else values
        at += width
    return arrays


def _column(letter: str, words: tuple[str, ...]) -> np.ndarray:
    if letter == "L":
        if not TRUTH.keys() >= set(words):
            raise _NotOwnError
        return np.array([TRUTH[word] for word in words])
    return np.array(words, dtype={"S": str, "R": float, "I": np.int32}[letter])


def read_structure(path: Path) -> Atoms:
    """The only structure of an extended XYZ file.

    Raises:
        FileError: as `read_structures`, or there are several.
    """
    structures = read_structures(path)
    if len(structures) > 1:
        raise FileError(f"{path} holds {len(structures)} structures where one is expected")
    return structures[0]


def write_structures(path: Path, structures: Iterable[Atoms]) -> None:
    """Write structures with their ``info`` and arrays, exactly, in one step; compressed if the name ends in ``.xz``.

    Calculators are not written: labels go into ``info`` and arrays under the names REF_energy, REF_forces, REF_stress.
    """
    opened = lzma.open if path.suffix == COMPRESSED else open
    with replacing(path) as temporary, opened(temporary, "wt", encoding="utf-8") as file:
        for atoms in structures:
            file.write(format_structure(atoms))


def format_structure(atoms: Atoms) -> str:
    """One structure as extended XYZ, every number with as many digits as it takes to read it back exactly."""
    arrays: dict[str, Any] = {"species": np.array(atoms.get_chemical_symbols()), "pos": atoms.get_positions()}
    arrays |= {name: values for name, values in atoms.arrays.items() if name not in {"numbers", "positions"}}
    properties = ":".join(f"{name}:{KIND_LETTERS[v.dtype.kind]}:{v[:1].size}" for name, v in arrays.items())
    header = _header({"Lattice": atoms.cell.array.ravel(), "Properties": properties, "pbc": atoms.pbc} | atoms.info)
    columns = [column for values in arrays.values() for column in _columns(values)]
    lines = [" ".join(words) for words in zip(*columns, strict=True)]
    return "\n".join([str(len(atoms)), header, *lines, ""])


def _header(entries: Mapping[str, Any]) -> str:
    """The second line, as ASE would write it."""
    try:
        return " ".join(f"{key}={_quoted(_text(value))}" for key, value in entries.items())
    except TypeError:  # an object that only ASE knows
        from ase.io.extxyz import key_val_dict_to_str  # noqa: PLC0415  half a second

        return str(key_val_dict_to_str({**entries, "Lattice": entries["Lattice"].reshape(3, 3).T}))


def _text(value: Any) -> str:
    """A value of a header.

    Raises:
        TypeError: JSON does not know it.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "T" if value else "F"
    if isinstance(value, Real):
        return f"{value}"
    if isinstance(value, np.ndarray):
        if value.ndim < 2 and value.dtype.kind in "ifb":  # noqa: PLR2004
            return " ".join(map(_text, value.ravel()))
        value = value.tolist()
    if value is None:
        raise TypeError
    return JSON + json.dumps(value)


def _quoted(text: str) -> str:
    if any(mark in text for mark in " \"'{}[]"):
        return '"' + text.replace('"', '\\"') + '"'
    return text


def _columns(values: Any) -> list[list[str]]:
    """The columns of a property as words."""
    table = values.reshape(len(values), -1)
    if table.dtype.kind == "b":
        table = np.where(table, "T", "F")
    return [[str(value) for value in column.tolist()] for column in table.T]
