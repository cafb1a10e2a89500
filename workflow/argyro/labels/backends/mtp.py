"""A given moment tensor potential as the teacher: milliseconds per label, and the truth is known."""

import warnings
from importlib.metadata import version
from typing import Any

from ase import Atoms

from argyro.common.errors import LabelError
from argyro.common.files import sha256_of_file
from argyro.config.composition import parse_formula
from argyro.config.labels import LabelsConfig
from mtpcore.ase import MTP
from mtpcore.errors import CloseContactWarning, MtpcoreError

from .base import Calculation


class MtpBackend:
    """See `Backend`."""

    rungs = 1

    def __init__(self, config: LabelsConfig) -> None:
        if len(config.mtp.potentials) != 1:
            raise LabelError(f"one chemical system is labelled at a time, not {', '.join(config.mtp.potentials)}")
        ((system, path),) = config.mtp.potentials.items()
        species, digest = list(parse_formula(system)), sha256_of_file(path)
        self._calculator = MTP(path, species=species)
        self.level_of_theory = f"mtp:{digest[:12]}"
        self.settings: dict[str, Any] = {"backend": "mtp", "species": species}
        self.pseudopotentials = {"*": digest}
        self.code_version = f"mtpcore {version('mtpcore')}"

    def calculate(self, atoms: Atoms, rung: int) -> Calculation:  # noqa: ARG002  one rung only
        """See `Backend`."""
        atoms = atoms.copy()
        atoms.calc = self._calculator
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", CloseContactWarning)  # there the potential knows nothing
                return Calculation(atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress())
        except (MtpcoreError, CloseContactWarning) as error:
            raise LabelError(f"the potential cannot label this: {error}") from None


def open_backend(config: LabelsConfig) -> MtpBackend:
    """The backend, ready to label."""
    return MtpBackend(config)
