"""Runs of molecular dynamics in segments: a kill repeats one at most, and changes no bit of the result."""

import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from ase import Atoms

from argyro.common.errors import FileError
from argyro.common.extxyz import format_structure, read_structure, read_structures
from argyro.common.files import read_json, replacing, sha256_of_file, sha256_of_json, write_json
from argyro.common.provenance import software_versions
from argyro.common.tables import join_tables

from .deck import RESTART
from .harvest import FINAL_FILE, SNAPSHOTS_FILE, THERMO_FILE, Status, trajectory_name
from .job import Engine, Job
from .lammps import PotentialFile
from .segment import RECORD, SCRATCH, SegmentRecord, read_record, run_segment
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
        engine: ``lammps``, or ``gpu``: on an NVIDIA GPU.

    Returns:
        How it went: a run that ends early is a result, not an error.

    Raises:
        DynamicsError: the engine does not take the structure, the potential or the settings.
        MissingDependencyError: the engine is not installed, or there is no GPU.
    """
    identity = _identity(atoms, potential, settings, seed, engine)
    job = Job(atoms, potential, settings, seed, ranks, identity, engine)
    if (result := _finished(folder, identity)) is not None:
        return result
    done = _segments(folder / SEGMENTS, identity)
    while not done or _status(done, settings) == "running":
        done.append(run_segment(job, folder / SEGMENTS, done[-1] if done else None))
        record = read_record(done[-1])
        logger.info("%s: step %d of %d in %.1f s", folder, record.last_step, settings.steps, record.seconds)
    result = _assemble(job, folder, done)
    shutil.rmtree(folder / SEGMENTS)
    return result


def read_run(folder: Path) -> RunResult:
    """A run that has ended.

    Raises:
        FileError: there is none.
    """
    content = read_json(folder / RUN_FILE)
    names = [name for name in RunResult.__annotations__ if name != "folder"]
    return RunResult(folder=folder, **{name: content[name] for name in names})


def _identity(atoms: Atoms, potential: PotentialFile, settings: RunSettings, seed: int, engine: Engine) -> str:
    return sha256_of_json(
        ({} if engine == "lammps" else {"engine": engine})
        | {
            "structure": format_structure(atoms),
            "potential": [sha256_of_file(potential.path), potential.species],
            "settings": asdict(settings),
            "seed": seed,
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
