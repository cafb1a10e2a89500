"""PBE by Quantum ESPRESSO (pw.x) with the user's pseudopotentials."""

import re
import subprocess
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io.espresso import read_espresso_out, write_espresso_in
from ase.units import Rydberg

from argyro.common.errors import LabelError
from argyro.common.files import sha256_of_file
from argyro.config.labels import LabelsConfig, ProtocolName

from .base import Calculation, NotConvergedError
from .external import require_program, run_program, scratch_folder
from .plane_waves import PlaneWaves

# The density's cutoff is four times the given one; tolerances are in Ry
PROTOCOLS: dict[ProtocolName, PlaneWaves] = {
    "fast": PlaneWaves(40 * Rydberg, (1, 1, 1), 0.05, 1e-8),
    "moderate": PlaneWaves(60 * Rydberg, (1, 1, 1), 0.05, 1e-9),
    "paper": PlaneWaves(80 * Rydberg, (2, 2, 2), 0.05, 1e-10),
}
LADDER: tuple[dict[str, Any], ...] = (
    {"electron_maxstep": 100, "mixing_beta": 0.4},
    {"electron_maxstep": 200, "mixing_beta": 0.2, "mixing_mode": "local-TF"},
    {"electron_maxstep": 400, "mixing_beta": 0.1, "mixing_ndim": 12, "diagonalization": "cg"},
)
UNCONVERGED = "convergence NOT achieved"


class EspressoBackend:
    """See `Backend`."""

    rungs = len(LADDER)

    def __init__(self, config: LabelsConfig) -> None:
        own = config.espresso
        require_program(own.command, "labels.espresso.command")
        assert own.pseudopotentials is not None  # noqa: S101  for the type checker: the configuration has seen to it
        self._command, self._folder = own.command, own.pseudopotentials
        self._files = find_pseudopotentials(self._folder)
        waves = self._waves = PlaneWaves.chosen(config, own, PROTOCOLS)
        self.settings = waves.settings("espresso")
        self.level_of_theory = level_of_theory(config)
        self.pseudopotentials = {element: sha256_of_file(file) for element, file in self._files.items()}
        self.code_version = f"pw.x {_version(own.command)}"

    def calculate(self, atoms: Atoms, rung: int) -> Calculation:
        """See `Backend`."""
        if lacking := sorted(set(atoms.get_chemical_symbols()) - set(self._files)):
            raise LabelError(f"{self._folder} has no pseudopotential of {', '.join(lacking)}")
        with scratch_folder() as folder:
            with (folder / "label.in").open("w") as file:
                self.write_input(file, atoms, rung)
            output = run_program([*self._command, "-in", "label.in"], folder, unconverged=UNCONVERGED)
        return parse_output(output)

    def write_input(self, file: Any, atoms: Atoms, rung: int) -> None:
        """Write pw.x's input of one single point."""
        data = {
            "control": {"calculation": "scf", "tprnfor": True, "tstress": True, "pseudo_dir": str(self._folder)},
            "system": {
                "ecutwfc": self._waves.cutoff_eV / Rydberg,
                "input_dft": "PBE",
                "occupations": "smearing",
                "smearing": "fermi-dirac",
                "degauss": self._waves.smearing_eV / Rydberg,
                "nosym": True,
            },
            "electrons": {"conv_thr": self._waves.energy_tolerance, **LADDER[rung]},
        }
        mesh = self._waves.kpoints
        names = {element: path.name for element, path in self._files.items()}
        plain = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
        write_espresso_in(
            file,
            plain,
            input_data=data,
            pseudopotentials=names,
            kpts=None if mesh == (1, 1, 1) else mesh,
            koffset=(0, 0, 0),
        )


def _version(command: Sequence[str]) -> str:
    """Version that pw.x prints before it misses its input."""
    with scratch_folder() as folder:  # it leaves files behind
        done = subprocess.run(  # noqa: S603  the user's own command
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    found = re.search(r"Program PWSCF v\.(\S+)", done.stdout)
    return found.group(1) if found else "of unknown version"


def find_pseudopotentials(folder: Path) -> dict[str, Path]:
    """The file of each element: its name begins with the element and a dot, dash or underscore.

    Raises:
        LabelError: no such files, or two of one element.
    """
    found: dict[str, Path] = {}
    for file in sorted(folder.glob("*")):
        if match := re.match(r"([A-Z][a-z]?)[._-]", file.name):
            if match.group(1) in found:
                raise LabelError(
                    f"{folder} has two files of {match.group(1)}: {found[match.group(1)].name}, {file.name}"
                )
            found[match.group(1)] = file
    if not found:
        raise LabelError(f"{folder} has no pseudopotentials; their names begin with the element, such as Li.upf")
    return found


def parse_output(text: str) -> Calculation:
    """Read the output; only a printed proof of convergence counts.

    Raises:
        NotConvergedError: no proof of self-consistency.
        LabelError: the output cannot be read.
    """
    steps = re.search(r"convergence has been achieved in\s+(\d+) iterations", text)
    if steps is None:
        raise NotConvergedError("pw.x's output has no proof of self-consistency")
    try:
        atoms = next(iter(read_espresso_out(StringIO(text), index=slice(-1, None))))
        energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    except Exception as error:
        raise LabelError(f"the output of pw.x cannot be read: {error}") from error
    # With smearing "!    total energy" is the free energy, and -TS stands beside it
    entropy = re.search(r"smearing contrib\. \(-TS\)\s*=\s*(-?\d+\.\d+) Ry", text)
    half = float(entropy.group(1)) * Rydberg / 2 if entropy else 0.0
    return Calculation(float(energy), np.asarray(forces), np.asarray(stress), float(energy) - half, int(steps.group(1)))


def level_of_theory(config: LabelsConfig) -> str:
    """What labels must share to be fitted together."""
    waves = PlaneWaves.chosen(config, config.espresso, PROTOCOLS)
    return f"PBE/QE/PW{waves.cutoff_eV:.0f}/{waves.mesh}/FD{waves.smearing_eV:g}"


def open_backend(config: LabelsConfig) -> EspressoBackend:
    """The backend, ready to label."""
    return EspressoBackend(config)
