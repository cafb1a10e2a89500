"""What LAMMPS leaves behind after a segment, turned into our files."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from math import isfinite
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from ase import Atoms
from ase.units import fs

from argyro.common.extxyz import write_structures
from argyro.common.tables import write_table
from mtpcore.cfg import iter_cfg
from mtpcore.configuration import Configuration
from mtpcore.errors import MtpcoreError

from .deck import FINAL, RESTART, SNAPSHOTS, dump_name, thermo_keywords
from .dump import DumpFrame, read_dump
from .lammps import DATA, LOG, OUTPUT, orientation
from .settings import RunSettings, Stream
from .thermo import FRAMEWORK, read_log, tidy
from .trajectory import FARTHEST, Frames, write_trajectory

logger = logging.getLogger(__name__)

type Status = Literal["finished", "running", "grade", "temperature", "burst", "enough"]

THERMO_FILE, FINAL_FILE, SNAPSHOTS_FILE = "thermo.parquet", "final.extxyz", "snapshots.extxyz"
HALTED = re.compile(r"Fix halt condition for fix-id (\w+) met on step (\d+) with value (\S+)")
HALTS: dict[str, tuple[Status, str]] = {
    "hot": ("temperature", "a temperature of {} K"),
    "unknown": ("grade", "an extrapolation grade of {}"),
}


@dataclass(frozen=True)
class Harvest:
    """How a segment went.

    Attributes:
        last_step: Where it ended.
        status: ``running`` if the run goes on.
        reason: Why the run ended early; empty if it did not.
        largest_grade: None where grades were not computed.
        snapshots: How many structures were kept for their grade.
        warnings: Of LAMMPS, each once.
    """

    last_step: int
    status: Status
    reason: str
    largest_grade: float | None
    snapshots: int
    warnings: list[str]


def harvest(folder: Path, atoms: Atoms, settings: RunSettings, *, first_step: int, printed: str, burst: str) -> Harvest:
    """Turn a segment's files into ours and remove them.

    Args:
        folder: Where LAMMPS ran.
        atoms: Where the run started.
        settings: Of the run.
        first_step: Of the segment.
        printed: What LAMMPS printed.
        burst: How the system flew apart; empty if it did not.

    Returns:
        How the segment went.
    """
    raw = read_log(folder / LOG, thermo_keywords(settings))
    table = tidy(raw, settings.timestep, orientation(atoms))
    table = table[(table["step"] > first_step) | (table["step"] == 0)]  # the first row of a later segment is known
    write_table(folder / THERMO_FILE, table)
    for stream in settings.streams:
        _store_stream(folder, atoms, settings, stream, table)
    snapshots = _snapshots(folder / SNAPSHOTS, atoms)
    if snapshots:
        write_structures(folder / SNAPSHOTS_FILE, snapshots)
    last_step = max([first_step, *table["step"].tolist()])
    if not burst:
        last_step, burst = _store_final(folder, atoms)
    status, reason = _outcome(printed, burst, last_step, settings)
    _remove(folder, settings, keep_restart=not burst)
    return Harvest(
        last_step=last_step,
        status=status,
        reason=reason,
        largest_grade=None if settings.grading is None else _largest_grade(table, printed, snapshots),
        snapshots=len(snapshots),
        warnings=sorted({line.strip() for line in printed.splitlines() if line.startswith("WARNING")}),
    )


def _remove(folder: Path, settings: RunSettings, *, keep_restart: bool) -> None:
    """Remove what has been turned into other files, and what leads nowhere."""
    names = [DATA, f"{RESTART}.in", SNAPSHOTS, FINAL, OUTPUT, *map(dump_name, settings.streams)]
    for name in names if keep_restart else [*names, RESTART]:
        (folder / name).unlink(missing_ok=True)


def _outcome(printed: str, burst: str, last_step: int, settings: RunSettings) -> tuple[Status, str]:
    if burst:
        return "burst", burst
    if found := HALTED.search(printed):
        status, what = HALTS[found[1]]
        return status, f"{what.format(found[3])} at step {found[2]}"
    return ("finished" if last_step >= settings.steps else "running"), ""


def _largest_grade(table: pd.DataFrame, printed: str, snapshots: list[Atoms]) -> float:
    """Of the table, which ends before the step of a soft stop, and of what stopped the run or was kept.

    Infinite ones, of systems that flew apart, do not count.
    """
    halts = [float(value) for name, _, value in HALTED.findall(printed) if name == "unknown"]
    grades = [*table["largest_grade"], *halts, *(atoms.info["largest_grade"] for atoms in snapshots)]
    return max(filter(isfinite, grades), default=0.0)


def trajectory_name(stream: Stream) -> str:
    """File of a stream's trajectory."""
    return f"{stream.name}.parquet"


def _store_stream(folder: Path, atoms: Atoms, settings: RunSettings, stream: Stream, table: pd.DataFrame) -> None:
    """Write those of a stream's frames that are in the table as a block of a trajectory."""
    path = folder / dump_name(stream)
    framework = dict(zip(table["step"], table[list(FRAMEWORK)].to_numpy(), strict=True))
    elements, turn = np.array(atoms.get_chemical_symbols()), orientation(atoms).rot_mat.T
    chosen = np.ones(len(atoms), bool) if stream.elements is None else np.isin(elements, stream.elements)
    whole = takewhile(partial(_is_whole, int(chosen.sum())), read_dump(path) if path.exists() else iter(()))
    kept = [frame for frame in whole if frame.step in framework]
    if not kept:
        return
    block = Frames(
        steps=np.array([frame.step for frame in kept]),
        positions=np.stack([frame.columns for frame in kept]) @ turn,
        cells=np.stack([frame.cell for frame in kept]) @ turn,
        framework=np.stack([framework[frame.step] for frame in kept]),
    )
    metadata = {
        "timestep_ps": settings.timestep,
        "elements": elements[chosen].tolist(),
        "mobile": list(settings.mobile),
    }
    write_trajectory(folder / trajectory_name(stream), block, np.flatnonzero(chosen), metadata)


def _is_whole(atom_count: int, frame: DumpFrame) -> bool:
    """Whether the system had not flown apart yet."""
    near = (np.abs(frame.columns) < FARTHEST).all() and np.isfinite(frame.cell).all()
    return bool(near and len(frame.columns) == atom_count)


def _snapshots(path: Path, atoms: Atoms) -> list[Atoms]:
    """Structures kept for their grade, in the run's own orientation, up to the first that is no whole structure."""
    structures, turn = [], orientation(atoms).rot_mat.T
    for configuration in _whole_configurations(path, len(atoms)) if path.exists() else ():
        cell = None if configuration.cell is None else configuration.cell @ turn
        structure = Atoms(atoms.numbers, configuration.positions @ turn, cell=cell, pbc=True)
        features = configuration.features
        structure.info |= {"step": int(features["timestep"]), "largest_grade": float(features["MV_grade"])}
        structure.set_array("grade", configuration.grades)
        structures.append(structure)
    return structures


def _whole_configurations(path: Path, atom_count: int) -> Iterator[Configuration]:
    """Configurations before the system flew apart: then numbers become infinite, or atoms are missing."""
    try:
        for configuration in iter_cfg(path):
            if len(configuration.types) < atom_count:
                return
            yield configuration
    except MtpcoreError as error:
        logger.warning("%s: what follows is left out: %s", path, error)


def _store_final(folder: Path, atoms: Atoms) -> tuple[int, str]:
    """Write the state at the end as extended XYZ, with momenta.

    Returns:
        The step, and how the system flew apart, if it did so before it was stopped softly: there is no state then.
    """
    (frame,) = read_dump(folder / FINAL)
    if not _is_whole(len(atoms), frame):
        return frame.step, f"{len(frame.columns)} of {len(atoms)} atoms were left, or places were no numbers"
    turn = orientation(atoms).rot_mat.T
    final = atoms.copy()
    final.set_cell(frame.cell @ turn)
    final.positions = frame.columns[:, :3] @ turn
    final.set_velocities(frame.columns[:, 3:] @ turn / (1000 * fs))
    write_structures(folder / FINAL_FILE, [final])
    return frame.step, ""
