"""PBE by GPAW in plane waves, serial: one label per core."""

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from argyro.common.errors import LabelError, MissingDependencyError
from argyro.common.files import sha256_of_file
from argyro.config.labels import LabelsConfig, ProtocolName

from .base import Calculation, NotConvergedError
from .plane_waves import PlaneWaves

# Tolerances are in eV per valence electron
PROTOCOLS: dict[ProtocolName, PlaneWaves] = {
    "fast": PlaneWaves(300.0, (1, 1, 1), 0.05, 1e-4),
    "moderate": PlaneWaves(350.0, (1, 1, 1), 0.05, 1e-5),
    "paper": PlaneWaves(500.0, (2, 2, 2), 0.05, 1e-6),
}
LADDER: tuple[dict[str, Any], ...] = (
    {"maxiter": 100},
    {"maxiter": 250, "mixer": {"backend": "pulay", "beta": 0.02, "nmaxold": 5, "weight": 100.0}},
    {"maxiter": 400, "mixer": {"backend": "pulay", "beta": 0.01, "nmaxold": 8, "weight": 100.0}, "eigensolver": "cg"},
)


class GpawBackend:
    """See `Backend`."""

    rungs = len(LADDER)

    def __init__(self, config: LabelsConfig) -> None:
        try:
            self.code_version = f"gpaw {version('gpaw')}, gpaw-data {version('gpaw-data')}"
        except PackageNotFoundError as error:
            raise MissingDependencyError(
                f"labels.backend gpaw needs {error.name}, which is not installed; run: scripts/run --with dft"
            ) from None
        waves = self._waves = PlaneWaves.chosen(config, config.gpaw, PROTOCOLS)
        self.settings = waves.settings("gpaw")
        self.level_of_theory = level_of_theory(config)
        self.pseudopotentials = _dataset_hashes(use_datasets())

    def calculate(self, atoms: Atoms, rung: int) -> Calculation:
        """See `Backend`."""
        from gpaw import GPAW, PW, FermiDirac, KohnShamConvergenceError  # noqa: PLC0415  optional

        calculator = GPAW(
            mode=PW(self._waves.cutoff_eV),
            xc="PBE",
            kpts={"size": self._waves.kpoints, "gamma": True},
            occupations=FermiDirac(self._waves.smearing_eV),
            convergence={"energy": self._waves.energy_tolerance},
            symmetry={"point_group": False},
            txt=None,
            **LADDER[rung],
        )
        atoms = atoms.copy()
        atoms.calc = calculator
        try:
            free_energy = atoms.get_potential_energy(force_consistent=True)
            forces, stress = atoms.get_forces(), atoms.get_stress()
        except KohnShamConvergenceError as error:
            raise NotConvergedError(str(error) or "self-consistency was not reached") from None
        except Exception as error:
            raise LabelError(f"GPAW failed: {error}") from error
        top, bottom = calculator.get_homo_lumo()
        return Calculation(
            float(free_energy),
            np.asarray(forces),
            np.asarray(stress),
            float(atoms.get_potential_energy()),
            int(calculator.get_number_of_iterations()),
            float(bottom - top),
        )


def use_datasets() -> list[Path]:
    """Tell GPAW where its PAW datasets are, whatever ``~/.gpaw/rc.py`` says; a folder of GPAW_SETUP_PATH goes first."""
    import gpaw  # noqa: PLC0415  optional
    import gpaw_data  # noqa: PLC0415  optional

    folders = [Path(folder) for folder in os.environ.get("GPAW_SETUP_PATH", "").split(os.pathsep) if folder]
    folders.append(gpaw_data.datapath())
    gpaw.setup_paths[:] = folders
    return folders


def _dataset_hashes(folders: list[Path]) -> dict[str, str]:
    """Hashes of the PAW datasets for PBE, by element; the first folder that has one counts."""
    files = {
        file.name.split(".")[0]: file
        for folder in reversed(folders)
        for file in folder.glob("*.PBE*")
        if file.name.split(".")[1] == "PBE"
    }
    return {element: sha256_of_file(file) for element, file in sorted(files.items())}


def level_of_theory(config: LabelsConfig) -> str:
    """What labels must share to be fitted together."""
    waves = PlaneWaves.chosen(config, config.gpaw, PROTOCOLS)
    return f"PBE/GPAW/PW{waves.cutoff_eV:g}/{waves.mesh}/FD{waves.smearing_eV:g}"


def open_backend(config: LabelsConfig) -> GpawBackend:
    """The backend, ready to label."""
    return GpawBackend(config)
