"""Structures kept for their grade, as LAMMPS's plug-in writes them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase import Atoms

from mtpcore.cfg import format_cfg
from mtpcore.configuration import Configuration

from .dump import DumpFrame


def kinds_of(atoms: Atoms, species: Sequence[str]) -> npt.NDArray[np.int32]:
    """Index of each atom's element among the species, shape (N,)."""
    kinds = {element: kind for kind, element in enumerate(species)}
    return np.array([kinds[symbol] for symbol in atoms.get_chemical_symbols()], np.int32)


def append_snapshot(path: Path, kinds: npt.NDArray[np.int32], frame: DumpFrame) -> None:
    """Append a structure to a .cfg file.

    Args:
        path: The file, which may not be there yet.
        kinds: Species of the N atoms.
        frame: Its columns are x, y and z, angstrom, and the grades of the neighbourhoods.
    """
    positions, grades = frame.columns[:, :3], frame.columns[:, 3]
    features = {"MV_grade": f"{np.max(grades):.17g}", "timestep": str(frame.step)}
    kept = Configuration(kinds, positions, frame.cell, grades=grades, features=features)
    with path.open("a", encoding="utf-8") as file:
        file.write(format_cfg([kept]))
