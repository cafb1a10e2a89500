"""PBE by CP2K (GTH pseudopotentials, DZVP-MOLOPT-SR-GTH), at Gamma with orbital transformation: a gap is assumed."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Bohr, GPa, Hartree

from argyro.common.errors import LabelError, MissingDependencyError
from argyro.common.files import sha256_of_file, sha256_of_json
from argyro.config.labels import LabelsConfig, ProtocolName

from .base import Calculation, FloatArray, NotConvergedError
from .external import require_program, run_program, scratch_folder, to_voigt

CUTOFF_EV: dict[ProtocolName, float] = {"fast": 5500.0, "moderate": 8200.0, "paper": 10900.0}
RELATIVE_CUTOFF_EV = 820.0
SCF_TOLERANCE: dict[ProtocolName, float] = {"fast": 1e-6, "moderate": 1e-6, "paper": 1e-7}
UNCONVERGED = "SCF run NOT converged"
LADDER = (
    "MINIMIZER DIIS\n      PRECONDITIONER FULL_SINGLE_INVERSE",
    "MINIMIZER CG\n      PRECONDITIONER FULL_SINGLE_INVERSE",
    "MINIMIZER CG\n      PRECONDITIONER FULL_ALL\n      ENERGY_GAP 0.001",
)
VALENCE = {
    "Li": 3,
    "P": 5,
    "S": 6,
    "F": 7,
    "Cl": 7,
    "Br": 7,
    "I": 7,
    "O": 6,
    "Na": 9,
    "Si": 4,
    "Ge": 4,
    "Sn": 4,
    "Sb": 5,
}
TEMPLATE = """\
&GLOBAL
  PROJECT label
  RUN_TYPE ENERGY_FORCE
  PRINT_LEVEL MEDIUM
&END GLOBAL
&FORCE_EVAL
  METHOD QUICKSTEP
  STRESS_TENSOR ANALYTICAL
  &DFT
    BASIS_SET_FILE_NAME BASIS_MOLOPT
    POTENTIAL_FILE_NAME GTH_POTENTIALS
    CHARGE 0
    &MGRID
      CUTOFF [eV] {cutoff_eV}
      REL_CUTOFF [eV] {relative_cutoff_eV}
    &END MGRID
    &QS
      EPS_DEFAULT 1.0E-12
    &END QS
    &SCF
      SCF_GUESS ATOMIC
      EPS_SCF {scf_tolerance}
      MAX_SCF 300
      &OT
      {solver}
      &END OT
    &END SCF
    &XC
      &XC_FUNCTIONAL PBE
      &END XC_FUNCTIONAL
    &END XC
  &END DFT
  &PRINT
    &FORCES
    &END FORCES
    &STRESS_TENSOR
    &END STRESS_TENSOR
  &END PRINT
  &SUBSYS
    &CELL
{cell}
    &END CELL
    &COORD
{positions}
    &END COORD
{kinds}
  &END SUBSYS
&END FORCE_EVAL
"""
NUMBER = r"(-?\d+\.\d+(?:E[-+]\d+)?)"


class Cp2kBackend:
    """See `Backend`."""

    rungs = len(LADDER)

    def __init__(self, config: LabelsConfig) -> None:
        own = config.cp2k
        require_program(own.command, "labels.cp2k.command")
        self._command = own.command
        with scratch_folder() as folder:
            told = run_program([*own.command, "--version"], folder)
        version = re.search(r"CP2K version (\S+)", told)
        self.code_version = f"cp2k {version.group(1) if version else 'of unknown version'}"
        self.pseudopotentials = {"*": sha256_of_json([sha256_of_file(file) for file in data_files(told)])}
        self.settings: dict[str, Any] = {
            "backend": "cp2k",
            "xc": "PBE",
            "cutoff_eV": _cutoff(config),
            "relative_cutoff_eV": own.relative_cutoff_eV or RELATIVE_CUTOFF_EV,
            "scf_tolerance": own.scf_tolerance or SCF_TOLERANCE[config.protocol],
            "basis": "DZVP-MOLOPT-SR-GTH",
        }
        self.level_of_theory = level_of_theory(config)

    def calculate(self, atoms: Atoms, rung: int) -> Calculation:
        """See `Backend`."""
        with scratch_folder() as folder:
            (folder / "label.inp").write_text(input_text(atoms, self.settings, rung))
            output = run_program([*self._command, "-i", "label.inp"], folder, unconverged=UNCONVERGED)
        return parse_output(output, len(atoms))


def data_files(version_text: str) -> list[Path]:
    """CP2K's files of pseudopotentials and basis sets.

    Args:
        version_text: What ``cp2k --version`` prints; its lines are wrapped anywhere.

    Raises:
        MissingDependencyError: it does not say where they are, nor does CP2K_DATA_DIR.
    """
    built_in = re.search(r'__DATA_DIR="([^"]+)"', version_text.replace("\n   ", ""))
    folder = os.environ.get("CP2K_DATA_DIR") or (built_in.group(1) if built_in else "")
    files = [Path(folder) / name for name in ("GTH_POTENTIALS", "BASIS_MOLOPT")]
    if not folder or not all(file.is_file() for file in files):
        raise MissingDependencyError(
            "CP2K's GTH_POTENTIALS and BASIS_MOLOPT are not found; set CP2K_DATA_DIR to the folder that holds them"
        )
    return files


def input_text(atoms: Atoms, settings: Mapping[str, Any], rung: int) -> str:
    """Input of one single point.

    Raises:
        LabelError: an element without a pseudopotential in the table.
    """
    elements = sorted(set(atoms.get_chemical_symbols()))
    if unknown := [element for element in elements if element not in VALENCE]:
        raise LabelError(f"the CP2K backend knows no GTH pseudopotential of {', '.join(unknown)}")
    return TEMPLATE.format(
        cutoff_eV=settings["cutoff_eV"],
        relative_cutoff_eV=settings["relative_cutoff_eV"],
        scf_tolerance=settings["scf_tolerance"],
        solver=LADDER[rung],
        cell="\n".join(f"      {name} {_numbers(row)}" for name, row in zip("ABC", atoms.cell.array, strict=True)),
        positions="\n".join(
            f"      {symbol} {_numbers(row)}"
            for symbol, row in zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)
        ),
        kinds="\n".join(
            f"    &KIND {e}\n      BASIS_SET DZVP-MOLOPT-SR-GTH\n      POTENTIAL GTH-PBE-q{VALENCE[e]}\n    &END KIND"
            for e in elements
        ),
    )


def parse_output(text: str, count: int) -> Calculation:
    """Read the output; only a printed proof of convergence counts, as the exit status says nothing.

    Raises:
        NotConvergedError: no proof of self-consistency.
        LabelError: energy, forces or stress are missing.
    """
    steps = re.findall(r"SCF run converged in\s+(\d+) (?:steps|iterations)", text)
    if not steps:
        raise NotConvergedError("CP2K's output has no proof of self-consistency")
    energy = re.search(r"ENERGY\| Total FORCE_EVAL.*?\s" + NUMBER, text)
    forces = _forces(text, count)
    stress = _stress(text)
    if energy is None or forces is None or stress is None:
        raise LabelError("CP2K's output lacks energy, forces or stress")
    return Calculation(
        float(energy.group(1)) * Hartree, forces * Hartree / Bohr, to_voigt(stress), None, int(steps[-1])
    )


def _forces(text: str, count: int) -> FloatArray | None:
    """Forces, hartree/bohr; the table is another one since CP2K 2025."""
    rows = []
    for title, columns in (
        ("ATOMIC FORCES in [a.u.]", r"\s+\d+\s+\d+\s+[A-Z][a-z]?"),
        ("FORCES| Atomic forces [hartree/bohr]", r"\s+FORCES\|\s+\d+"),
    ):
        rows += re.findall(rf"^{columns}\s+{NUMBER}\s+{NUMBER}\s+{NUMBER}\b", text.partition(title)[2], re.MULTILINE)
    return np.array(rows[:count], dtype=float) if len(rows) >= count else None


def _stress(text: str) -> FloatArray | None:
    """Stress, tensile positive, eV/angstrom^3; CP2K's is a pressure, in GPa, since 2025 in bar."""
    title = re.search(r"STRESS\| Analytical stress tensor \[(GPa|bar)\]", text)
    if title is None:
        return None
    unit = {"GPa": GPa, "bar": 1e-4 * GPa}[title.group(1)]
    rows = re.findall(rf"STRESS\|\s+[xyz]\s+{NUMBER}\s+{NUMBER}\s+{NUMBER}", text[title.end() :])
    return -np.array(rows[:3], dtype=float) * unit if len(rows) >= 3 else None  # noqa: PLR2004  rows of a tensor


def _numbers(row: FloatArray) -> str:
    return " ".join(f"{value:.15g}" for value in row)


def level_of_theory(config: LabelsConfig) -> str:
    """What labels must share to be fitted together."""
    return f"PBE/CP2K/DZVP-MOLOPT-SR-GTH/{_cutoff(config):.0f}eV"


def _cutoff(config: LabelsConfig) -> float:
    return config.cp2k.cutoff_eV or CUTOFF_EV[config.protocol]


def open_backend(config: LabelsConfig) -> Cp2kBackend:
    """The backend, ready to label."""
    return Cp2kBackend(config)
