"""Runs of molecular dynamics in segments: a kill repeats one at most, and changes no bit of the result."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
from ase import Atoms

from argyro.common.errors import FileError
from argyro.common.extxyz import format_structure, read_structure, read_structures
from argyro.common.files import read_json, replacing, sha256_of_file, sha256_of_json, write_json
from argyro.common.provenance import software_versions
from argyro.common.tables import join_tables
from argyro.config.dynamics import SIDE_BY_SIDE, Engine, KokkosConfig

from .deck import RESTART
from .harvest import FINAL_FILE, SNAPSHOTS_FILE, THERMO_FILE, Status, trajectory_name
from .job import Job
from .lammps import PotentialFile
from .segment import RECORD, SCRATCH, SegmentRecord, read_record, run_segments
from .settings import RunSettings
from .trajectory import Trajectory, join_trajectories

logger = logging.getLogger(__name__)
RUN_FILE, SEGMENTS, TRAJECTORIES = "run.json", "segments", "trajectory"
PACKAGES = ("mtpcore", "lammps")  # lammps takes no part in a run on a GPU, but is in every environment


@dataclass(frozen=True)
class RunResult:
    """What a run came to, and where its files are.

    Attributes:
        folder: Of its files.
        status: ``finished``; or why it ended early: ``grade`` (a structure the potential does not know), ``enough``
            (structures kept for their grade), ``temperature`` (far above what was asked for), ``burst`` (atoms lost).
        reason: The same in words; empty if it finished.
        steps: How many were made.
        time: How long it ran, ps.
        largest_grade: Met; None where grades were not computed.
        snapshot_count: Structures kept for their grade.
        warnings: Of LAMMPS, each once: pairs closer than the potential's min_dist among them.
        seconds: Wall-clock time of all segments.
    """

    folder: Path
    status: Status
    reason: str
    steps: int
    time: float
    largest_grade: float | None
    snapshot_count: int
    warnings: list[str]
    seconds: float

    @property
    def finished(self) -> bool:
        """Whether the run reached its end."""
        return self.status == "finished"

    def thermo(self) -> pd.DataFrame:
        """Temperature, energies, pressure, cell and drift, a row every ``thermo_every`` steps."""
        return pd.read_parquet(self.folder / THERMO_FILE)

    def trajectory(self, stream: str) -> Trajectory:
        """The trajectory of a stream.

        Raises:
            FileError: missing, or not the file that the run wrote.
        """
        name = f"{TRAJECTORIES}/{stream}.parquet"
        digests = read_json(self.folder / RUN_FILE)["sha256"]
        if name not in digests:
            raise FileError(f"the run in {self.folder} has no frames of a stream '{stream}'")
        return Trajectory(self.folder / name, digests[name])

    def snapshots(self) -> list[Atoms]:
        """Structures kept for their grade, with ``step`` and ``largest_grade`` in ``info`` and the array ``grade``."""
        return read_structures(self.folder / SNAPSHOTS_FILE) if self.snapshot_count else []

    def final(self) -> Atoms:
        """The structure at the end, positions unwrapped, with momenta; of a burst system, at its last checkpoint.

        Raises:
            FileError: the system flew apart before the first checkpoint.
        """
        return read_structure(self.folder / FINAL_FILE)


def run_md(
    atoms: Atoms,
    potential: PotentialFile,
    settings: RunSettings,
    folder: Path,
    *,
    seed: int,
    ranks: int = 1,
    engine: Engine = "lammps",
    kokkos: KokkosConfig | None = None,
) -> RunResult:
    """Run molecular dynamics, or what is left of it.

    A run that is finished in the folder is not repeated, unless a file of it is damaged. One that was killed goes on
    from its last checkpoint. One that another structure, potential, setting or seed has left there is replaced.

    Args:
        atoms: A periodic structure; its momenta are used if ``settings.create_velocities`` is false.
        potential: With an active set of neighbourhoods, if grades are to be computed.
        settings: How.
        folder: Its own; gets ``run.json``, ``thermo.parquet``, ``trajectory/STREAM.parquet``, ``final.extxyz``,
            ``restart`` and, where structures were kept for their grade, ``snapshots.extxyz``.
        seed: Of velocities and thermostat.
        ranks: Processes; results agree to the last bit only for the same number. A GPU takes one.
        engine: ``lammps``; ``gpu``: on an NVIDIA GPU; or ``kokkos``: by a LAMMPS of the user's on a GPU.
        kokkos: Which LAMMPS that is, and how it runs.

    Returns:
        How it went: a run that ends early is a result, not an error.

    Raises:
        DynamicsError: the engine does not take the structure, the potential or the settings.
        MissingDependencyError: the engine is not installed, or there is no GPU.
    """
    runs = [Run(atoms, potential, settings, folder, seed)]
    return run_side_by_side(runs, ranks=ranks, engine=engine, kokkos=kokkos)[0]


@dataclass(frozen=True)
class Run:
    """A run to be made: the arguments of `run_md`."""

    atoms: Atoms
    potential: PotentialFile
    settings: RunSettings
    folder: Path
    seed: int


def run_side_by_side(
    runs: Sequence[Run], *, ranks: int = 1, engine: Engine = "lammps", kokkos: KokkosConfig | None = None
) -> list[RunResult]:
    """Run several as `run_md` runs one: on a GPU all at once, so that small systems fill the card.

    Those with the same potential and settings but for temperatures go together; each comes to the same, to the last
    bit, as it would alone. LAMMPS takes one after another.

    Args:
        runs: Which.
        ranks: Processes of LAMMPS.
        engine: ``lammps``, ``gpu`` or ``kokkos``.
        kokkos: Of the engine ``kokkos``: how it runs.

    Returns:
        How each went, in their order.

    Raises:
        DynamicsError: the engine does not take a structure, the potential or the settings.
        MissingDependencyError: the engine is not installed, or there is no GPU.
    """
    progress = [_Progress(run, ranks, engine, kokkos or KokkosConfig()) for run in runs]
    while running := [one for one in progress if one.result is None]:
        first = min(running, key=lambda one: one.step)
        together = [one for one in running if one.companions == first.companions] if engine in SIDE_BY_SIDE else [first]
        segments = run_segments(
            [one.job for one in together],
            [one.folder / SEGMENTS for one in together],
            [one.done[-1] if one.done else None for one in together],
        )
        for one, segment in zip(together, segments, strict=True):
            one.advance(segment)
    return [one.result for one in progress if one.result is not None]


class _Progress:
    """How far a run is.

    Attributes:
        folder: Of its files.
        job: What there is to do.
        done: Segments.
        result: None until it has ended.
    """

    def __init__(self, run: Run, ranks: int, engine: Engine, kokkos: KokkosConfig) -> None:
        identity = _identity(run, engine)
        self.folder = run.folder
        self.job = Job(run.atoms, run.potential, run.settings, run.seed, ranks, identity, engine, kokkos)
        self.result = _finished(run.folder, identity)
        self.done = [] if self.result else _segments(run.folder / SEGMENTS, identity)
        self._end_if_over()

    @property
    def step(self) -> int:
        """Steps made."""
        return read_record(self.done[-1]).last_step if self.done else 0

    @property
    def companions(self) -> tuple[object, ...]:
        """What runs side by side have in common."""
        ensemble = replace(self.job.settings.ensemble, temperature=1.0, end_temperature=None)
        return self.step, self.job.potential, replace(self.job.settings, ensemble=ensemble)

    def advance(self, segment: Path) -> None:
        """Count another segment."""
        self.done.append(segment)
        record, settings = read_record(segment), self.job.settings
        logger.info("%s: step %d of %d in %.1f s", self.folder, record.last_step, settings.steps, record.seconds)
        self._end_if_over()

    def _end_if_over(self) -> None:
        if self.done and _status(self.done, self.job.settings) != "running":
            self.result = _assemble(self.job, self.folder, self.done)
            shutil.rmtree(self.folder / SEGMENTS)


def read_run(folder: Path) -> RunResult:
    """A run that has ended.

    Raises:
        FileError: there is none.
    """
    content = read_json(folder / RUN_FILE)
    names = [name for name in RunResult.__annotations__ if name != "folder"]
    return RunResult(folder=folder, **{name: content[name] for name in names})


def _identity(run: Run, engine: Engine) -> str:
    return sha256_of_json(
        ({} if engine == "lammps" else {"engine": engine})
        | {
            "structure": format_structure(run.atoms),
            "potential": [sha256_of_file(run.potential.path), run.potential.species],
            "settings": asdict(run.settings),
            "seed": run.seed,
        }
    )


def _finished(folder: Path, identity: str) -> RunResult | None:
    """The result that is there already, if it is this run's and whole."""
    if not (folder / RUN_FILE).exists():
        return None
    content = read_json(folder / RUN_FILE)
    if content["identity"] != identity:
        logger.info("%s holds another run, which is replaced", folder)
        return None
    for name, digest in content["sha256"].items():
        if not (folder / name).exists() or sha256_of_file(folder / name) != digest:
            logger.warning("%s is missing or damaged: the run is repeated", folder / name)
            return None
    return read_run(folder)


def _segments(folder: Path, identity: str) -> list[Path]:
    """Complete segments of this run, in order; what is left of others is removed."""
    for scratch in folder.glob(f"{SCRATCH}*"):
        shutil.rmtree(scratch, ignore_errors=True)
    done = sorted(path.parent for path in folder.glob(f"[0-9]*/{RECORD}"))
    if any(read_record(path).identity != identity for path in done):
        logger.info("%s holds segments of another run, which are removed", folder)
        shutil.rmtree(folder)
        return []
    return done


def _status(done: list[Path], settings: RunSettings) -> Status:
    """How the run stands after its segments so far."""
    last = read_record(done[-1])
    if last.status == "running" and settings.grading is not None:
        kept = sum(read_record(path).snapshots for path in done)
        return "enough" if kept >= settings.grading.enough else "running"
    return last.status


def _assemble(job: Job, folder: Path, done: list[Path]) -> RunResult:
    """Join the files of the segments; ``run.json`` comes last."""
    records = [read_record(path) for path in done]
    files = {THERMO_FILE: join_tables, SNAPSHOTS_FILE: _join_texts, FINAL_FILE: _take_last, RESTART: _take_last}
    trajectories = {f"{TRAJECTORIES}/{trajectory_name(s)}": join_trajectories for s in job.settings.streams}
    digests = {}
    for name, join in (files | trajectories).items():
        (folder / name).unlink(missing_ok=True)
        if parts := [path / Path(name).name for path in done if (path / Path(name).name).exists()]:
            join(folder / name, parts)
            digests[name] = sha256_of_file(folder / name)
    return _record(job, folder, records, digests, _status(done, job.settings))


def _record(job: Job, folder: Path, records: list[SegmentRecord], digests: dict[str, str], status: Status) -> RunResult:
    last, kept = records[-1], sum(record.snapshots for record in records)
    grades = [record.largest_grade for record in records if record.largest_grade is not None]
    result = RunResult(
        folder=folder,
        status=status,
        reason=f"{kept} structures were kept for their grade" if status == "enough" else last.reason,
        steps=last.last_step,
        time=last.last_step * job.settings.timestep,
        largest_grade=max(grades) if grades else None,
        snapshot_count=kept,
        warnings=sorted({warning for record in records for warning in record.warnings}),
        seconds=sum(record.seconds for record in records),
    )
    content = asdict(result) | {
        "identity": job.identity,
        "atoms": len(job.atoms),
        "seed": job.seed,
        "ranks": job.ranks,
        "engine": job.engine,
        "settings": asdict(job.settings),
        "potential_sha256": sha256_of_file(job.potential.path),
        "species": list(job.potential.species),
        "software": software_versions(PACKAGES),
        "sha256": digests,
    }
    del content["folder"]
    write_json(folder / RUN_FILE, content)
    return result


def _join_texts(path: Path, parts: list[Path]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as whole:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole)


def _take_last(path: Path, parts: list[Path]) -> None:
    with replacing(path) as temporary:
        shutil.copyfile(parts[-1], temporary)
