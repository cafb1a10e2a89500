"""The store of finished calculations: one file each, named by a hash of all that decides the result.

Only converged calculations are stored, whether or not they pass the gates, so a change of the gates costs nothing. What
failed is not: a new try may succeed on another machine or with more memory. What a hash of settings stands for is
written beside the labels, under ``settings/``.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from argyro.common.errors import FileError
from argyro.common.extxyz import read_structure, write_structures
from argyro.common.files import sha256_of_json, write_json

from .backends.base import Backend, Calculation

logger = logging.getLogger(__name__)
OPTIONAL = {"REF_energy_zero_smearing": "energy_zero_smearing", "scf_steps": "scf_steps", "gap_eV": "gap"}


def structure_hash(atoms: Atoms) -> str:
    """SHA-256 of elements, positions, cell and periodicity, to the last bit."""
    return sha256_of_json(
        {
            "numbers": atoms.numbers.tolist(),
            "positions": [[value.hex() for value in row] for row in atoms.positions.tolist()],
            "cell": [[value.hex() for value in row] for row in atoms.cell.array.tolist()],
            "pbc": atoms.pbc.tolist(),
        }
    )


def settings_of(atoms: Atoms, backend: Backend) -> dict[str, Any]:
    """Settings, code version and the hashes of the pseudopotentials of these elements."""
    relevant = {"*", *atoms.get_chemical_symbols()}
    return {
        "settings": dict(backend.settings),
        "code_version": backend.code_version,
        "pseudopotentials": {k: v for k, v in backend.pseudopotentials.items() if k in relevant},
    }


def label_hash(atoms: Atoms, backend: Backend) -> str:
    """SHA-256 that names the label of a structure by a backend."""
    return sha256_of_json([structure_hash(atoms), sha256_of_json(settings_of(atoms, backend))])


def provenance(atoms: Atoms, backend: Backend) -> dict[str, str]:
    """What a label says of its origin."""
    settings = settings_of(atoms, backend)
    return {
        "level_of_theory": backend.level_of_theory,
        "settings_sha256": sha256_of_json(settings),
        "pseudo_sha256": sha256_of_json(settings["pseudopotentials"]),
        "code_version": backend.code_version,
    }


@dataclass(frozen=True, eq=False)
class Finished:
    """A converged calculation as it is stored.

    Attributes:
        calculation: Its results.
        rung: Of the ladder, where it converged.
        seconds: Time it took, with the rungs before.
    """

    calculation: Calculation
    rung: int
    seconds: float


class Store:
    """Finished calculations in one folder.

    Args:
        folder: Made when the first one is saved; may be shared by campaigns that run at the same time.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """File of a calculation."""
        return self.folder / f"{name}.extxyz"

    def load(self, name: str, atoms: Atoms) -> Finished | None:
        """A finished calculation of a structure; None if there is none, or its file is damaged, which is logged.

        Args:
            name: Its `label_hash`.
            atoms: The structure; a file that holds another is damaged.
        """
        path = self.path(name)
        if not path.exists():
            return None
        try:
            return _finished_of(read_structure(path), atoms)
        except (FileError, KeyError, ValueError) as error:
            logger.warning("the damaged label %s is computed again: %s", path, error)
            return None

    def save(self, name: str, atoms: Atoms, finished: Finished, backend: Backend) -> None:
        """Store a calculation in one step."""
        origin = provenance(atoms, backend)
        settings = self.folder / "settings" / f"{origin['settings_sha256']}.json"
        if not settings.exists():
            write_json(settings, settings_of(atoms, backend))
        content = labelled(atoms, finished.calculation, origin)
        content.info.update(rung=finished.rung, time_s=finished.seconds)
        write_structures(self.path(name), [content])


def labelled(atoms: Atoms, calculation: Calculation, origin: Mapping[str, str]) -> Atoms:
    """A copy of a structure that carries its labels and where they come from."""
    copy = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    copy.info.update(atoms.info)
    copy.info.update(REF_energy=calculation.energy, REF_stress=calculation.stress, **origin)
    for key, name in OPTIONAL.items():
        if (value := getattr(calculation, name)) is not None:
            copy.info[key] = value
    copy.set_array("REF_forces", calculation.forces)
    return copy


def _finished_of(atoms: Atoms, expected: Atoms) -> Finished:
    """The labels a structure carries.

    Raises:
        KeyError: something is missing.
        ValueError: another structure than expected, a wrong shape, or a number that is not finite.
    """
    if structure_hash(atoms) != structure_hash(expected):
        raise ValueError("it holds another structure than its name says")
    energy, forces = float(atoms.info["REF_energy"]), np.asarray(atoms.arrays["REF_forces"], dtype=float)
    stress = np.asarray(atoms.info["REF_stress"], dtype=float)
    if forces.shape != (len(atoms), 3) or stress.shape != (6,):
        raise ValueError(f"labels of the wrong shape: forces {forces.shape}, stress {stress.shape}")
    if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(stress).all()):
        raise ValueError("labels that are not finite")
    optional = {name: atoms.info[key].item() for key, name in OPTIONAL.items() if key in atoms.info}
    calculation = Calculation(energy, forces, stress, **optional)
    return Finished(calculation, int(atoms.info["rung"]), float(atoms.info["time_s"]))
