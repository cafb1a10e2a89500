"""The process that runs a campaign: known by a file, so that there is one at a time, on whatever machine.

On one machine the system's lock on the folder says whether a driver lives. Between machines that share the folder it is
the heartbeat of ``logs/driver.json``, or, where the driver is a job itself, Slurm.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from argyro.common.errors import FileError
from argyro.common.files import read_json, write_json

from .folder import CampaignBusyError, exclusive
from .slurm import job_is_alive

NAME = "logs/driver.json"
HEARTBEAT = 20.0  # seconds
STALE = 180.0  # seconds without heartbeat after which a driver on another machine counts as gone
SETTLING = 1.0  # seconds in which two drivers that take over at once see each other


@contextmanager
def driving(folder: Path, prefix: str, listen: Callable[[], None] = lambda: None) -> Iterator[str]:
    """Be the driver of a campaign; call it while holding its folder.

    Args:
        folder: The campaign's.
        prefix: Of the names of its jobs on Slurm; empty if they run here.
        listen: Called with every heartbeat.

    Yields:
        Prefix of the jobs that a driver before, which did not end in order, may have left on Slurm; empty if there are
        none.

    Raises:
        CampaignBusyError: a driver on another machine lives; the message names it.
    """
    file = folder / NAME
    before = _require_none_elsewhere(folder)
    own = _describe(prefix)
    write_json(file, own)
    if before is not None:
        time.sleep(SETTLING)
        _require_own(file, own)
    done = threading.Event()
    pulse = threading.Thread(target=_beat, args=(file, own, done, listen), daemon=True)
    pulse.start()
    try:
        yield str((before or {}).get("job_prefix") or "")
    finally:
        done.set()
        pulse.join()
        file.unlink(missing_ok=True)


def require_no_driver(folder: Path) -> None:
    """See that nobody runs a campaign.

    Raises:
        CampaignBusyError: a driver lives; the message names it.
    """
    with exclusive(folder):
        _require_none_elsewhere(folder)


def _require_none_elsewhere(folder: Path) -> dict[str, Any] | None:
    """What the last driver wrote, if it is gone and did not end in order."""
    file = folder / NAME
    before = last_driver(file)
    if before is not None and (reason := _life_sign(before, file)):
        raise CampaignBusyError(
            f"the campaign in {folder} is being run by process {before.get('pid')} on {before.get('host')} ({reason}); "
            "wait for it, or stop it there. To look at it meanwhile: scripts/run --status, or -n"
        )
    return before


def last_driver(file: Path) -> dict[str, Any] | None:
    """What a driver wrote of itself; None where the last one ended in order."""
    try:
        content = read_json(file) if file.exists() else None
    except FileError:  # of a full disk, say: it tells nothing, and is written anew
        return {}
    return content if isinstance(content, dict) or content is None else {}


def _life_sign(driver: dict[str, Any], file: Path) -> str:
    """Why a driver counts as alive; nothing if it is gone."""
    if driver.get("host") == socket.gethostname():
        return ""  # it would hold the lock
    if (job := driver.get("slurm_job")) and (job == os.environ.get("SLURM_JOB_ID") or not job_is_alive(str(job))):
        return ""  # of the same job: its node went down, and Slurm started it again
    age = _now_on_disk(file.parent) - file.stat().st_mtime
    return f"its last heartbeat was {age:.0f} s ago" if age < STALE else ""


def _now_on_disk(folder: Path) -> float:
    """The time by the clock that stamps the files of a folder; those of machines differ."""
    probe = folder / f".clock-{uuid.uuid4().hex}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()


def _describe(prefix: str) -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "job_prefix": prefix,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "token": uuid.uuid4().hex,
    }


def _require_own(file: Path, own: dict[str, Any]) -> None:
    """See that no other driver took over at the same time."""
    now = json.loads(file.read_text(encoding="utf-8"))
    if now["token"] != own["token"]:
        raise CampaignBusyError(
            f"process {now['pid']} on {now['host']} took over the campaign at the same moment; it runs it now"
        )


def _beat(file: Path, own: dict[str, Any], done: threading.Event, listen: Callable[[], None]) -> None:
    while not done.wait(HEARTBEAT):
        write_json(file, own | {"heartbeat": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
        listen()
