"""Slurm as the launcher sees it: whether it can be used, and jobs that outlived their driver."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from argyro.common.errors import ArgyroError, MissingDependencyError
from argyro.config.load import ROOT

CALL_SECONDS = 60.0  # no client of Slurm takes longer
POLL_SECONDS = 10.0  # between looks at jobs that are waited for
PAUSE_SECONDS = 10.0  # between attempts to reach a controller that is down
PATIENCE_SECONDS = 3600.0  # until a controller is given up
LOCAL_FILE_SYSTEMS = {"ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "ramfs", "overlay", "zfs", "f2fs", "squashfs"}
SHARED_VARIABLE = "ARGYRO_SHARED"  # folders, separated by colons, that all nodes see though they look local


class SlurmError(ArgyroError):
    """Slurm cannot be used as asked for."""


def uses_slurm(profile: str, words: Sequence[str]) -> bool:
    """Whether jobs go to Slurm.

    Args:
        profile: Folder of Snakemake's profile.
        words: Snakemake's arguments.
    """
    named = [after for word, after in pairwise(words) if word in {"--executor", "-e"}]
    named += [word.partition("=")[2] for word in words if word.startswith("--executor=")]
    return (named[-1] if named else settings_of_profile(profile).get("executor")) == "slurm"


def profile_folder(name: str | None) -> str:
    """The folder of one of this checkout's profiles, local if none is named, else what the user gave."""
    name = name or "local"
    folder = ROOT / "profiles" / name
    return str(folder) if "/" not in name and folder.is_dir() else name


def settings_of_profile(profile: str) -> dict[str, Any]:
    """Settings of a profile; none if it is Snakemake's to find."""
    files = sorted(Path(profile).glob("config*.yaml"))
    try:
        content = yaml.safe_load(files[-1].read_text(encoding="utf-8")) if files else None
    except yaml.YAMLError as error:
        raise SlurmError(f"{files[-1]} is not YAML: {error}") from None
    return content if isinstance(content, dict) else {}


def job_prefix(folder: Path) -> str:
    """What the names of a campaign's jobs begin with: its own even among campaigns of one name."""
    name = re.sub(r"[^A-Za-z0-9-]", "-", folder.name)[:30]
    return f"argyro-{name}-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


# --- whether it can be used ------------------------------------------------------------------------------------------


def require_slurm(say: Callable[[str], None]) -> None:
    """See that Slurm is here and answers, waiting for a controller that is down.

    Raises:
        MissingDependencyError: no Slurm.
        SlurmError: the controller does not answer for an hour.
    """
    if missing := [name for name in ("sbatch", "squeue", "sinfo", "scancel") if shutil.which(name) is None]:
        raise MissingDependencyError(
            f"the profile sends jobs to Slurm, and there is no {', '.join(missing)} on PATH; log in to the cluster, or "
            "run on this machine with --profile local"
        )
    _patiently("sinfo", "--noheader", "--format=%R", say=say)


def _patiently(*words: str, say: Callable[[str], None]) -> str:
    """What one of Slurm's programs prints, once the controller answers.

    Raises:
        SlurmError: it does not for an hour.
    """
    waited = 0.0
    while (answer := call_slurm(*words)).returncode != 0:
        if waited == 0:
            say(f"Slurm's controller does not answer ({answer.stderr.strip()}); waiting for it, nothing is lost")
        if waited >= PATIENCE_SECONDS:
            raise SlurmError(f"Slurm's controller did not answer for an hour: {answer.stderr.strip()}")
        time.sleep(PAUSE_SECONDS)
        waited += PAUSE_SECONDS
    return answer.stdout


def require_shared(folders: Sequence[Path]) -> None:
    """See that jobs on other nodes find the same files.

    Raises:
        SlurmError: a folder lies on a disk of this machine only.
    """
    declared = [Path(name) for name in os.environ.get(SHARED_VARIABLE, "").split(":") if name]
    local = [folder for folder in folders if file_system(folder) in LOCAL_FILE_SYSTEMS]
    local = [folder for folder in local if not any(folder.is_relative_to(place) for place in declared)]
    if local and not _is_only_node():
        raise SlurmError(
            f"{local[0]} lies on a disk of this machine ({file_system(local[0])}), where jobs on other nodes do not "
            "find it; move the checkout and its results to a file system that all nodes share, such as your home or a "
            f"project folder. If all nodes do see it: export {SHARED_VARIABLE}={local[0]}"
        )


def file_system(path: Path) -> str:
    """Type of the file system that a path lies on."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    there = path.resolve()
    under = [(Path(place.replace("\\040", " ")), kind) for _, place, kind, *_ in mounts]
    around = [(place, kind) for place, kind in under if there.is_relative_to(place)]
    return max(around, key=lambda found: len(found[0].parts))[1] if around else "unknown"


def _is_only_node() -> bool:
    """Whether all nodes of the cluster are this machine."""
    nodes = call_slurm("scontrol", "--oneliner", "show", "nodes").stdout
    hosts = set(re.findall(r"NodeHostName=(\S+)", nodes))
    return hosts == {socket.gethostname().partition(".")[0]}


# --- jobs without a driver -------------------------------------------------------------------------------------------


def orphans(prefix: str, say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Numbers of a campaign's jobs that wait or run.

    Raises:
        SlurmError: the queue cannot be seen for an hour.
    """
    queue = _patiently("squeue", "--me", "--noheader", "--format=%i|%j", say=say)
    pairs = (line.strip().partition("|") for line in queue.splitlines())
    return [number for number, _, name in pairs if name.startswith(f"{prefix}_")]


def settle_orphans(
    prefix: str, how: str, say: Callable[[str], None], is_over: Callable[[], bool] = lambda: False
) -> bool:
    """Wait for the jobs of a driver that is gone, or cancel them: a new driver would start them a second time.

    Args:
        prefix: Of the names of the campaign's jobs.
        how: ``wait`` or ``cancel``.
        say: Tells the user.
        is_over: Whether there is no time left to wait.

    Returns:
        Whether they have ended.
    """
    if not (left := orphans(prefix, say)):
        return True
    if how == "cancel":
        say(f"cancelling {len(left)} jobs of a driver that is gone: {' '.join(left)}")
        call_slurm("scancel", *left)
    else:
        say(
            f"waiting for {len(left)} jobs of a driver that is gone: {' '.join(left)}; to cancel them instead, press "
            "Ctrl-C and run scripts/run --orphans cancel"
        )
    while orphans(prefix, say):
        if is_over():
            return False
        time.sleep(POLL_SECONDS)
    return True


def job_is_alive(number: str) -> bool:
    """Whether a job waits or runs; taken for granted where Slurm does not say."""
    if shutil.which("squeue") is None:
        return True
    answer = call_slurm("squeue", "--noheader", f"--jobs={number}", "--format=%T")
    if answer.returncode != 0:
        return "invalid job id" not in answer.stderr.lower()
    return bool(answer.stdout.strip())


def driver_environment() -> dict[str, str]:
    """The environment of Snakemake under Slurm: our sbatch before Slurm's, and no trace of the driver's own job."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_", "SRUN_"))}
    return mine | {"PATH": f"{ROOT / 'scripts/slurm'}:{Path(sys.executable).parent}:{os.environ['PATH']}"}


def call_slurm(*words: str) -> subprocess.CompletedProcess[str]:
    """Call one of Slurm's programs; one that hangs is one that fails."""
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=CALL_SECONDS)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(words, 1, "", str(error))
