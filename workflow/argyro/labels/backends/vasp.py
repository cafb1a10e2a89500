"""PBE by VASP. Only input files and the parser can be tested without a licence."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from ase import Atoms
from ase.io.vasp import write_vasp
from ase.units import GPa

from argyro.common.errors import LabelError
from argyro.common.files import sha256_of_file
from argyro.config.labels import LabelsConfig, ProtocolName

from .base import Calculation, FloatArray, NotConvergedError
from .external import require_program, run_program, scratch_folder, to_voigt
from .plane_waves import PlaneWaves

# Smearing is Gaussian; tolerances are in eV
PROTOCOLS: dict[ProtocolName, PlaneWaves] = {
    "fast": PlaneWaves(400.0, (1, 1, 1), 0.05, 1e-5),
    "moderate": PlaneWaves(450.0, (1, 1, 1), 0.05, 1e-6),
    "paper": PlaneWaves(500.0, (1, 1, 1), 0.05, 1e-6),
}
LADDER: tuple[dict[str, Any], ...] = (
    {"ALGO": "Normal", "NELM": 100},
    {"ALGO": "Normal", "NELM": 200, "AMIX": 0.1, "BMIX": 0.01},
    {"ALGO": "All", "NELM": 300},
)
PROOF_OF_CONVERGENCE = "aborting loop because EDIFF is reached"  # in OUTCAR


class VaspBackend:
    """See `Backend`."""

    rungs = len(LADDER)

    def __init__(self, config: LabelsConfig) -> None:
        own = config.vasp
        require_program(own.command, "labels.vasp.command")
        assert own.potentials is not None  # noqa: S101  for the type checker: the configuration has seen to it
        assert own.version is not None  # noqa: S101
        self._command, self._folder, self._datasets = own.command, own.potentials, own.datasets
        waves = PlaneWaves.chosen(config, own, PROTOCOLS)
        self.settings = waves.settings("vasp") | {"datasets": dict(sorted(own.datasets.items()))}
        self.level_of_theory = level_of_theory(config)
        self.pseudopotentials = {
            path.parent.name.partition("_")[0]: sha256_of_file(path)
            for path in sorted(self._folder.glob("*/POTCAR"))
            if path.parent.name == self._dataset(path.parent.name.partition("_")[0])
        }
        self._version = own.version
        self.code_version = f"vasp {own.version}"

    def calculate(self, atoms: Atoms, rung: int) -> Calculation:
        """See `Backend`."""
        order = np.argsort(atoms.numbers, kind="stable")
        with scratch_folder() as folder:
            write_inputs(folder, atoms[order], self.settings, rung, self._potcar)
            run_program(self._command, folder)
            require_convergence(folder / "OUTCAR")
            found = parse_vasprun(folder / "vasprun.xml", self._version)
        forces = np.empty_like(found.forces)
        forces[order] = found.forces
        return Calculation(found.energy, forces, found.stress, found.energy_zero_smearing, found.scf_steps)

    def _dataset(self, element: str) -> str:
        return self._datasets.get(element, element)

    def _potcar(self, element: str) -> str:
        path = self._folder / self._dataset(element) / "POTCAR"
        try:
            return path.read_text(encoding="latin-1")
        except OSError:
            raise LabelError(
                f"there is no {path}; labels.vasp.datasets says which dataset each element has, and "
                "labels.vasp.potentials where they are"
            ) from None


def write_inputs(folder: Path, atoms: Atoms, settings: dict[str, Any], rung: int, potcar: Any) -> None:
    """Write INCAR, KPOINTS, POSCAR and POTCAR of one single point.

    Args:
        folder: Where.
        atoms: Atoms sorted by element.
        settings: Of the backend.
        rung: Of the ladder.
        potcar: Text of the dataset of an element.
    """
    incar = {
        "PREC": "Accurate",
        "GGA": "PE",
        "ENCUT": settings["cutoff_eV"],
        "EDIFF": settings["energy_tolerance"],
        "ISMEAR": 0,
        "SIGMA": settings["smearing_eV"],
        "ISPIN": 1,
        "ISYM": 0,
        "NSW": 0,
        "IBRION": -1,
        "ISIF": 2,
        "LREAL": ".FALSE.",
        "LWAVE": ".FALSE.",
        "LCHARG": ".FALSE.",
    } | LADDER[rung]
    (folder / "INCAR").write_text("".join(f"{key} = {value}\n" for key, value in incar.items()))
    mesh = " ".join(map(str, settings["kpoints"]))
    (folder / "KPOINTS").write_text(f"Gamma-centred mesh\n0\nGamma\n{mesh}\n0 0 0\n")
    write_vasp(folder / "POSCAR", Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True))
    elements = list(dict.fromkeys(atoms.get_chemical_symbols()))
    (folder / "POTCAR").write_text("".join(potcar(element) for element in elements), encoding="latin-1")


def require_convergence(path: Path) -> None:
    """Look for the proof of self-consistency in OUTCAR; VASP does not call a run without it an error.

    Raises:
        NotConvergedError: there is none.
        LabelError: there is no OUTCAR.
    """
    try:
        text = path.read_text(encoding="latin-1")
    except OSError:
        raise LabelError("VASP left no OUTCAR") from None
    if PROOF_OF_CONVERGENCE not in text:
        raise NotConvergedError("VASP's OUTCAR has no proof of self-consistency")


def parse_vasprun(path: Path, version: str) -> Calculation:
    """Read vasprun.xml.

    Args:
        path: The file.
        version: Version of VASP that is expected, or its beginning.

    Raises:
        LabelError: the file is missing, damaged, lacks something or is of another version.
    """
    try:
        root = ET.parse(path).getroot()  # noqa: S314  written by our own run
        last = root.findall("calculation")[-1]
        forces, stress = _array(last, "forces"), _array(last, "stress")
        energy = _energies(last)["e_fr_energy"]
        step = _energies(last.findall("scstep")[-1])
        # Some versions write a wrong e_0_energy beside the final energy; the one of the last step is right
        zero = energy + step["e_0_energy"] - step["e_fr_energy"]
        found = (root.findtext("generator/i[@name='version']") or "").strip()
    except (OSError, ET.ParseError, IndexError, KeyError, ValueError) as error:
        raise LabelError(f"VASP's vasprun.xml is not complete: {error}") from None
    if not found.startswith(version):
        raise LabelError(f"this is VASP {found}, not labels.vasp.version {version}; labels must not be mixed up")
    steps = len(last.findall("scstep"))
    return Calculation(energy, forces, to_voigt(-stress * 0.1 * GPa), zero, steps)  # VASP's is a pressure in kbar


def _energies(parent: ET.Element) -> dict[str | None, float]:
    return {item.get("name"): float(item.text or "nan") for item in parent.findall("energy/i")}


def _array(calculation: ET.Element, name: str) -> FloatArray:
    rows = calculation.findall(f"varray[@name='{name}']/v")
    if not rows:
        raise ValueError(f"no {name}")
    return np.array([[float(word) for word in re.split(r"\s+", (row.text or "").strip())] for row in rows])


def level_of_theory(config: LabelsConfig) -> str:
    """What labels must share to be fitted together."""
    waves = PlaneWaves.chosen(config, config.vasp, PROTOCOLS)
    return f"PBE/VASP/PW{waves.cutoff_eV:g}/{waves.mesh}/G{waves.smearing_eV:g}"


def open_backend(config: LabelsConfig) -> VaspBackend:
    """The backend, ready to label."""
    return VaspBackend(config)
