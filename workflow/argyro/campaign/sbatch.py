"""What stands before Slurm's ``sbatch`` on the path of a driver.

Slurm takes jobs that can never start, such as those longer than their partition allows, and says little of why it
refuses others; and Snakemake's executor takes a controller that is down for a failed job. Here what cannot run is
refused, with the rule and the setting named, and whatever is bound to pass is waited for.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from argyro.common.files import write_json

RUN_VARIABLE = "ARGYRO_RUN"  # as in `argyro.campaign.folder`, which takes a second to import
LOG = "logs/slurm.log"  # of a campaign's folder: what was waited for
CACHE = ".snakemake/argyro-partitions.json"
CACHE_SECONDS = 600.0
CALL_SECONDS = 120.0  # no client of Slurm takes longer
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 120.0  # seconds between attempts
PATIENCE = 3 * 86400.0  # seconds until a controller is given up
PASSING = re.compile(
    r"unable to contact slurm controller|socket timed out|connection refused|slurm backup controller in standby|"
    r"zero bytes were transmitted|transport endpoint|temporarily unable|resource temporarily unavailable|"
    r"too many .*requests|submit limit|submitted jobs limit|maxsubmit",
    re.IGNORECASE,
)
HINTS = (
    (r"invalid account|account/partition", "slurm_account", "name an account of yours (sacctmgr show associations)"),
    (r"qos", "slurm-qos", "name a QOS that your account may use"),
    (r"partition", "slurm_partition", "name one of `sinfo --summarize`"),
    (r"memory", "mem_mb", "ask for less"),
    (r"time limit", "runtime", "ask for less"),
    (r"gres|gpu", "gpu, slurm_partition", "name a partition with such GPUs"),
)  # what Slurm says, the setting that it is about, and what to do
UNLIMITED = 10**9  # minutes


@dataclass(frozen=True)
class Request:
    """What a job asks for; None where it does not say.

    Attributes:
        rule: Name of the rule.
        partition: Where it is to run.
        minutes: Time limit.
        megabytes: Memory on one node.
        cpus: Cores of one task.
        gpus: GPUs in all.
    """

    rule: str
    partition: str | None = None
    minutes: int | None = None
    megabytes: int | None = None
    cpus: int | None = None
    gpus: int = 0


@dataclass(frozen=True)
class Partition:
    """What a partition allows: the best of its nodes."""

    minutes: int
    megabytes: int
    cpus: int
    gpus: int


def main(words: Sequence[str]) -> int:
    """Submit a job; the exit status."""
    campaign = Path(os.environ.get(RUN_VARIABLE) or ".")
    partitions = known_partitions(campaign)
    words = within_limits(words, partitions)
    request = read_request(words)
    if problem := impossible(request, partitions):
        return _refuse(problem)
    for pause in pauses():
        done = _call([_real("sbatch"), *words])
        if done.returncode == 0:
            sys.stdout.write(done.stdout)
            return 0
        if not PASSING.search(done.stderr):
            return _refuse(explained(request, done.stderr))
        _wait(campaign, pause, f"a job of {request.rule} is not taken yet: {done.stderr.strip()}")
        if number := submitted_already(words):  # the answer was lost, not the job
            sys.stdout.write(f"{number}\n")
            return 0
    return _refuse(f"rule {request.rule}: Slurm's controller did not answer for {PATIENCE / 3600:.0f} hours")


def read_request(words: Sequence[str]) -> Request:
    """What the arguments of ``sbatch`` ask for."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--comment", default="")
    parser.add_argument("-p", "--partition")
    parser.add_argument("-t", "--time", type=minutes_of)
    parser.add_argument("--mem", type=int)
    parser.add_argument("--cpus-per-task", type=int)
    parser.add_argument("--gpus", type=_last_number, default=0)
    parser.add_argument("--gres", type=_last_number, default=0)
    found, _ = parser.parse_known_args(list(words))
    rule = re.sub(r"_wildcards_.*", "", found.comment.removeprefix("rule_")) or "unknown"
    gpus = max(found.gpus, found.gres)
    return Request(rule, found.partition, found.time, found.mem, found.cpus_per_task, gpus)


def within_limits(words: Sequence[str], partitions: Mapping[str, Partition]) -> list[str]:
    """The words of a job that is tried again, asking for no more memory and time than its partition allows.

    Every attempt asks for more than the one before, whyever that failed: a node that went down is no reason to refuse
    what has grown beyond the largest node. What the first attempt asks for is the user's, and stays.
    """
    words, request = list(words), read_request(words)
    places = [partitions[name] for name in (request.partition or "").split(",") if name in partitions]
    if not places or not re.search(r"--attempt (?!1\b)\d", " ".join(words)):
        return words
    minutes, megabytes = max(place.minutes for place in places), max(place.megabytes for place in places)
    for names, allowed in ((("-t", "--time"), minutes), (("--mem",), megabytes)):
        for position, word in enumerate(words[:-1]):
            if word in names and words[position + 1].isdecimal():
                words[position + 1] = str(min(int(words[position + 1]), allowed))
    return words


def _last_number(text: str) -> int:
    """How many GPUs ``2``, ``a100:2`` or ``gpu:a100`` are."""
    last = text.rpartition(":")[2]
    return int(last) if last.isdecimal() else 1


def minutes_of(text: str) -> int:
    """Minutes of a time limit as Slurm writes it: 90, 1:30:00, 2-12:00:00 or infinite."""
    if text in {"infinite", "UNLIMITED", "n/a"}:
        return UNLIMITED
    days, _, rest = text.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if days:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
    else:
        hours, minutes, seconds = {1: (0, *parts, 0), 2: (0, *parts)}.get(len(parts), tuple(parts))
    return int(days or 0) * 1440 + hours * 60 + minutes + (seconds > 0)


def read_partitions(text: str) -> dict[str, Partition]:
    """Partitions from ``sinfo --format='%R|%l|%c|%m|%G'``, a line per kind of node."""
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        name, limit, cpus, memory, gres = line.strip().split("|")
        gpus = sum(int(n) for n in re.findall(r"gpu(?::[\w.-]+)?:(\d+)", gres))
        here = Partition(minutes_of(limit), int(memory.rstrip("+")), int(cpus.rstrip("+")), gpus)
        before = found.get(name, here)
        found[name] = Partition(**{key: max(value, asdict(before)[key]) for key, value in asdict(here).items()})
    return found


def known_partitions(campaign: Path) -> dict[str, Partition]:
    """All partitions; asked for again after some minutes only, as controllers are busy."""
    cache = campaign / CACHE
    if cache.exists() and time.time() - cache.stat().st_mtime < CACHE_SECONDS:
        content = json.loads(cache.read_text(encoding="utf-8"))
        return {name: Partition(**limits) for name, limits in content.items()}
    for pause in pauses():
        done = _call([_real("sinfo"), "--noheader", "--format=%R|%l|%c|%m|%G"])
        if done.returncode == 0:
            break
        _wait(campaign, pause, f"the partitions are not known yet: {done.stderr.strip()}")
    found = read_partitions(done.stdout)
    write_json(cache, {name: asdict(limits) for name, limits in found.items()})
    return found


def impossible(request: Request, partitions: dict[str, Partition]) -> str:
    """Why a job could never run; nothing if it could."""
    if request.partition is None:
        return ""
    names = request.partition.split(",")
    if unknown := [name for name in names if name not in partitions]:
        return _setting(
            request, "slurm_partition", f"there is no partition {unknown[0]}", f"name one of {', '.join(partitions)}"
        )
    places = [partitions[name] for name in names]
    for setting, unit, asked, allowed in (
        ("runtime", "minutes", request.minutes, max(place.minutes for place in places)),
        ("mem_mb", "MB", request.megabytes, max(place.megabytes for place in places)),
        ("threads", "cores", request.cpus, max(place.cpus for place in places)),
        ("gpu", "GPUs", request.gpus, max(place.gpus for place in places)),
    ):
        if asked is not None and asked > allowed:
            return _setting(
                request,
                setting,
                f"{asked} {unit} are asked for, and partition {request.partition} has at most {allowed}",
                "ask for less, or name another slurm_partition",
            )
    return ""


def explained(request: Request, complaint: str) -> str:
    """A complaint of ``sbatch``, with the setting that it is about."""
    text = " ".join(complaint.split())
    for pattern, setting, remedy in HINTS:
        if re.search(pattern, text, re.IGNORECASE):
            return _setting(request, setting, f"Slurm refuses the job: {text}", remedy)
    return f"rule {request.rule}: Slurm refuses the job: {text}"


def _setting(request: Request, setting: str, problem: str, remedy: str) -> str:
    where = "set-threads" if setting == "threads" else "set-resources or default-resources"
    return f"rule {request.rule}, {setting}: {problem}; {remedy}, in the profile under {where}"


def submitted_already(words: Sequence[str]) -> str:
    """Number of a job with this name and comment that waits or runs; nothing if there is none."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--job-name", default="")
    parser.add_argument("--comment", default="")
    found, _ = parser.parse_known_args(list(words))
    done = _call([_real("squeue"), "--noheader", f"--name={found.job_name}", "--format=%i|%k"])
    for line in done.stdout.splitlines():
        number, _, comment = line.strip().partition("|")
        if comment == found.comment:
            return number
    return ""


def pauses() -> Iterator[float]:
    """Seconds between attempts, doubled each time, until patience is at an end."""
    total, pause = 0.0, FIRST_PAUSE
    while total < PATIENCE:
        yield pause
        total += pause
        pause = min(2 * pause, LONGEST_PAUSE)


def _wait(campaign: Path, pause: float, reason: str) -> None:
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(reason.split())}; trying again in {pause:.0f} s\n"
    log = campaign / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(line)
    time.sleep(pause)


def _refuse(problem: str) -> int:
    print(f"argyro: {problem}", file=sys.stderr)  # noqa: T201  the executor shows it
    return 1


def _real(name: str) -> str:
    """Slurm's own program, behind ours on the path."""
    own = Path(__file__).resolve().parents[3] / "scripts/slurm"
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder or ".").resolve() != own]
    return shutil.which(name, path=os.pathsep.join(folders)) or name


def _call(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a client of Slurm; one that hangs or is not there counts as a controller that does not answer."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=CALL_SECONDS)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", f"unable to contact slurm controller: {error}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
