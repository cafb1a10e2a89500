"""Print the speed of energies and forces in LAMMPS by level, side by side with motep in one run."""

import argparse
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .errors import MtpcoreError
from .lammps_script import run_script, write_data
from .potential import Potential, write_potential
from .samples import ELEMENTS, Crystal, lithium_argyrodite, sample_potential

LEVELS = (8, 12, 16, 18, 20)
REPEAT = (2, 2, 2)
GPU_REPEATS = ((2, 2, 2), (5, 5, 4), (10, 10, 10))  # 416, 5 200 and 52 000 atoms
_MICRO = 1e6


@dataclass(frozen=True)
class Speed:
    """Times of one level, the least of several repetitions.

    Attributes:
        level: Level of the potential.
        parameters: Its number of parameters.
        mtpcore: Energy and forces in LAMMPS, microseconds per atom.
        motep: The same by motep's C engine, microseconds per atom; None where it is not installed.
    """

    level: int
    parameters: int
    mtpcore: float
    motep: float | None

    @property
    def ratio(self) -> float | None:
        """How many times faster than motep."""
        return None if self.motep is None else self.motep / self.mtpcore


class BenchmarkError(MtpcoreError):
    """LAMMPS did not run; the message holds its output."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--levels", type=int, nargs="+", default=list(LEVELS), help="even, 2 to 28")
    parser.add_argument("--repeats", type=int, default=5, help="the least of so many times counts")
    parser.add_argument("--gpu", action="store_true", help="whole steps of molecular dynamics on an NVIDIA GPU instead")
    parser.add_argument("--mixed", action="store_true", help="on the GPU, moments in single precision")


def run(options: argparse.Namespace) -> int:
    """Measure and print level by level."""
    if options.gpu:
        return _run_gpu(options.levels, "mixed" if options.mixed else "double")
    print(f"{'level':>5} {'parameters':>10} {'mtpcore':>10} {'motep':>10} {'ratio':>7}")  # noqa: T201
    print(f"{'':16} {'us/atom':>10} {'us/atom':>10}")  # noqa: T201
    for level in options.levels:
        print(_row(measure(level, repeats=options.repeats)), flush=True)  # noqa: T201
    return 0


def _run_gpu(levels: list[int], precision: Literal["double", "mixed"]) -> int:
    from .gpu import bench  # noqa: PLC0415  optional dependency
    from .gpu.backend import CupyBackend  # noqa: PLC0415

    backend = CupyBackend()
    print(  # noqa: T201
        f"{backend.name}, {precision} precision: microseconds per atom and step; grades every {bench.GRADE_EVERY} "
        "steps\n"
    )
    print(bench.HEADER, end="")  # noqa: T201
    for level in levels:
        for repeat in GPU_REPEATS:
            print(bench.row(bench.measure(backend, level, repeat, precision=precision)), flush=True)  # noqa: T201
    return 0


def _row(speed: Speed) -> str:
    motep = "-" if speed.motep is None else f"{speed.motep:.1f}"
    ratio = "-" if speed.ratio is None else f"{speed.ratio:.1f}"
    return f"{speed.level:5} {speed.parameters:10} {speed.mtpcore:10.2f} {motep:>10} {ratio:>7}"


def measure(level: int, *, repeats: int = 5, simd: str | None = None) -> Speed:
    """Times of one level on one core for 416 atoms of Li6PS5Cl.

    The two programs take turns, so that both see the same state of the machine.

    Args:
        level: Even, 2 to 28.
        repeats: Repetitions of which the fastest counts.
        simd: Instruction set of mtpcore; None: the widest there is.

    Raises:
        LevelError: no tables exist for the level.
        BenchmarkError: LAMMPS does not run.
        ProgramNotFoundError: LAMMPS is not installed.
    """
    potential, crystal = sample_potential(level), lithium_argyrodite(REPEAT)
    motep = motep_timer(potential, crystal)
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(lammps_time(potential, crystal, simd=simd))
        if motep is not None:
            theirs.append(motep())
    atoms = len(crystal.types)
    return Speed(
        level=level,
        parameters=potential.parameter_count,
        mtpcore=min(ours) / atoms * _MICRO,
        motep=min(theirs) / atoms * _MICRO if theirs else None,
    )


PAIR = f"pair_style mtp sample.almtp\npair_coeff * * {' '.join(ELEMENTS)}"

_SCRIPT = """
units metal
read_data crystal.data
replicate {replicate}
mass * 1.0
{pair}
{commands}
"""

_TIMED_RUNS = """
variable begin timer
run 10
variable end timer
variable steps equal ceil({seconds}/(v_end-v_begin)*10)
run ${{steps}}
run ${{steps}}
run ${{steps}}
"""


def lammps_log(
    potential: Potential,
    crystal: Crystal,
    commands: str,
    *,
    pair: str = PAIR,
    replicate: tuple[int, int, int] = (1, 1, 1),
    ranks: int = 1,
    simd: str | None = None,
) -> str:
    """What LAMMPS prints for a structure under a potential.

    Args:
        potential: The potential, sample.almtp for the pair style.
        crystal: The structure.
        commands: What to run.
        pair: The pair_style and pair_coeff commands.
        replicate: How often LAMMPS repeats the structure along each axis.
        ranks: MPI ranks.
        simd: Instruction set; None: the widest there is.

    Raises:
        BenchmarkError: LAMMPS does not run.
        ProgramNotFoundError: LAMMPS is not installed.
    """
    repeat = " ".join(map(str, replicate))
    script = _SCRIPT.format(replicate=repeat, pair=pair, commands=commands)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_potential(folder / "sample.almtp", potential)
        write_data(folder / "crystal.data", crystal.types, crystal.positions, crystal.cell)
        environment = {} if simd is None else {"MTPCORE_SIMD": simd}
        result = run_script(folder, script, ranks=ranks, environment=environment)
    if result.returncode != 0:
        raise BenchmarkError(f"LAMMPS failed:\n{result.stdout}{result.stderr}")
    return result.stdout


def lammps_time(potential: Potential, crystal: Crystal, *, seconds: float = 0.3, **options: Any) -> float:
    """Time of one step of LAMMPS with atoms at rest, in seconds: the least of three runs.

    Args:
        potential: The potential.
        crystal: The structure.
        seconds: About how long each of the runs takes.
        **options: Those of :func:`lammps_log`.

    Raises:
        BenchmarkError: LAMMPS does not run.
        ProgramNotFoundError: LAMMPS is not installed.
    """
    log = lammps_log(potential, crystal, _TIMED_RUNS.format(seconds=seconds), **options)
    loops = re.findall(r"Loop time of (\S+) on \d+ procs for (\d+) steps", log)
    return min(float(loop) / int(steps) for loop, steps in loops[1:])


def motep_timer(potential: Potential, crystal: Crystal) -> Callable[[], float] | None:
    """A function that gives the time of one evaluation by motep's C engine, in seconds.

    None where motep is not installed. Every evaluation is of slightly moved atoms, as in a run.
    """
    try:
        from ase import Atoms  # noqa: PLC0415  optional dependency
        from motep.calculator import make_calculator  # noqa: PLC0415
        from motep.io.mlip.mtp import read_mtp  # noqa: PLC0415
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as name:
        write_potential(Path(name) / "sample.mtp", potential)
        data = read_mtp(Path(name) / "sample.mtp")
    symbols = [ELEMENTS[kind] for kind in crystal.types]
    atoms: Any = Atoms(symbols, crystal.positions, cell=crystal.cell, pbc=crystal.periodic)
    data.species = sorted(set(atoms.numbers.tolist()), key=atoms.numbers.tolist().index)
    atoms.calc = make_calculator(data, engine="cext")
    atoms.get_forces()

    def evaluation() -> float:
        atoms.positions += 1e-9
        start = time.perf_counter()
        atoms.get_forces()
        return time.perf_counter() - start

    return evaluation
