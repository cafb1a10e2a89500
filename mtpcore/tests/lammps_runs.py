"""Runs of the installed LAMMPS, as a user would start them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers import Structure

import mtpcore.lammps
from mtpcore.lammps_script import find_program, run_script, write_data

type FloatArray = npt.NDArray[np.float64]

BAR = 1.6021765e6  # eV/angstrom^3, as LAMMPS's metal units have it
VOIGT = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
ELEMENTS = ("Li", "P", "S", "Cl")


def needs_plugin() -> pytest.MarkDecorator:
    """Skips tests where LAMMPS or the plug-in is not installed."""
    reason = ""
    if find_program("lmp") is None:
        reason = "LAMMPS is not installed"
    elif mtpcore.lammps.plugin_path() is None and "LAMMPS_PLUGIN_PATH" not in os.environ:
        reason = "mtpcore was installed without its LAMMPS plug-in"
    return pytest.mark.skipif(bool(reason), reason=reason)


def succeed(folder: Path, script: str, **options: Any) -> str:
    """The output of a run that must end well."""
    result = run_script(folder, script, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def fail(folder: Path, script: str, **options: Any) -> str:
    """The error message of a run that must end with one, on one line."""
    result = run_script(folder, script, **options)
    assert result.returncode != 0, result.stdout
    return " ".join((result.stdout + result.stderr).split())


def standard_form(structure: Structure) -> Structure:
    """The structure turned so that LAMMPS takes its cell: a along x, b in the plane of x and y."""
    q, r = np.linalg.qr(structure.cell.T)
    signs = np.sign(np.diag(r))
    turn = q * signs
    cell = np.tril((signs[:, None] * r).T)
    return structure._replace(positions=structure.positions @ turn, cell=cell)


def set_up(
    folder: Path,
    structure: Structure,
    pair: str,
    *,
    type_count: int | None = None,
    units: str = "metal",
    newton: str = "on",
) -> str:
    """First part of a script: the structure and its pair style, over to what is to be run."""
    types, positions, cell, _ = structure
    write_data(folder / "structure.data", types, positions, cell, type_count=type_count)
    boundary = " ".join("p" if periodic else "m" for periodic in structure.pbc)
    return f"""
units {units}
newton {newton}
boundary {boundary}
atom_modify map yes
read_data structure.data
mass * 10.0
{pair}
"""


MEASURE = """
compute energy all pe/atom
compute stress all stress/atom NULL virial
compute pressure all pressure NULL virial
thermo_style custom step pe c_pressure[*]
dump forces all custom 1 forces.dump id type fx fy fz c_energy c_stress[*]
dump_modify forces sort id format float %.17g
run 0 post no
print "volume $(vol:%.17g)" file volume.txt
print "pe $(pe:%.17g)" file energy.txt
print "virial $(c_pressure[1]:%.17g) $(c_pressure[2]:%.17g) $(c_pressure[3]:%.17g) &
$(c_pressure[4]:%.17g) $(c_pressure[5]:%.17g) $(c_pressure[6]:%.17g)" file virial.txt
"""


@dataclass(frozen=True)
class LammpsResult:
    """What LAMMPS computes for a structure.

    Attributes:
        energy: eV.
        site_energies: Shape (N,), eV.
        forces: Shape (N, 3), eV/angstrom.
        virial: Order xx, yy, zz, xy, xz, yz, shape (6,), eV.
        site_virials: Shape (N, 6), eV.
        output: What LAMMPS printed.
    """

    energy: float
    site_energies: FloatArray
    forces: FloatArray
    virial: FloatArray
    site_virials: FloatArray
    output: str


def read_dump(path: Path) -> FloatArray:
    """The last snapshot of a dump, one row per atom."""
    lines = path.read_text().splitlines()
    start = max(i for i, line in enumerate(lines) if line.startswith("ITEM: ATOMS"))
    return np.array([line.split() for line in lines[start + 1 :]], dtype=np.float64)


def measure(folder: Path, structure: Structure, pair: str, **options: Any) -> LammpsResult:
    """Energy, forces and virials of a structure in LAMMPS."""
    start = {key: options.pop(key) for key in ("type_count",) if key in options}
    script = set_up(folder, structure, pair, **start) + MEASURE
    output = succeed(folder, script, **options)
    numbers = {
        name: np.array((folder / f"{name}.txt").read_text().split()[1:], dtype=np.float64)
        for name in ("volume", "energy", "virial")
    }
    atoms = read_dump(folder / "forces.dump")
    return LammpsResult(
        energy=float(numbers["energy"][0]),
        site_energies=atoms[:, 5],
        forces=atoms[:, 2:5],
        virial=numbers["virial"] * numbers["volume"] / BAR,
        site_virials=-atoms[:, 6:] / BAR,
        output=output,
    )
