"""Exploring: molecular dynamics of target structures that keeps what the potential does not know."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
from ase import Atoms

import mtpcore
from argyro.config.dynamics import KokkosConfig
from argyro.config.learning import ExplorationConfig, Mode, Rung
from argyro.md.lammps import PotentialFile
from argyro.md.run import Run, RunResult, run_side_by_side
from argyro.md.settings import Coupling, Ensemble, Grading, RunSettings, Stream

from .exploration import Exploration
from .potential_file import read_potential_file
from .samplers import Sampler

logger = logging.getLogger(__name__)
FRAMES = "all"  # stream of global mode, which grades whole structures afterwards
SEGMENT = 10_000  # steps, or a little less: a multiple of the interval of frames
THERMO = 50  # steps, or an interval that divides that of frames


@dataclass(frozen=True)
class Start:
    """A sampler that is to run.

    Attributes:
        sampler: Which.
        atoms: Where it starts.
        folder: Of its run.
        seed: Of velocities and thermostat.
    """

    sampler: Sampler
    atoms: Atoms
    folder: Path
    seed: int


def explore(
    starts: Sequence[Start],
    potential: PotentialFile,
    rung: Rung,
    settings: ExplorationConfig,
    *,
    mode: Mode,
    mobile: str,
    kokkos: KokkosConfig | None = None,
) -> list[tuple[Exploration, list[Atoms]]]:
    """Run samplers, on a GPU side by side.

    A run that flies apart, or meets what the potential does not know, is a result: what it met before is kept. What was
    killed goes on where it was, and what has ended is read again: remove the folders when what is returned is safe.

    Args:
        starts: Which samplers, and where they start.
        potential: With an active set: of neighbourhoods in local mode, of configurations in global mode.
        rung: Length and thresholds.
        settings: How it runs.
        mode: ``local`` or ``global``.
        mobile: The ion that diffuses.
        kokkos: Of the engine ``kokkos``: how it runs.

    Returns:
        How each fared, and the snapshots it hands on, in order, with sampler, structure, material, temperature_K, step
        and largest_grade in ``info``.
    """
    runs = []
    for start in starts:
        asked = run_settings(start.sampler, start.atoms, rung, settings, mode=mode, mobile=mobile)
        runs.append(Run(start.atoms, potential, asked, start.folder, start.seed))
    results = run_side_by_side(runs, engine=settings.engine, kokkos=kokkos)
    return [
        _outcome(start, result, potential, rung, settings, mode=mode)
        for start, result in zip(starts, results, strict=True)
    ]


def _outcome(
    start: Start, result: RunResult, potential: PotentialFile, rung: Rung, settings: ExplorationConfig, *, mode: Mode
) -> tuple[Exploration, list[Atoms]]:
    """How a sampler fared, and what it hands on."""
    began, sampler = time.monotonic(), start.sampler
    met = _graded_frames(result, start.atoms, potential, rung) if mode == "global" else _met(result)
    grades = [float(snapshot.info["largest_grade"]) for snapshot in met.snapshots]
    chosen = [met.snapshots[index] for index in handed_on(grades, settings.max_snapshots)]
    for snapshot in chosen:
        snapshot.info |= {
            "sampler": sampler.number,
            "structure": sampler.structure,
            "material": sampler.material,
            "temperature_K": sampler.temperature,
        }
    seconds = result.seconds + time.monotonic() - began
    record = Exploration(
        sampler,
        met.status,
        met.reason,
        met.time,
        met.largest_grade,
        len(met.snapshots),
        len(chosen),
        len(start.atoms),
        seconds,
    )
    logger.info(
        "%s at %g K: %s after %.2f ps, grade %.3g",
        sampler.structure,
        sampler.temperature,
        met.status,
        met.time,
        met.largest_grade,
    )
    return record, chosen


def run_settings(
    sampler: Sampler, atoms: Atoms, rung: Rung, settings: ExplorationConfig, *, mode: Mode, mobile: str
) -> RunSettings:
    """What a sampler's run is asked to do."""
    coupling: Coupling = "normal" if "boundary_z_angstrom" in atoms.info else "isotropic"
    every = settings.grade_every
    whole = mode == "global"
    return RunSettings(
        Ensemble(settings.ensemble, sampler.temperature, coupling=coupling),
        steps=max(1, round(rung.duration_ps / settings.timestep_ps)),
        timestep=settings.timestep_ps,
        thermo_every=gcd(every, THERMO) if whole else THERMO,
        streams=(Stream(FRAMES, every),) if whole else (),
        grading=None if whole else Grading(every, rung.select_grade, rung.stop_grade),
        segment_steps=max(SEGMENT - SEGMENT % every, every) if whole else SEGMENT,
        mobile=(mobile,),
    )


def spread(count: int, most: int) -> list[int]:
    """Indices of at most so many of a series, evenly spread, the last one included."""
    if count <= most:
        return list(range(count))
    return sorted({round(index) for index in np.linspace(count - 1, 0, most)})


def handed_on(grades: Sequence[float], most: int) -> list[int]:
    """Indices of at most so many snapshots: spread evenly, the last one included, and the worst one in any case.

    A level ends when no grade is above the one that is accepted, so the largest must not be lost.
    """
    chosen = spread(len(grades), most)
    if not chosen:
        return []
    worst = int(np.argmax(grades))
    if worst not in chosen:
        inner = chosen[:-1] or chosen
        chosen[chosen.index(min(inner, key=lambda index: abs(index - worst)))] = worst
    return sorted(chosen)


@dataclass(frozen=True)
class _Met:
    """What a run met: snapshots above the select grade, and how it ended, as `Exploration` has it."""

    snapshots: list[Atoms]
    largest_grade: float
    status: str
    reason: str
    time: float


def _met(result: RunResult) -> _Met:
    return _Met(result.snapshots(), result.largest_grade or 0.0, result.status, result.reason, result.time)


def _graded_frames(result: RunResult, atoms: Atoms, potential: PotentialFile, rung: Rung) -> _Met:
    """What a run met whose frames are graded afterwards, up to the first frame above the stop grade."""
    frames, times = _frames(result, atoms), result.trajectory(FRAMES).times
    model = read_potential_file(potential.path)
    found, largest = [], 0.0
    for frame, time_of_frame in zip(frames, times, strict=True):
        (values,) = mtpcore.grade(model, [frame], species=potential.species, threads=1)
        grade = float(values.max())
        largest = max(largest, grade)
        if grade > rung.select_grade:
            frame.info["largest_grade"] = grade
            found.append(frame)
        if grade > rung.stop_grade:
            reason = f"grade {grade:.3g} at step {frame.info['step']}, above {rung.stop_grade:g}"
            return _Met(found, largest, "grade", reason, float(time_of_frame))
    return _Met(found, largest, result.status, result.reason, result.time)


def _frames(result: RunResult, atoms: Atoms) -> Sequence[Atoms]:
    trajectory = result.trajectory(FRAMES)
    frames = []
    for step, positions, cell in zip(trajectory.steps, trajectory.positions(), trajectory.cells, strict=True):
        frame = Atoms(atoms.numbers, positions, cell=cell, pbc=True)
        frame.info["step"] = int(step)
        frames.append(frame)
    return frames
