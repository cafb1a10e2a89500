"""What a campaign would cost, before anything runs."""

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from argyro.common.errors import ConfigError
from argyro.common.files import read_json
from argyro.config.load import ROOT, dump
from argyro.config.model import Config

from . import rounds
from .costs import UNKNOWN, Cost, seconds_of
from .schedule import schedule, seconds_to_the_end
from .work import SECONDS_PER_LABEL, Work

HOUR = 3600.0
PRICED_LABELS = {"label", "label_candidates", "sample_seeds"}
"""By seconds that are known of their backend, if they never ran."""
HEADER = (
    *("stage      ", "    jobs", " + about", "   of all, range", "core-hours", "           (range)"),
    *("GPU-hours", "disk GB", "memory GB"),
)
DAG_SECONDS = 3600.0  # no graph takes longer


@dataclass(frozen=True)
class PlannedJob:
    """A job as it is expected.

    Attributes:
        rule: Its rule.
        stage: Its stage.
        seconds: Of wall-clock time.
        threads: Cores.
        gpu: GPUs.
        memory_mb: Asked for.
        files_mb: What it leaves, MB.
        after: Numbers of the jobs before it.
        exact: Whether it is known to run.
    """

    rule: str
    stage: str
    seconds: float
    threads: int
    gpu: int
    memory_mb: int
    files_mb: float
    after: tuple[int, ...]
    exact: bool

    @property
    def core_hours(self) -> float:
        """Hours of all its cores."""
        return self.seconds * self.threads / HOUR


def read_graph(config: Config, folder: Path) -> list[dict[str, Any]]:
    """All jobs of a campaign, from Snakemake.

    Args:
        config: Its configuration.
        folder: Where it has run, or an empty one for a campaign that begins.

    Raises:
        ConfigError: Snakemake refuses the campaign.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file, result = Path(scratch) / "config.yaml", Path(scratch) / "jobs.json"
        file.write_text(yaml.safe_dump(dump(config), sort_keys=False, allow_unicode=True), encoding="utf-8")
        arguments = [str(ROOT / "Snakefile"), str(folder), str(file), str(result)]
        command = [sys.executable, "-P", "-m", "argyro.campaign.dag", *arguments]
        done = subprocess.run(  # noqa: S603  our own
            command, capture_output=True, text=True, check=False, timeout=DAG_SECONDS
        )
        if done.returncode != 0 or not result.exists():
            raise ConfigError(f"Snakemake finds no plan for this campaign:\n{(done.stdout + done.stderr)[-2000:]}")
        found: list[dict[str, Any]] = read_json(result)
        return found


def stage_of(job: dict[str, Any]) -> str:
    """The stage that a job belongs to."""
    return Path(job["benchmark"]).parts[1]


def planned(jobs: Iterable[dict[str, Any]], work: Work, costs: dict[str, Cost]) -> list[PlannedJob]:
    """Jobs with what they are expected to cost."""
    found = []
    for job in jobs:
        rule, wildcards = job["rule"], job["wildcards"]
        cost = costs.get(work.key(rule))
        amount = work.of(rule, wildcards)
        seconds = seconds_of(cost, amount)
        if cost is None and rule in PRICED_LABELS:
            seconds = amount / job["threads"]  # its work is in seconds
        if cost is None and (on_gpu := work.seconds_on_gpu(rule, wildcards)) is not None:
            seconds = on_gpu
        files = (UNKNOWN[2] if cost is None else cost.files_mb) + work.bytes_written(rule, wildcards) / 1e6
        found.append(
            PlannedJob(
                rule,
                stage_of(job),
                seconds,
                job["threads"],
                job["gpu"],
                job["mem_mb"],
                files,
                tuple(job["after"]),
                not job.get("estimated", False),
            )
        )
    return found


def plan(config: Config, costs: dict[str, Cost], cores: Sequence[int]) -> dict[str, Any]:
    """The plan of a campaign that has not begun, as JSON holds it; ``actual`` is for what it comes to."""
    work = Work(config)
    with tempfile.TemporaryDirectory() as folder:
        graph = read_graph(config, Path(folder))

    jobs = planned(rounds.with_rounds(graph, config, work, rounds.expected), work, costs)

    def core_hours(job: dict[str, Any]) -> float:
        return planned([job], work, costs)[0].core_hours

    bounds = [rounds.cost_of_rounds(graph, config, work, of, core_hours) for of in (rounds.fewest, rounds.most)]
    stages = list(dict.fromkeys(job.stage for job in jobs))
    unlimited = schedule(jobs)
    return {
        "campaign": config.campaign,
        "stages": [_summary(stage, jobs, bounds, {stage}) for stage in stages],
        "total": _summary("total", jobs, bounds, set(stages)),
        "rules": [_of_rule(rule, jobs) for rule in dict.fromkeys(job.rule for job in jobs)],
        "peak_cores": unlimited.peak_cores,
        "longest_chain_hours": max(seconds_to_the_end(jobs), default=0.0) / HOUR,
        "hours_on_cores": {str(count): schedule(jobs, count).seconds / HOUR for count in cores},
        "never_run": sorted({job.rule for job in jobs if not (job.gpu or work.key(job.rule) in costs)} - PRICED_LABELS),
        "notes": _notes(config, jobs, costs, work),
        "actual": None,
    }


def _of_rule(rule: str, jobs: Sequence[PlannedJob]) -> dict[str, Any]:
    mine = [job for job in jobs if job.rule == rule]
    return {
        "rule": rule,
        "stage": mine[0].stage,
        "jobs": len(mine),
        "core_hours": sum(job.core_hours for job in mine),
        "exact": all(job.exact for job in mine),
    }


def _summary(
    name: str, jobs: Sequence[PlannedJob], bounds: Sequence[tuple[int, float]], stages: set[str]
) -> dict[str, Any]:
    """Of some stages; the bounds are of the rounds of learning, jobs and core-hours, at least and at most."""
    mine = [job for job in jobs if job.stage in stages]
    exact = [job for job in mine if job.exact]
    (least, least_hours), (most, most_hours) = bounds if "learning" in stages else [(0, 0.0)] * 2
    known_hours = sum(job.core_hours for job in exact)
    return {
        "stage": name,
        "jobs": len(mine),
        "exact": len(exact) == len(mine),
        "jobs_exact": len(exact),
        "jobs_estimated": len(mine) - len(exact),
        "jobs_least": len(exact) + least,
        "jobs_most": len(exact) + most,
        "core_hours": sum(job.core_hours for job in mine),
        "core_hours_least": known_hours + least_hours,
        "core_hours_most": known_hours + most_hours,
        "gpu_hours": sum(job.seconds * job.gpu for job in mine) / HOUR,
        "disk_gb": sum(job.files_mb for job in mine) / 1000,
        "largest_memory_mb": max((job.memory_mb for job in mine), default=0),
    }


def _notes(config: Config, jobs: Sequence[PlannedJob], costs: dict[str, Cost], work: Work) -> list[str]:
    notes = []
    if any(not job.exact for job in jobs):
        notes.append(
            "How many rounds learning needs is known when they have run: between one round of each level and "
            "max_rounds; expected are those of the quickstart."
        )
    labels = [job for job in jobs if job.rule in PRICED_LABELS]
    if labels and work.key("label") not in costs:
        seconds, _ = SECONDS_PER_LABEL[config.labels.backend]
        notes.append(
            f"Labels by {config.labels.backend} are taken for {seconds:g} core-seconds per 52 atoms; calibrate with "
            "labels of your own, as this may be wrong by a factor of ten."
        )
    if config.learning.outer_stop.diffusivity_of or config.learning.outer_stop.energy_of:
        notes.append("Probes of learning.outer_stop are not counted.")
    return notes


def format_plan(content: dict[str, Any]) -> str:
    """A plan as a table."""
    lines = [f"Plan of the campaign {content['campaign']} (hours and disk are estimates)", "", "  ".join(HEADER)]
    lines += [_line(row) for row in [*content["stages"], content["total"]]]
    lines += ["", f"Cores busy at once, at most: {content['peak_cores']}"]
    lines.append(f"Longest chain, with cores enough: {content['longest_chain_hours']:.3g} hours")
    lines += [f"Time on {count} cores: {hours:.3g} hours" for count, hours in content["hours_on_cores"].items()]
    lines += ["", *content["notes"]]
    if content["never_run"]:
        lines.append(f"Never run so far, so {UNKNOWN[0]:g} s are assumed: {', '.join(content['never_run'])}")
    return "\n".join(lines)


def _line(row: dict[str, Any]) -> str:
    """A stage of a plan, in columns as wide as their heads."""
    is_range = row["jobs_least"] != row["jobs_most"]
    cells = [
        row["stage"],
        str(row["jobs_exact"]),
        str(row["jobs_estimated"]),
        f"{row['jobs_least']}-{row['jobs_most']}" if is_range else "exact",
        f"{row['core_hours']:.3g}",
        f"{row['core_hours_least']:.3g}-{row['core_hours_most']:.3g}" if is_range else "",
        f"{row['gpu_hours']:.3g}",
        f"{row['disk_gb']:.2g}",
        f"{row['largest_memory_mb'] / 1000:.1f}",
    ]
    padded = [f"{cell:>{len(head)}}" for cell, head in zip(cells[1:], HEADER[1:], strict=True)]
    return "  ".join([f"{cells[0]:<{len(HEADER[0])}}", *padded])
