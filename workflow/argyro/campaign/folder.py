"""The folder of a campaign: one run at a time in it, and nothing left over from a run that was killed."""

import contextlib
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from argyro.common.errors import ArgyroError
from argyro.config.load import ROOT

RESULTS_VARIABLE = "ARGYRO_RESULTS"
RUN_VARIABLE = "ARGYRO_RUN"  # in the environment of every process of a run: the folder of its campaign
LOCK_NAME = ".argyro.lock"
GRACE = 10.0  # seconds that a left-over job has to end by itself


class CampaignBusyError(ArgyroError):
    """Another process runs this campaign."""


def campaign_folder(name: str) -> Path:
    """Folder of a campaign: ``results/<name>`` of the checkout, or of the folder ``ARGYRO_RESULTS``."""
    return Path(os.environ.get(RESULTS_VARIABLE) or ROOT / "results").absolute() / name


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a campaign's folder. The system frees it when the process ends, however it ends.

    Raises:
        CampaignBusyError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_NAME).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise CampaignBusyError(
                f"the campaign in {folder} is being run by process {file.read().strip() or '?'}; wait for it, or stop "
                "it with Ctrl-C. To look at it meanwhile: scripts/run --status, or -n"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def clear_leftovers(folder: Path) -> list[str]:
    """End the jobs and remove the lock of a run that was killed; call it only while holding the folder.

    Returns:
        What was done, a sentence each; nothing if the last run ended in order.
    """
    done = []
    if processes := _left_over(folder):
        _end(processes)
        done.append(f"ended {len(processes)} processes left over by a run that was killed")
    locks = folder / ".snakemake/locks"
    if locks.is_dir() and any(locks.iterdir()):
        shutil.rmtree(locks)
        done.append("removed the lock of a run that was killed")
    return done


def _left_over(folder: Path) -> list[int]:
    """Processes of this user on this machine that carry the campaign's mark; those of batch jobs are Slurm's."""
    mark = f"{RUN_VARIABLE}={folder}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            variables = (entry / "environ").read_bytes().split(b"\0")
            if mark in variables and not any(v.startswith(b"SLURM_JOB_ID=") for v in variables):
                found.append(int(entry.name))
    return found


def _end(processes: list[int]) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, how)
        deadline = time.monotonic() + GRACE
        while any(map(_is_alive, processes)) and time.monotonic() < deadline:
            time.sleep(0.05)


def _is_alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}
