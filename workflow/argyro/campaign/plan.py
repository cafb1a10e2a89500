"""``scripts/plan``: what a campaign would cost, before anything runs, and what it did cost, afterwards."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from argyro.common.errors import ArgyroError, ConfigError
from argyro.common.files import read_json, write_json
from argyro.config.load import ROOT, dump, load_files, preset_file
from argyro.config.model import Config

from . import rounds
from .command_line import DEFAULT_PRESET
from .costs import (
    SHIPPED,
    UNKNOWN,
    Cost,
    Measured,
    calibrated,
    read_benchmark,
    read_costs,
    seconds_of,
    write_costs,
)
from .folder import campaign_folder
from .schedule import schedule, seconds_to_the_end
from .work import SECONDS_PER_LABEL, Work

EXIT_WRONG_INPUT = 2
HOUR = 3600.0
DEFAULT_CORES = (16, 128, 1024)
PRICED_LABELS = {"label", "label_candidates"}  # by seconds that are known of their backend, if they never ran
HEADER = (
    *("stage      ", "    jobs", " + about", "   of all, range", "core-hours", "           (range)"),
    *("GPU-hours", "disk GB", "memory GB"),
)
DAG_SECONDS = 3600.0  # no graph takes longer
MEMORY_MARGIN, TIME_MARGIN = 1.5, 3.0  # of suggested resources over the largest seen
LEAST_MEMORY_MB, LEAST_MINUTES = 500, 5
DESCRIPTION = """\
What a campaign would cost: jobs, core-hours, GPU-hours, disk and time, by stage. Counts are exact where Snakemake's
graph shows the jobs, and estimates behind its checkpoints, where a range is given as well; hours and disk are estimates
by what jobs cost in earlier runs, and what has never run is said."""


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


def main(words: Sequence[str]) -> int:
    """Do what the words after ``scripts/plan`` ask for; the exit status."""
    try:
        asked = _parser().parse_args(list(words))
        config = load_files(_overlay(asked.campaign), asked.config)
        if asked.calibrate is not None:
            text = calibrate(config, asked.calibrate)
        elif asked.actual:
            text = compare(config, read_costs(asked.costs))
        else:
            content = plan(config, read_costs(asked.costs), asked.cores or DEFAULT_CORES)
            if asked.json is not None:
                write_json(asked.json, content)
            text = format_plan(content)
    except ArgyroError as error:
        print(f"argyro: error: {error}", file=sys.stderr)  # noqa: T201  talks to the user
        return EXIT_WRONG_INPUT
    print(text)  # noqa: T201  asked for
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/plan", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("campaign", nargs="?", default=DEFAULT_PRESET, help="a preset, or a file of settings")
    parser.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", help="single settings")
    parser.add_argument("--cores", type=_positive, action="append", help="also the time on so many; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the plan as JSON as well")
    parser.add_argument("--costs", type=Path, default=SHIPPED, metavar="FILE", help="table of costs (default: shipped)")
    parser.add_argument("--actual", action="store_true", help="after a run: plan against actual, by rule")
    parser.add_argument("--calibrate", type=Path, metavar="FILE", help="after a run: write its costs into a table")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of cores")
    return int(text)


def _overlay(campaign: str) -> Path:
    path = Path(campaign)
    return path if path.suffix in {".yaml", ".yml"} or path.exists() else preset_file(campaign)


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
        files = (UNKNOWN[2] if cost is None else cost.files_mb) + work.bytes_written(rule, wildcards) / 1e6
        found.append(
            PlannedJob(
                rule,
                Path(job["benchmark"]).parts[1],
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
    """The plan of a campaign that has not begun, as JSON holds it."""
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
        "peak_cores": unlimited.peak_cores,
        "longest_chain_hours": max(seconds_to_the_end(jobs), default=0.0) / HOUR,
        "hours_on_cores": {str(count): schedule(jobs, count).seconds / HOUR for count in cores},
        "never_run": sorted({job.rule for job in jobs if work.key(job.rule) not in costs} - PRICED_LABELS),
        "notes": _notes(config, jobs, costs, work),
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


# --- after a run -----------------------------------------------------------------------------------------------------


def measured(config: Config, graph: Iterable[dict[str, Any]], folder: Path) -> list[tuple[dict[str, Any], Measured]]:
    """Jobs that have run, with what they cost."""
    work = Work(config)
    found = []
    for job in graph:
        if (benchmark := read_benchmark(folder / job["benchmark"])) is None:
            continue
        seconds, core_seconds, memory = benchmark
        files = [folder / name for name in job["outputs"]]
        size = sum(file.stat().st_size for file in files if file.is_file()) / 1e6
        key, amount = work.key(job["rule"]), work.of(job["rule"], job["wildcards"])
        found.append((job, Measured(key, amount, seconds, core_seconds, memory, size)))
    return found


def _require_run(config: Config) -> tuple[list[dict[str, Any]], list[tuple[dict[str, Any], Measured]]]:
    folder = campaign_folder(config.campaign)
    if not (folder / "benchmarks").is_dir():
        raise ConfigError(f"the campaign in {folder} has not run yet: it has no benchmark files")
    graph = read_graph(config, folder)
    return graph, measured(config, graph, folder)


def calibrate(config: Config, path: Path) -> str:
    """Write the costs of a campaign's rules into a table, where those of other rules stay; what was written."""
    graph, ran = _require_run(config)
    work = Work(config)
    threads = {work.key(job["rule"]): job["threads"] for job in graph}
    costs = calibrated([cost for _, cost in ran], threads)
    kept = read_costs(path) if path.exists() else {}
    comment = (
        "Costs of jobs by rule, from benchmark files of earlier campaigns: scripts/plan --calibrate.\n"
        "Seconds are of processor time; work is what argyro.campaign.work says."
    )
    write_costs(path, (kept | {cost.rule: cost for cost in costs}).values(), comment)
    return f"{path}: costs of {len(costs)} rules from {len(ran)} jobs"


def compare(config: Config, costs: dict[str, Cost]) -> str:
    """Plan against actual by rule, with resources that would have done."""
    graph, ran = _require_run(config)
    expected = {(job.rule): 0.0 for job in planned(graph, Work(config), costs)}
    jobs = planned([job for job, _ in ran], Work(config), costs)
    rows: dict[str, list[tuple[PlannedJob, Measured]]] = {rule: [] for rule in expected}
    for job, (_, actual) in zip(jobs, ran, strict=True):
        rows[job.rule].append((job, actual))
    counts = {rule: sum(job["rule"] == rule for job in graph) for rule in rows}
    header = f"{'rule':<24} {'run':>5} {'of':>5} {'planned':>9} {'actual':>9} {'ratio':>6} {'mem_mb':>7} {'runtime':>8}"
    lines = ["Core-hours by rule, planned and actual (processor time), and resources that would do", "", header]
    lines += [_comparison(rule, found, counts[rule]) for rule, found in rows.items() if found]
    every = [pair for found in rows.values() for pair in found]
    lines.append(_comparison("total", every, len(graph)))
    if missing := sorted(rule for rule, found in rows.items() if not found):
        lines += ["", f"Without benchmark files: {', '.join(missing)}"]
    return "\n".join(lines)


def _comparison(rule: str, found: Sequence[tuple[PlannedJob, Measured]], count: int) -> str:
    intended = sum(job.core_hours for job, _ in found)
    actual = sum(each.core_seconds for _, each in found) / HOUR
    memory = max(LEAST_MEMORY_MB, MEMORY_MARGIN * max(each.memory_mb for _, each in found))
    minutes = max(LEAST_MINUTES, TIME_MARGIN * max(each.seconds for _, each in found) / 60)
    ratio = f"{intended / actual:.2f}" if actual > 0 else "-"
    suggested = f"{memory:>7.0f} {minutes:>8.0f}" if rule != "total" else ""
    return f"{rule:<24} {len(found):>5} {count:>5} {intended:>9.4f} {actual:>9.4f} {ratio:>6} {suggested}".rstrip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
