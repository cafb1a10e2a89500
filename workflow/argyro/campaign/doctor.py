"""``scripts/doctor``: try what a campaign may need on a known answer, and say what each missing piece is for."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from argyro.common import mpi
from argyro.common.errors import ArgyroError
from mtpcore.doctor import examine as examine_mtpcore

from .folder import campaign_folder
from .partitions import DEFAULT_WAIT_MINUTES, format_verdicts, try_partitions
from .slurm import profile_folder

TIMEOUT = 120.0  # seconds a check may take
MINIMUM_DISK_GB = 5.0
EXIT_WRONG_INPUT = 2
DESCRIPTION = "Try what a campaign may need on a known answer, and say what each missing piece would be needed for."
ENERGY_TOLERANCE = 0.01  # eV; codes of another version may differ by less, broken ones differ by more
KNOWN_TBLITE_ENERGY = -28.194  # eV, H2 at 0.74 angstrom, GFN1-xTB (tblite 0.8.0)
KNOWN_GPAW_ENERGY = -6.936  # eV, the same repeated every 4 to 4.5 angstrom, PW(300) (GPAW 26.7.0)
KNOWN_SEVENNET_ENERGY = -3.687  # eV per atom, rock salt LiCl (sevenn 0.13.0)
GMSH_PROGRAM = """
import gmsh
gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.model.occ.addBox(0, 0, 0, 1, 2, 3)
gmsh.model.occ.synchronize()
gmsh.model.mesh.generate(3)
print(round(gmsh.model.occ.getMass(3, 1), 9), len(gmsh.model.mesh.getNodes()[0]) > 8)
"""
DOLFINX_PROGRAM = """
from mpi4py import MPI
import dolfinx_solver, dolfinx, ufl
mesh = dolfinx.mesh.create_unit_cube(MPI.COMM_SELF, 2, 2, 2)
x = ufl.SpatialCoordinate(mesh)
print(round(dolfinx.fem.assemble_scalar(dolfinx.fem.form(x[0] ** 2 * ufl.dx)), 9))
"""
TBLITE_PROGRAM = """
import numpy as np
from tblite.interface import Calculator
calculator = Calculator("GFN1-xTB", np.array([1, 1]), np.array([[0, 0, 0], [0, 0, 0.74 / 0.529177210903]]))
calculator.set("verbosity", 0)
print(calculator.singlepoint().get("energy") * 27.211386245988)
"""
GPAW_PROGRAM = """
from ase import Atoms
from gpaw import GPAW, PW
atoms = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]], cell=[4, 4, 4.5], pbc=True)
atoms.calc = GPAW(mode=PW(300), xc="PBE", txt=None)
print(atoms.get_potential_energy())
"""
SEVENNET_PROGRAM = """
from ase.build import bulk
from sevenn.calculator import SevenNetCalculator
atoms = bulk("LiCl", "rocksalt", a=5.13)
atoms.calc = SevenNetCalculator("7net-0", device="cpu")
print(atoms.get_potential_energy() / 2)
"""


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        topic: What was looked at.
        state: ``ok``, ``missing`` (an option that is not installed) or ``broken``.
        text: What was found; where it is not ok, what it is needed for and how to get it.
        required: Whether every campaign needs it.
    """

    topic: str
    state: str
    text: str
    required: bool = False


class UnfitError(ArgyroError):
    """Something is there and does not work."""


class AbsentError(ArgyroError):
    """An optional piece is not there."""


@dataclass(frozen=True)
class Check:
    """One thing to look at.

    Attributes:
        topic: Its name.
        find: Looks, and returns what it found.
        needed_for: What does not work without it.
        remedy: How to get it.
        required: Whether every campaign needs it.
    """

    topic: str
    find: Callable[[], str]
    needed_for: str
    remedy: str
    required: bool = False


def examine() -> Iterator[Finding]:
    """All findings, in the order of the stages."""
    yield Finding("Python", "ok", f"{sys.version.split()[0]} in {sys.prefix}", required=True)
    for found in examine_mtpcore():
        yield Finding(f"mtpcore: {found.topic}", "ok" if found.good else "broken", found.text, required=True)
    for check in CHECKS:
        yield carry_out(check)


def main(words: Sequence[str]) -> int:
    """Print all findings; 1 if something that every campaign needs does not work."""
    parser = argparse.ArgumentParser(prog="scripts/doctor", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--profile", help="a profile for Slurm: try its partitions instead of this machine")
    parser.add_argument(
        "--wait",
        type=float,
        default=DEFAULT_WAIT_MINUTES,
        metavar="MINUTES",
        help=f"how long a job may wait until it starts (default: {DEFAULT_WAIT_MINUTES:g})",
    )
    asked = parser.parse_args(list(words))
    return _try_machine() if asked.profile is None else _try_partitions(asked.profile, asked.wait)


def _try_partitions(profile: str, wait_minutes: float) -> int:
    """Print what jobs in the partitions of a profile find; 1 if any is not as it should be."""

    def say(text: str) -> None:
        print(f"argyro: {text}", file=sys.stderr, flush=True)  # noqa: T201  talks to the user

    try:
        verdicts = try_partitions(profile_folder(profile), wait_minutes, say)
    except ArgyroError as error:
        say(f"error: {error}")
        return EXIT_WRONG_INPUT
    print(format_verdicts(verdicts))  # noqa: T201  asked for
    return int(any(verdict.problems for verdict in verdicts))


def _try_machine() -> int:
    """Print what is found on this machine; 1 if something that every campaign needs does not work."""
    unfit = False
    for finding in examine():
        print(f"{finding.state:<8} {finding.topic}: {finding.text}", flush=True)  # noqa: T201  asked for
        unfit = unfit or (finding.required and finding.state != "ok")
    return int(unfit)


def carry_out(check: Check) -> Finding:
    """Look, and say what was found, or what is missing and how to get it."""
    try:
        return Finding(check.topic, "ok", check.find(), check.required)
    except AbsentError as error:
        state, reason = "missing", str(error)
    except Exception as error:  # noqa: BLE001  whatever goes wrong is the finding
        state, reason = "broken", str(error)
    return Finding(
        check.topic, state, f"{reason}. Needed for {check.needed_for}. To get it: {check.remedy}", check.required
    )


def _output(program: list[str]) -> str:
    """What a program prints.

    Raises:
        UnfitError: it fails; with the end of what it said.
    """
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=TIMEOUT)  # noqa: S603  our own
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
        raise UnfitError(f"fails with exit status {done.returncode}: {last[0]}")
    return done.stdout.strip()


def _python(program: str) -> str:
    return _output([sys.executable, "-P", "-c", program])


def _expect(found: str, expected: str) -> None:
    if found != expected:
        raise UnfitError(f"gives {found!r} where {expected!r} is right")


def _known_energy(program: str, known: float) -> float:
    energy = float(_python(program).splitlines()[-1])
    if abs(energy - known) > ENERGY_TOLERANCE:
        raise UnfitError(f"gives an energy of {energy:.4f} eV where {known:.4f} eV is right")
    return energy


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise AbsentError(f"there is no {name} on PATH")
    return path


def _module(name: str) -> None:
    if find_spec(name) is None:
        raise AbsentError(f"there is no Python package {name}")


def _compiler() -> str:
    compiler = os.environ.get("CXX", "g++")
    path = _program(compiler)
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "a.cpp", Path(folder) / "a"
        source.write_text('#include <cstdio>\nint main() { std::puts(__cplusplus >= 201703L ? "17" : "old"); }\n')
        _output([path, "-std=c++17", str(source), "-o", str(program)])
        _expect(_output([str(program)]), "17")
    return path


def _gmsh() -> str:
    _expect(_python(GMSH_PROGRAM), "6.0 True")
    return "meshes a box"


def _dolfinx() -> str:
    _expect(_python(DOLFINX_PROGRAM), "0.333333333")
    return "compiles and integrates a form"


def _tblite() -> str:
    return f"GFN1-xTB energy of H2 {_known_energy(TBLITE_PROGRAM, KNOWN_TBLITE_ENERGY):.3f} eV"


def _gpaw() -> str:
    _module("gpaw")
    return f"energy of H2 {_known_energy(GPAW_PROGRAM, KNOWN_GPAW_ENERGY):.3f} eV"


def _sevennet() -> str:
    _module("sevenn")
    return f"energy of LiCl {_known_energy(SEVENNET_PROGRAM, KNOWN_SEVENNET_ENERGY):.3f} eV per atom"


def _slurm() -> str:
    _program("sbatch")
    return f"{_output(['sbatch', '--version'])}, {len(_output(['sinfo', '--noheader']).splitlines())} partitions' lines"


def _gpu() -> str:
    return _output([_program("nvidia-smi"), "--query-gpu=name", "--format=csv,noheader"]).replace("\n", ", ")


def _cupy() -> str:
    _module("cupy")
    return f"reaches {_python('from mtpcore.gpu.backend import CupyBackend; print(CupyBackend().name)')}"


def _disk() -> str:
    folder = campaign_folder("x").parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    if free < MINIMUM_DISK_GB:
        raise UnfitError(f"only {free:.1f} GB free in {folder}")
    return f"{free:.0f} GB free in {folder}"


def _external(*names: str) -> Callable[[], str]:
    """A check for programs that are only looked for: their known answers belong to the labels' own sanity test."""
    return lambda: ", ".join(_program(name) for name in names)


CHECKS = (
    Check(
        "C++ compiler", _compiler, "building mtpcore, and DOLFINx's forms", "sudo apt-get install g++", required=True
    ),
    Check(
        "MPI",
        mpi.try_ranks,
        "LAMMPS and DOLFINx on several cores",
        "unset ARGYRO_MPIEXEC, or see README.md",
        required=True,
    ),
    Check(
        "gmsh",
        _gmsh,
        "meshes of polycrystals (continuum)",
        "sudo apt-get install libgl1 libglu1-mesa libx11-6 libxcursor1 libxext6 libxfixes3 libxft2 libxinerama1 "
        "libxrender1 libfontconfig1",
    ),
    Check("DOLFINx", _dolfinx, "finite elements (continuum)", "delete .venvs and run scripts/run again"),
    Check("tblite", _tblite, "GFN1-xTB labels", "delete .venvs and run scripts/run again"),
    Check("GPAW", _gpaw, "PBE labels without a licence (labels.backend: gpaw)", "scripts/run --with dft"),
    Check("SevenNet", _sevennet, "labels by 7net-0 (labels.backend: sevennet)", "scripts/run --with teacher"),
    Check("CP2K", _external("cp2k"), "labels.backend: cp2k", "sudo apt-get install cp2k cp2k-data"),
    Check("Quantum ESPRESSO", _external("pw.x"), "labels.backend: espresso", "sudo apt-get install quantum-espresso"),
    Check("VASP", _external("vasp_std"), "labels.backend: vasp", "a licence of vasp.at and your site's module"),
    Check("Slurm", _slurm, "running on a cluster (--profile slurm)", "ask for an account, or log in to the cluster"),
    Check("GPU", _gpu, "molecular dynamics on a GPU", "a machine with an NVIDIA GPU and its driver"),
    Check("CuPy", _cupy, "molecular dynamics on a GPU (dynamics.engine: gpu)", "scripts/run --with gpu"),
    Check(
        "disk", _disk, "the results of a campaign", "free some, or set ARGYRO_RESULTS to a larger disk", required=True
    ),
)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
