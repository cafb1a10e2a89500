"""A LAMMPS of the user's own with KOKKOS and the pair styles of lammps-mtp-kokkos: what it is told, and what it leaves.

It knows grades by ``fix pair`` and their largest by ``compute pair``, both as of the last grading. So the deck has the
largest of every grading written to a file, from which the table's columns of grades are filled in afterwards.
"""

import subprocess
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms

from argyro.common.errors import MissingDependencyError
from argyro.common.files import write_text
from argyro.config.dynamics import KokkosConfig

from .deck import GRADES, SNAPSHOTS, THERMO, Dialect
from .dump import read_dump
from .lammps import LOG, PotentialFile
from .settings import Grading, RunSettings
from .snapshots import append_snapshot, kinds_of
from .thermo import read_log

SWITCHES = ("-k", "on", "g", "1", "-sf", "kk", "-pk", "kokkos", "newton", "on", "neigh", "half")
KEPT, GRADINGS = "kept.bin", "gradings.txt"
HELP_SECONDS = 120.0  # that a program may take to list its styles


def command_line(program: KokkosConfig, grading: Grading | None) -> list[str]:
    """How the program is started, without what all LAMMPS are told.

    Raises:
        MissingDependencyError: it does not start, or lacks the pair style.
    """
    _check(program.command, _style(program, grading))
    return [*program.command, *SWITCHES]


def dialect(program: KokkosConfig) -> Dialect:
    """What it is told in words of its own."""
    return Dialect(partial(_pair, program), partial(_grading, program), ())


@cache
def _check(command: tuple[str, ...], style: str) -> None:
    words = " ".join(command)
    try:
        done = subprocess.run(  # noqa: S603  the user's own
            [*command, "-h"], capture_output=True, text=True, errors="replace", check=False, timeout=HELP_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingDependencyError(
            f"the engine is kokkos, but '{words} -h' does not run ({error}); set dynamics.kokkos.command to a LAMMPS "
            "with KOKKOS and lammps-mtp-kokkos, or use another engine"
        ) from None
    if style not in done.stdout.split():
        raise MissingDependencyError(
            f"the engine is kokkos, but '{words} -h' lists no pair style {style}; build a LAMMPS with the package "
            "KOKKOS and the sources of lammps-mtp-kokkos as its README says, set dynamics.kokkos.command to it, or use "
            "another engine"
        )


def _style(program: KokkosConfig, grading: Grading | None) -> str:
    return f"mtp{'/extrapolation' if grading else ''}{'/small' if program.small else ''}/kk"


def _pair(program: KokkosConfig, potential: PotentialFile, grading: Grading | None) -> str:
    """Types are the file's species in their order, which these styles take for granted."""
    path, style = potential.path.resolve(), _style(program, grading)
    return f'pair_style {style} "{path}" chunksize {program.chunksize}\npair_coeff * *'


def _grading(program: KokkosConfig, grading: Grading) -> str:
    every, style = grading.every, _style(program, grading)
    lines = [
        f"fix mtp_grade all pair {every} {style} extrapolation 1",
        f"compute max_grade all pair {style}",
        "variable grade equal c_max_grade[1]",
        f'fix gradings all ave/time {every} 1 {every} c_max_grade[1] file {GRADINGS} format " %.17g"',
    ]
    if grading.select is not None:
        lines += [
            f'variable is_known equal "c_max_grade[1] <= {grading.select}"',
            f"dump unknown all custom {every} {KEPT} x y z f_mtp_grade",
            "dump_modify unknown sort id skip v_is_known",
        ]
    return "\n".join(lines)


def translate(folder: Path, atoms: Atoms, species: Sequence[str], settings: RunSettings, *, first_step: int) -> None:
    """Turn what it left of grades into what LAMMPS with mtpcore's plug-in leaves.

    Args:
        folder: Where it ran.
        atoms: Where the run started.
        species: Elements in the order of the potential's species.
        settings: Of the run.
        first_step: Of the segment, whose structure the segment before has kept.
    """
    if settings.grading is None:
        return
    _complete_table(folder / LOG, folder / GRADINGS)
    _keep_unknown(folder, atoms, species, first_step)
    for name in (GRADINGS, KEPT):
        (folder / name).unlink(missing_ok=True)


def _complete_table(log: Path, gradings: Path) -> None:
    """Add the last grading's largest, and the largest so far, to the rows of the table."""
    steps, grades = _read_gradings(gradings)
    raw = read_log(log, THERMO)
    known = np.searchsorted(steps, raw["step"], side="right")  # 0: none yet
    for name, values in zip(GRADES, (grades, np.maximum.accumulate(grades)), strict=True):
        raw[name] = np.append(0.0, values)[known]
    write_text(log, _format_table(raw))


def _format_table(table: pd.DataFrame) -> str:
    rows = (f"{int(step)} {' '.join(f'{value:.17g}' for value in values)}" for step, *values in table.to_numpy())
    return "\n".join([" ".join(["Step", *table.columns[1:]]), *rows, ""])


def _read_gradings(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Steps of the gradings and their largest grades; what is no number is infinite."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    pairs = [words for line in lines if len(words := line.split()) == 2 and words[0].isdigit()]  # noqa: PLR2004
    steps = np.array([int(step) for step, _ in pairs], dtype=np.int64)
    grades = np.array([float(grade) for _, grade in pairs], dtype=float)
    return steps, np.where(np.isnan(grades), np.inf, grades)


def _keep_unknown(folder: Path, atoms: Atoms, species: Sequence[str], first_step: int) -> None:
    kinds = kinds_of(atoms, species)
    for frame in read_dump(folder / KEPT) if (folder / KEPT).exists() else ():
        is_new = frame.step > first_step or first_step == 0
        if is_new and len(frame.columns) == len(kinds) and np.isfinite(frame.columns).all():
            append_snapshot(folder / SNAPSHOTS, kinds, frame)
