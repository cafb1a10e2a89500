"""Time of a campaign's jobs by stage, from their benchmark files, and what was planned."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from argyro.common.files import read_json

from .costs import read_benchmark

PLAN = "plan.json"  # that scripts/plan leaves in a campaign's folder
HOUR = 3600.0
OF_RANKS = re.compile(r"(-relax|\dK-\d+)\.tsv$")  # benchmark files of jobs of dynamics whose threads are MPI ranks


class StageTime(NamedTuple):
    """Time of the jobs of a stage.

    Attributes:
        jobs: That left a benchmark file.
        wall: Seconds by the clock, added up.
        core: Seconds of cores that jobs held.
    """

    jobs: int
    wall: float
    core: float


def stage_time(folder: Path, stage: str, ranks: int) -> StageTime:
    """Time of a stage so far.

    Snakemake's processor time lacks programs that a job starts, such as LAMMPS: a job holds at least one core, or all
    its ranks, for its time by the clock.

    Args:
        folder: Of the campaign.
        stage: Its name.
        ranks: MPI ranks of runs.
    """
    jobs, wall, core = 0, 0.0, 0.0
    for file in sorted((folder / "benchmarks" / stage).glob("**/*.tsv")):
        if (measured := read_benchmark(file)) is None:
            continue
        seconds, processor, _ = measured
        held = seconds * (ranks if stage == "dynamics" and OF_RANKS.search(file.name) else 1)
        jobs, wall, core = jobs + 1, wall + seconds, core + max(processor, held)
    return StageTime(jobs, wall, core)


def plan_and_actual(folder: Path, ranks: int) -> Iterator[tuple[str, ...]]:
    """Rows of stage, jobs planned, jobs run, core-hours planned, core-hours used and their ratio; the last adds up.

    Nothing where ``scripts/plan`` has left no plan.
    """
    content: Any = read_json(folder / PLAN) if (folder / PLAN).exists() else {}
    stages = content.get("stages", []) if isinstance(content, dict) else []
    times = [stage_time(folder, row["stage"], ranks) for row in stages]
    for row, time in zip(stages, times, strict=True):
        yield _row(row["stage"], row["jobs"], time.jobs, row["core_hours"], time.core / HOUR, exact=row["exact"])
    if stages:
        jobs, hours = (sum(row[name] for row in stages) for name in ("jobs", "core_hours"))
        run, used = sum(time.jobs for time in times), sum(time.core for time in times) / HOUR
        yield _row("all", jobs, run, hours, used, exact=all(row["exact"] for row in stages))


def _row(name: str, jobs: int, run: int, hours: float, used: float, *, exact: bool) -> tuple[str, ...]:
    planned = f"{jobs}" if exact else f"about {jobs}"
    ratio = f"{used / hours:.2f}" if hours > 0 else ""
    return name, planned, str(run), f"{hours:.3g}", f"{used:.3g}", ratio
