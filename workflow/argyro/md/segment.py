"""One segment of a run: from one checkpoint to the next, published in one step.

LAMMPS runs it as a fresh process; on a GPU it starts from nothing but the checkpoint, too.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from argyro.common.files import read_json, write_json
from argyro.common.randomness import seed_for

from . import harvest, kokkos
from .deck import PLUGIN, RESTART, Dialect, lammps_seed, segment_deck
from .harvest import Status
from .job import Job
from .lammps import DATA, OUTPUT, BurstError, run_deck, run_lammps, write_data

RECORD = "segment.json"
SCRATCH = ".segment-"


@dataclass(frozen=True)
class SegmentRecord:
    """How a segment went.

    Attributes:
        identity: Of the run.
        first_step: Where it began.
        last_step: Where it ended.
        status: ``running`` if the run goes on.
        reason: Why the run ended early; empty if it did not.
        largest_grade: None where grades were not computed.
        snapshots: How many structures were kept for their grade.
        warnings: Of LAMMPS, each once.
        seconds: It took; of runs side by side, its share.
    """

    identity: str
    first_step: int
    last_step: int
    status: Status
    reason: str
    largest_grade: float | None
    snapshots: int
    warnings: list[str]
    seconds: float


def read_record(folder: Path) -> SegmentRecord:
    """How a finished segment went."""
    return SegmentRecord(**read_json(folder / RECORD))


def run_segments(jobs: Sequence[Job], segments: Sequence[Path], previous: Sequence[Path | None]) -> list[Path]:
    """Run the segment after another one, or the first, of runs that go side by side.

    Args:
        jobs: The runs, all of one engine and at one step; one, but on the engine ``gpu``.
        segments: Folder of all segments of each.
        previous: The segment before.

    Returns:
        The folder of each, which appears when it is complete.
    """
    began = time.monotonic()
    first_step, scratches = 0, []
    for folder, before in zip(segments, previous, strict=True):
        folder.mkdir(parents=True, exist_ok=True)
        scratches.append(Path(tempfile.mkdtemp(prefix=SCRATCH, dir=folder)))
        if before is not None:
            first_step = read_record(before).last_step
            shutil.copyfile(before / RESTART, scratches[-1] / f"{RESTART}.in")
    endings = ENGINES[jobs[0].engine](jobs, scratches, first_step)
    seconds = (time.monotonic() - began) / len(jobs)
    published = []
    for job, folder, scratch, (printed, burst) in zip(jobs, segments, scratches, endings, strict=True):
        left = harvest.harvest(scratch, job.atoms, job.settings, first_step=first_step, printed=printed, burst=burst)
        record = SegmentRecord(identity=job.identity, first_step=first_step, seconds=seconds, **asdict(left))
        write_json(scratch / RECORD, asdict(record))
        published.append(folder / f"{first_step:012d}")
        scratch.rename(published[-1])
    return published


def _run_lammps(jobs: Sequence[Job], scratches: Sequence[Path], first_step: int) -> list[tuple[str, str]]:
    """What LAMMPS printed, and how the system flew apart, if it did."""
    (job,), (scratch,) = jobs, scratches
    deck = _deck(job, scratch, first_step, PLUGIN)
    return [_ending(scratch, lambda: run_lammps(scratch, deck, ranks=job.ranks))]


def _run_kokkos(jobs: Sequence[Job], scratches: Sequence[Path], first_step: int) -> list[tuple[str, str]]:
    """The same, by the user's LAMMPS on a GPU."""
    (job,), (scratch,) = jobs, scratches
    words = kokkos.command_line(job.kokkos, job.settings.grading)
    deck = _deck(job, scratch, first_step, kokkos.dialect(job.kokkos))
    ending = _ending(scratch, lambda: run_deck(scratch, deck, words, {}))
    kokkos.translate(scratch, job.atoms, job.potential.species, job.settings, first_step=first_step)
    return [ending]


def _deck(job: Job, scratch: Path, first_step: int, dialect: Dialect) -> str:
    """The commands; the structure's file is written where they need it."""
    if first_step == 0:
        write_data(scratch / DATA, job.atoms, job.potential.species)
    return segment_deck(
        job.potential,
        job.settings,
        first_step=first_step,
        velocity_seed=lammps_seed(seed_for(job.seed, "velocities")),
        thermostat_seed=lammps_seed(seed_for(job.seed, "thermostat")),
        dialect=dialect,
    )


def _ending(scratch: Path, run: Callable[[], str]) -> tuple[str, str]:
    try:
        return run(), ""
    except BurstError as error:
        return (scratch / OUTPUT).read_text(encoding="utf-8", errors="replace"), str(error)


def _run_gpu(jobs: Sequence[Job], scratches: Sequence[Path], first_step: int) -> list[tuple[str, str]]:
    """The same, on a GPU."""
    from .gpu import run_on_gpu  # noqa: PLC0415  what LAMMPS does without

    return run_on_gpu(jobs, scratches, first_step)


ENGINES = {"lammps": _run_lammps, "gpu": _run_gpu, "gpu-mixed": _run_gpu, "kokkos": _run_kokkos}
