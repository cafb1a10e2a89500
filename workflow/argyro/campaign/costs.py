"""What jobs cost: a table of earlier runs, by rule, and how it is made from their benchmark files."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from argyro.common.errors import FileError
from argyro.common.files import replacing
from argyro.config.load import ROOT

SHIPPED = ROOT / "config/reference/costs.csv"
START = 1.5  # seconds of starting a job, at most; not proportional to its work
UNKNOWN = (10.0, 500.0, 0.1)  # seconds, MB of memory and of files of rules that never ran


@dataclass(frozen=True)
class Cost:
    """What a rule costs.

    Attributes:
        rule: Its name; of labels with their backend.
        jobs: How many jobs it is the mean of.
        start_s: Seconds of a job of no work.
        per_work_s: Seconds per unit of work.
        memory_mb: Most memory that a job took, MB.
        files_mb: Mean size of the declared files, MB.
    """

    rule: str
    jobs: int
    start_s: float
    per_work_s: float
    memory_mb: float
    files_mb: float


@dataclass(frozen=True)
class Measured:
    """A job that has run.

    Attributes:
        key: Where its costs belong.
        work: How much work it was.
        seconds: Of wall-clock time.
        core_seconds: Of all cores that it held.
        busy_seconds: Of its processor time, as far as it was seen.
        memory_mb: At its peak.
        files_mb: Of its declared files.
    """

    key: str
    work: float
    seconds: float
    core_seconds: float
    busy_seconds: float
    memory_mb: float
    files_mb: float


def read_costs(path: Path) -> dict[str, Cost]:
    """A table of costs, by rule.

    Raises:
        FileError: it cannot be read.
    """
    kinds: dict[str, Any] = {field.name: field.type for field in fields(Cost)}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
        costs = [Cost(**{name: kinds[name](text) for name, text in row.items()}) for row in rows]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise FileError(f"{path} is no table of costs ({error}); make one with scripts/plan --calibrate") from None
    return {cost.rule: cost for cost in costs}


def write_costs(path: Path, costs: Iterable[Cost], comment: str) -> None:
    """Write a table of costs in one step."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.write("".join(f"# {line}\n" for line in comment.splitlines()))
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Cost)])
        for cost in sorted(costs, key=lambda cost: cost.rule):
            numbers = (cost.start_s, cost.per_work_s, cost.memory_mb, cost.files_mb)
            writer.writerow([cost.rule, cost.jobs, *(f"{number:.4g}" for number in numbers)])


def read_benchmark(path: Path) -> tuple[float, float, float] | None:
    """Wall-clock and processor seconds, and peak memory in MB, of Snakemake's benchmark file; None if there is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            row = list(csv.DictReader(file, delimiter="\t"))[-1]
    except (OSError, IndexError):
        return None
    seconds = _number(row["s"], 0.0)
    return seconds, _number(row.get("cpu_time"), seconds), _number(row.get("max_rss"), 0.0)


def _number(text: str | None, otherwise: float) -> float:
    """A column of a benchmark file, where a job too short to be looked at has NA."""
    try:
        return float(text or "")
    except ValueError:
        return otherwise


def calibrated(measured: Sequence[Measured], threads: Mapping[str, int]) -> list[Cost]:
    """Costs from jobs that have run, so that the total of each rule is what it was.

    Args:
        measured: The jobs.
        threads: Of each rule.
    """
    by_key: dict[str, list[Measured]] = defaultdict(list)
    for job in measured:
        by_key[job.key].append(job)
    costs = []
    for key, jobs in by_key.items():
        seconds = [job.core_seconds / threads.get(key, 1) for job in jobs]
        start = min(START, 0.8 * min(seconds))
        slope = sum(each - start for each in seconds) / max(sum(job.work for job in jobs), 1e-30)
        memory = max(job.memory_mb for job in jobs)
        costs.append(Cost(key, len(jobs), start, slope, memory, sum(job.files_mb for job in jobs) / len(jobs)))
    return costs


def seconds_of(cost: Cost | None, work: float) -> float:
    """Wall-clock seconds of a job."""
    return UNKNOWN[0] if cost is None else cost.start_s + cost.per_work_s * work
