"""Labels by a foundation model of SevenNet: a fraction of a second each."""

import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from argyro.common.errors import MissingDependencyError
from argyro.common.files import sha256_of_file
from argyro.config.labels import LabelsConfig

from .base import Calculation


class SevennetBackend:
    """See `Backend`."""

    rungs = 1

    def __init__(self, config: LabelsConfig) -> None:
        try:
            self.code_version = f"sevenn {version('sevenn')}, torch {version('torch')}"
            import torch  # noqa: PLC0415  optional
            from sevenn.calculator import SevenNetCalculator  # noqa: PLC0415  optional
            from sevenn.util import pretrained_name_to_path  # noqa: PLC0415  optional
        except (PackageNotFoundError, ImportError) as error:
            raise MissingDependencyError(
                f"labels.backend sevennet needs {error.name}, which is not installed; run: scripts/run --with teacher"
            ) from None
        own = config.sevennet
        torch.set_num_threads(1)  # one label per core
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "No tensor product accelerator")  # of GPUs; it says so on CPUs too
            self._calculator = SevenNetCalculator(own.model, device=own.device)
        self.pseudopotentials = {"*": sha256_of_file(Path(pretrained_name_to_path(own.model)))}
        self.level_of_theory = f"SevenNet/{own.model}"
        self.settings: dict[str, Any] = {"backend": "sevennet", "model": own.model}

    def calculate(self, atoms: Atoms, rung: int) -> Calculation:  # noqa: ARG002  one rung only
        """See `Backend`."""
        atoms = atoms.copy()
        atoms.calc = self._calculator
        forces, stress = (np.asarray(value, dtype=float) for value in (atoms.get_forces(), atoms.get_stress()))
        return Calculation(float(atoms.get_potential_energy()), forces, stress)


def open_backend(config: LabelsConfig) -> SevennetBackend:
    """The backend, ready to label."""
    return SevennetBackend(config)
