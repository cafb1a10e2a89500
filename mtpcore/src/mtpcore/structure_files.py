"""Structures of any file the command line takes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .cfg import read_cfg, write_cfg
from .configuration import Configuration
from .errors import MtpcoreError


class StructureFileError(MtpcoreError, ValueError):
    """A file of structures cannot be used."""


def read_configurations(path: Path, species: Sequence[str] | None) -> list[Configuration]:
    """Configurations of a ``.cfg`` file, or of any file ASE reads.

    Args:
        path: The file.
        species: Elements in the order of the potential's species; needed unless the file is ``.cfg``.

    Raises:
        StructureFileError: no such file, not readable, or species missing.
        CfgFormatError: a damaged ``.cfg`` file.
        UnknownSpeciesError: an element is not in the list.
    """
    if not path.exists():
        raise StructureFileError(f"{path} does not exist")
    if path.suffix == ".cfg":
        return read_cfg(path)
    if species is None:
        raise StructureFileError(f"{path} needs --species: the elements in the order of the potential's species")
    try:
        from ase.io import read  # noqa: PLC0415  optional dependency

        images = read(path, ":")
    except ImportError:
        raise StructureFileError(f"reading {path} needs ASE: pip install ase") from None
    except Exception as error:  # noqa: BLE001  ASE's readers raise anything
        raise StructureFileError(f"{path} is not a file of structures ASE can read: {error}") from None
    return [Configuration.from_atoms(atoms, species) for atoms in images]


def write_configurations(
    path: Path, configurations: Sequence[Configuration], species: Sequence[str] | None = None
) -> None:
    """Write a ``.cfg`` or extended XYZ file (``.extxyz``, ``.xyz``), replaced in one step.

    Labels in extended XYZ are ``REF_energy``, ``REF_forces`` and ``REF_stress`` (eV/angstrom^3, tensile positive); ASE
    writes numbers of atoms with eight decimals there, while ``.cfg`` files keep every bit.

    Args:
        path: The file; its suffix says which.
        configurations: What to write.
        species: Elements in the order of the potential's species; needed unless the file is ``.cfg``.

    Raises:
        StructureFileError: another suffix, or ASE or species missing.
        UnknownSpeciesError: a type has no element.
    """
    if path.suffix == ".cfg":
        write_cfg(path, configurations)
        return
    if path.suffix not in {".extxyz", ".xyz"}:
        raise StructureFileError(f"{path}: files of structures to write end in .cfg, .extxyz or .xyz")
    if species is None:
        raise StructureFileError(f"{path} needs --species: the elements in the order of the potential's species")
    try:
        from ase.io import write  # noqa: PLC0415  optional dependency
    except ImportError:
        raise StructureFileError(f"writing {path} needs ASE: pip install ase") from None
    frames = [_labelled_atoms(configuration, species) for configuration in configurations]
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary, frames, format="extxyz")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _labelled_atoms(configuration: Configuration, species: Sequence[str]) -> Any:
    """ASE's atoms with the labels under the names that no calculator overwrites."""
    atoms: Any = configuration.to_atoms(species)
    results, atoms.calc = atoms.calc.results, None
    for name in ("energy", "stress"):
        if results.get(name) is not None:
            atoms.info[f"REF_{name}"] = results[name]
    if results.get("forces") is not None:
        atoms.set_array("REF_forces", results["forces"])
    return atoms
