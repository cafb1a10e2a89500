"""Segments of runs on a GPU, side by side; they leave behind what LAMMPS leaves, so that the rest is the same."""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from ase.units import fs

import mtpcore
from argyro.common.errors import DynamicsError, FileError, MissingDependencyError
from argyro.common.randomness import seed_for
from mtpcore.errors import InvalidStructureError, MtpcoreError
from mtpcore.gpu.backend import Backend, CupyBackend, GpuError
from mtpcore.gpu.motion import (
    EV_PER_ANGSTROM3_IN_BAR,
    Motion,
    MotionSettings,
    MovingSystem,
    Observation,
    thermal_velocities,
)
from mtpcore.gpu.sites import LARGEST_FORCE, Precision, Sites
from mtpcore.gpu.systems import SmallCellError, System

from .deck import BAR_PER_GPA, FINAL, RESTART, SNAPSHOTS, WATCH_EVERY, dump_name, thermo_keywords
from .dump import DumpFrame, FloatArray, append_frame
from .job import Job
from .lammps import LOG, check_structure, orientation
from .settings import RunSettings, Stream
from .snapshots import append_snapshot, kinds_of

PER_PS = 1000 * fs  # of ASE's time
STATE = ("positions", "images", "velocities", "cell", "taken")


@lru_cache(maxsize=1)
def device() -> Backend:
    """The GPU.

    Raises:
        MissingDependencyError: there is none, or CuPy is not installed.
    """
    try:
        return CupyBackend()
    except GpuError as error:
        raise MissingDependencyError(
            f"the engine is gpu, but {error}; run scripts/run --with gpu, have the jobs run on a machine with an "
            "NVIDIA GPU, or set dynamics.engine and learning.exploration.engine to lammps"
        ) from None


def run_on_gpu(jobs: Sequence[Job], folders: Sequence[Path], first_step: int) -> list[tuple[str, str]]:
    """Run a segment of several runs, which differ in structures, temperatures and seeds only.

    Args:
        jobs: The runs.
        folders: Of each, where its files go, and where its restart file lies unless it begins.
        first_step: Where the segment begins.

    Returns:
        For each, what is to be known of it, in LAMMPS's words, and how it flew apart, if it did.

    Raises:
        DynamicsError: the structures or the potential cannot be taken, or the card has too little memory.
        MissingDependencyError: there is no GPU.
    """
    settings = jobs[0].settings
    for folder in folders:
        for name in (FINAL, SNAPSHOTS, RESTART, *map(dump_name, settings.streams)):
            (folder / name).unlink(missing_ok=True)
    recorders = [_Recorder(job, folder) for job, folder in zip(jobs, folders, strict=True)]
    try:
        motion = _start(jobs, folders, first_step)
        for step in _events(settings, first_step):
            motion.advance(step - motion.step)
            _look(motion, recorders, is_start=step == first_step and step > 0)
            if not any(recorder.is_running for recorder in recorders):
                break
        for number, recorder in enumerate(recorders):
            recorder.finish(motion, number)
    except (SmallCellError, GpuError) as error:
        raise DynamicsError(f"a run on the GPU: {error}") from None
    except InvalidStructureError as error:  # two atoms in one place, or a cell that has lost its volume
        if len(jobs) > 1:  # whose, each will show by itself: runs do not depend on one another
            pairs = zip(jobs, folders, strict=True)
            return [run_on_gpu([job], [folder], first_step)[0] for job, folder in pairs]
        return [(recorder.printed, str(error)) for recorder in recorders]
    return [(recorder.printed, recorder.burst) for recorder in recorders]


def _events(settings: RunSettings, first_step: int) -> Iterator[int]:
    """Steps at which something is looked at, the first and the last of the segment included."""
    last = min(settings.steps, first_step + settings.segment_steps)
    intervals = [settings.thermo_every, WATCH_EVERY, *([settings.grading.every] if settings.grading else [])]
    steps = {first_step, last}
    for interval in intervals:
        steps |= set(range(-(-first_step // interval) * interval, last + 1, interval))
    yield from sorted(steps)


def _look(motion: Motion, recorders: Sequence["_Recorder"], *, is_start: bool) -> None:
    """Whatever is due at this step, of all systems that are running.

    At the start of a later segment only the last grading is repeated, which the table goes on showing.
    """
    settings, step = recorders[0].job.settings, motion.step
    for recorder, flags in zip(recorders, motion.flags(), strict=True):
        recorder.note_flags(*flags)
    if settings.grading is not None and step % settings.grading.every == 0:
        for number, grades in enumerate(motion.grades()):
            recorders[number].note_grades(motion, number, grades, is_known=is_start)
    if is_start:
        return
    if step % settings.thermo_every == 0 or step == settings.steps:
        for recorder, seen, places in zip(recorders, motion.observe(), motion.positions(), strict=True):
            recorder.note(step, seen, places)
    if step % WATCH_EVERY == 0 and step > 0:
        for recorder, temperature in zip(recorders, motion.temperatures().tolist(), strict=True):
            recorder.watch("hot", step, temperature, recorder.job.settings.hottest)
    _finish_those_that_ended(motion, recorders)


def _finish_those_that_ended(motion: Motion, recorders: Sequence["_Recorder"]) -> None:
    for number, recorder in enumerate(recorders):
        if not recorder.is_running:
            recorder.finish(motion, number)
            motion.stop(number)


# ------------------------------------------------------------------ starting


@lru_cache(maxsize=1)
def _sites(backend: Backend, path: Path, _stamp: int, precision: Precision) -> Sites:
    try:
        return Sites(backend, mtpcore.read_potential(path), precision=precision)
    except (ValueError, MtpcoreError) as error:
        raise DynamicsError(f"the potential {path} cannot be used: {error}") from None


def _start(jobs: Sequence[Job], folders: Sequence[Path], first_step: int) -> Motion:
    path, settings, ensemble = jobs[0].potential.path, jobs[0].settings, jobs[0].settings.ensemble
    for job in jobs:
        check_structure(job.atoms, job.potential.species)
    backend = device()
    precision: Precision = "mixed" if jobs[0].engine == "gpu-mixed" else "double"
    sites = _sites(backend, path, path.stat().st_mtime_ns, precision)
    if settings.grading is not None and not sites.has_grades:
        raise DynamicsError(f"{path} holds no active set of neighbourhoods: grades cannot be computed")
    motion = MotionSettings(
        timestep=settings.timestep,
        steps=settings.steps,
        thermostat_time=None if ensemble.name == "nve" else ensemble.thermostat_time,
        coupling=ensemble.coupling if ensemble.name == "npt" else None,
        pressure=ensemble.pressure * BAR_PER_GPA / EV_PER_ANGSTROM3_IN_BAR,
        barostat_time=ensemble.barostat_time,
    )
    if first_step == 0:
        systems = [_first_system(job) for job in jobs]
    else:
        systems = [
            _later_system(job, _read_state(folder / f"{RESTART}.in")) for job, folder in zip(jobs, folders, strict=True)
        ]
    return Motion(sites, backend, systems, motion, first_step)


def _first_system(job: Job) -> MovingSystem:
    """In LAMMPS's orientation, velocities drawn or those of the structure without their total momentum."""
    prism, masses = orientation(job.atoms), _masses(job.atoms)
    if job.settings.create_velocities:
        temperature = job.settings.ensemble.temperature
        velocities = thermal_velocities(masses, temperature, seed_for(job.seed, "velocities"))
    else:
        velocities = job.atoms.get_velocities() @ prism.rot_mat * PER_PS
        velocities -= masses @ velocities / masses.sum()
    state = {
        "positions": prism.vector_to_lammps(job.atoms.positions),
        "images": np.zeros((len(masses), 3), np.int32),
        "velocities": velocities,
        "cell": np.tril(prism.cell),
        "taken": np.zeros(()),
    }
    return _later_system(job, state)


def _later_system(job: Job, state: Mapping[str, Any]) -> MovingSystem:
    ensemble, symbols = job.settings.ensemble, np.array(job.atoms.get_chemical_symbols())
    is_framework = ~np.isin(symbols, job.settings.mobile)
    return MovingSystem(
        System(kinds_of(job.atoms, job.potential.species), state["positions"], state["cell"]),
        _masses(job.atoms),
        state["velocities"],
        state["images"],
        is_framework if is_framework.any() else ~is_framework,
        (ensemble.temperature, ensemble.last_temperature),
        seed_for(job.seed, "thermostat"),
        float(state["taken"]),
    )


def _masses(atoms: Atoms) -> FloatArray:
    """Of the elements, as LAMMPS is given them."""
    return np.array([atomic_masses[atomic_numbers[symbol]] for symbol in atoms.get_chemical_symbols()])


def _read_state(path: Path) -> dict[str, FloatArray]:
    try:
        with path.open("rb") as file, np.load(file) as content:
            return {name: content[name] for name in STATE}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise FileError(f"{path} is no checkpoint of a run on a GPU: {error}; delete the run's folder") from None


# ------------------------------------------------------------------ recording


@dataclass
class _Grades:
    """Largest of the last grading, and of all."""

    last: float = 0.0
    ever: float = 0.0


class _Recorder:
    """Writes what one system does, as LAMMPS would.

    Attributes:
        job: The run.
        printed: What is to be known of it, in LAMMPS's words.
        burst: How it flew apart; empty if it did not.
        is_running: Whether it still goes on.
    """

    def __init__(self, job: Job, folder: Path) -> None:
        self.job, self._folder = job, folder
        self.printed, self.burst = "", ""
        self.is_running = True
        self._is_finished = False
        self._grades = _Grades()
        symbols = np.array(job.atoms.get_chemical_symbols())
        self._streams = [(stream, _members(stream, symbols, job)) for stream in job.settings.streams]
        self._keywords = thermo_keywords(job.settings)
        (folder / LOG).write_text(" ".join("Step" if word == "step" else word for word in self._keywords) + "\n")

    def note_flags(self, is_burst: np.bool_, is_close: np.bool_) -> None:
        """What the kernels have noticed since the start."""
        if is_close and "WARNING" not in self.printed:
            self.printed += "WARNING: pairs of atoms are below min_dist, where the potential knows nothing\n"
        if is_burst and self.is_running:
            self.burst = f"forces above {LARGEST_FORCE:g} eV/angstrom, or no numbers"
            self.is_running = False

    def note_grades(self, motion: Motion, number: int, grades: FloatArray, *, is_known: bool) -> None:
        """Keep the structure and stop the run where the grade asks for it, unless the last segment has done so."""
        grading = self.job.settings.grading
        if grading is None or not self.is_running:
            return
        largest = float(np.max(grades))
        largest = np.inf if isnan(largest) else largest
        self._grades = _Grades(largest, max(self._grades.ever, largest))
        if is_known:
            return
        if grading.select is not None and largest > grading.select and np.isfinite(largest):
            self._keep(motion, number, grades)
        if grading.stop is not None:
            self.watch("unknown", motion.step, largest, grading.stop)

    def watch(self, name: str, step: int, value: float, limit: float) -> None:
        """Stop the run softly above a limit; NaN is above all."""
        if self.is_running and not value <= limit:
            self.printed += f"Fix halt condition for fix-id {name} met on step {step} with value {value:.17g}\n"
            self.is_running = False

    def note(self, step: int, seen: Observation, places: FloatArray) -> None:
        """A row of the table, and frames."""
        if self._is_finished or self.burst:
            return
        cell, settings = seen.cell, self.job.settings
        bar = seen.pressure * EV_PER_ANGSTROM3_IN_BAR
        conserved = seen.potential_energy + seen.kinetic_energy + seen.taken
        if settings.ensemble.name == "npt":
            pressure = settings.ensemble.pressure * BAR_PER_GPA / EV_PER_ANGSTROM3_IN_BAR
            conserved += pressure * cell[0, 0] * cell[1, 1] * cell[2, 2]
        row = [seen.temperature, seen.potential_energy, seen.kinetic_energy, conserved, *bar, *cell.diagonal()]
        row += [cell[2, 1], cell[2, 0], cell[1, 0], *seen.framework]
        if settings.grading is not None:
            row += [self._grades.last, self._grades.ever]
        with (self._folder / LOG).open("a", encoding="utf-8") as file:
            file.write(f"{step} {' '.join(f'{number:.17g}' for number in row)}\n")
        for stream, members in self._streams:
            if step % stream.every == 0:
                append_frame(self._folder / dump_name(stream), DumpFrame(step, cell, places[members]))

    def _keep(self, motion: Motion, number: int, grades: FloatArray) -> None:
        state, kinds = motion.state(number), kinds_of(self.job.atoms, self.job.potential.species)
        frame = DumpFrame(motion.step, state["cell"], np.column_stack([state["positions"], grades]))
        append_snapshot(self._folder / SNAPSHOTS, kinds, frame)

    def finish(self, motion: Motion, number: int) -> None:
        """Write the state, unless the system flew apart or has been finished."""
        if self._is_finished or self.burst:
            return
        self._is_finished = True
        state = motion.state(number)
        columns = np.hstack([motion.positions()[number], state["velocities"]])
        append_frame(self._folder / FINAL, DumpFrame(motion.step, state["cell"], columns))
        with (self._folder / RESTART).open("wb") as file:
            np.savez(file, **{name: state[name] for name in STATE})  # type: ignore[arg-type]


def _members(stream: Stream, symbols: np.ndarray, job: Job) -> np.ndarray:
    """Which atoms a stream keeps."""
    if stream.elements is None:
        return np.ones(len(symbols), bool)
    if not set(stream.elements) & set(job.potential.species):
        raise DynamicsError(
            f"the stream '{stream.name}' keeps {', '.join(stream.elements)}; the potential knows "
            f"{', '.join(job.potential.species)}"
        )
    return np.isin(symbols, stream.elements)
