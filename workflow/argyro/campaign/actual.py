"""What a campaign did cost, by its benchmark files: compared with its plan, and as costs for the next one."""

from collections.abc import Iterable, Sequence
from math import ceil
from pathlib import Path
from typing import Any

from argyro.common.errors import ConfigError
from argyro.config.model import Config

from .costs import Cost, Measured, calibrated, read_benchmark, read_costs, write_costs
from .folder import campaign_folder
from .plan import HOUR, PlannedJob, planned, read_graph, stage_of
from .work import RANKED, Work

MEMORY_MARGIN, TIME_MARGIN = 1.5, 3.0  # of suggested resources over the largest seen
LEAST_MEMORY_MB, LEAST_MINUTES = 500, 5
COMMENT = """\
Costs of jobs by rule, from benchmark files of earlier campaigns: scripts/plan --calibrate.
Seconds are of cores that jobs held; work is what argyro.campaign.work says."""

type Ran = list[tuple[dict[str, Any], Measured]]


def measured(config: Config, graph: Iterable[dict[str, Any]], folder: Path) -> Ran:
    """Jobs that have run, with what they cost.

    Snakemake's processor time lacks what programs that a job starts did after they were last looked at, as LAMMPS in
    its last half minute. So a job costs at least the time by the clock of one core, or of all its ranks.
    """
    work = Work(config)
    found = []
    for job in graph:
        if (benchmark := read_benchmark(folder / job["benchmark"])) is None:
            continue
        seconds, processor_seconds, memory = benchmark
        held = seconds * (job["threads"] if job["rule"] in RANKED else 1)
        files = [folder / name for name in job["outputs"]]
        size = sum(file.stat().st_size for file in files if file.is_file()) / 1e6
        key, amount = work.key(job["rule"]), work.of(job["rule"], job["wildcards"])
        core_seconds = max(processor_seconds, held)
        found.append((job, Measured(key, amount, seconds, core_seconds, processor_seconds, memory, size)))
    return found


def _require_run(config: Config) -> tuple[list[dict[str, Any]], Ran]:
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
    write_costs(path, (kept | {cost.rule: cost for cost in costs}).values(), COMMENT)
    return f"{path}: costs of {len(costs)} rules from {len(ran)} jobs"


def compare(config: Config, costs: dict[str, Cost], content: dict[str, Any]) -> dict[str, Any]:
    """Plan against actual, as JSON holds it.

    Args:
        config: Of the campaign.
        costs: By rule.
        content: The plan that was made before the campaign began.

    Returns:
        By stage what was planned before and what it came to; by rule the same of the jobs that have run, where they
        are all known, with resources that would do. Ratios are of plan over actual.
    """
    graph, ran = _require_run(config)
    jobs = planned([job for job, _ in ran], Work(config), costs)
    pairs = [(job, actual) for job, (_, actual) in zip(jobs, ran, strict=True)]
    rules = dict.fromkeys(job["rule"] for job in graph)
    by_rule = {rule: [pair for pair in pairs if pair[0].rule == rule] for rule in rules}
    of_rule = {rule: sum(job["rule"] == rule for job in graph) for rule in rules}
    stages = [(row, [pair for pair in pairs if pair[0].stage == row["stage"]]) for row in content["stages"]]
    of_stage = {row["stage"]: sum(stage_of(job) == row["stage"] for job in graph) for row, _ in stages}
    return {
        "stages": [
            {"stage": row["stage"], **_costs(found, of_stage[row["stage"]], row["core_hours"])} for row, found in stages
        ],
        "total": _costs(pairs, len(graph), content["total"]["core_hours"]),
        "rules": [
            {"rule": rule, **_costs(found, of_rule[rule], sum(job.core_hours for job, _ in found)), **_resources(found)}
            for rule, found in by_rule.items()
            if found
        ],
        "unmeasured": sorted(rule for rule, found in by_rule.items() if not found),
    }


def _costs(pairs: Sequence[tuple[PlannedJob, Measured]], count: int, intended: float) -> dict[str, Any]:
    actual = sum(each.core_seconds for _, each in pairs) / HOUR
    return {
        "jobs": len(pairs),
        "jobs_of": count,
        "planned_core_hours": intended,
        "core_hours": actual,
        "ratio": intended / actual if actual > 0 else None,
        "busy_core_hours": sum(each.busy_seconds for _, each in pairs) / HOUR,
    }


def _resources(pairs: Sequence[tuple[PlannedJob, Measured]]) -> dict[str, int]:
    """Memory and time that would have done for all jobs of a rule."""
    memory = max(each.memory_mb for _, each in pairs)
    minutes = max(each.seconds for _, each in pairs) / 60
    return {
        "mem_mb": max(LEAST_MEMORY_MB, ceil(MEMORY_MARGIN * memory)),
        "runtime": max(LEAST_MINUTES, ceil(TIME_MARGIN * minutes)),
    }


def format_actual(actual: dict[str, Any]) -> str:
    """Plan against actual as two tables."""
    head = f"{'run':>5} {'of':>5} {'planned':>9} {'actual':>9} {'ratio':>6} {'busy':>9}"
    lines = ["Core-hours by stage: planned before the run, and actual", "", f"{'stage':<24} {head}"]
    lines += [_line(row["stage"], row) for row in actual["stages"]]
    lines += [_line("total", actual["total"]), ""]
    lines += ["Core-hours by rule, of the jobs that have run, and resources that would do (set-resources)", ""]
    lines.append(f"{'rule':<24} {head} {'mem_mb':>7} {'runtime':>8}")
    lines += [f"{_line(row['rule'], row)} {row['mem_mb']:>7} {row['runtime']:>8}" for row in actual["rules"]]
    lines += [
        "",
        "Actual are hours of cores that jobs held, busy those in which they were seen at work: far less where other",
        "programs shared the machine. Ratios are of planned over actual.",
    ]
    if actual["unmeasured"]:
        lines += ["", f"Without benchmark files: {', '.join(actual['unmeasured'])}"]
    return "\n".join(lines)


def _line(name: str, row: dict[str, Any]) -> str:
    ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
    numbers = f"{row['planned_core_hours']:>9.4f} {row['core_hours']:>9.4f} {ratio:>6} {row['busy_core_hours']:>9.4f}"
    return f"{name:<24} {row['jobs']:>5} {row['jobs_of']:>5} {numbers}"
