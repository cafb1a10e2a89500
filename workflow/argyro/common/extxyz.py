"""Structures in extended XYZ files, to the last bit.

ASE reads every digit but writes eight decimals only, too few for files that are named by a hash of their content.
"""

import lzma
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io.extxyz import key_val_dict_to_str, read_xyz

from .errors import FileError
from .files import replacing

COMPRESSED = ".xz"
KIND_LETTERS = {"f": "R", "i": "I", "u": "I", "b": "L", "U": "S"}  # NumPy's kinds of arrays and extended XYZ's


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
        structures = list(read_xyz(StringIO(text), index=slice(None)))
    except Exception as error:  # noqa: BLE001  ASE's reader raises anything
        raise FileError(f"{path} is not an extended XYZ file: {error}") from None
    if not structures:
        raise FileError(f"{path} holds no structure")
    return structures


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
    header = key_val_dict_to_str(
        {"Lattice": atoms.cell.array.T, "Properties": properties, "pbc": atoms.pbc} | atoms.info
    )
    columns = [column for values in arrays.values() for column in _columns(values)]
    lines = [" ".join(words) for words in zip(*columns, strict=True)]
    return "\n".join([str(len(atoms)), header, *lines, ""])


def _columns(values: Any) -> list[list[str]]:
    """The columns of a property as words."""
    table = values.reshape(len(values), -1)
    if table.dtype.kind == "b":
        table = np.where(table, "T", "F")
    return [[str(value) for value in column.tolist()] for column in table.T]
