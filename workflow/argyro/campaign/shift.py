"""The driver as a job of Slurm, and how one whose time is nearly over hands the campaign on to a successor."""

import os
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from argyro.common.files import write_text
from argyro.config.load import ROOT

from .sbatch import PASSING, impossible, known_partitions, minutes_of, read_request
from .slurm import PAUSE_SECONDS, SlurmError, call_slurm, job_prefix, settings_of_profile

SCRIPT = "logs/driver.sh"
END_VARIABLE = "ARGYRO_SHIFT_ENDS"  # seconds since 1970; set in the driver's own job only
DEFAULTS = {"runtime": 2880, "mem_mb": 3000}
MARGIN_SECONDS = 180.0  # before its time limit a driver hands on, but not in the first half of its time
SCRIPT_TEXT = """\
#!/usr/bin/env bash
#SBATCH {options}
# The driver of a campaign, written by scripts/run --submit. It sends a successor before its time is over.
export {variable}=$(($(date +%s) + {seconds}))
set -m # the driver is to hear of a Ctrl-C: scancel --full --signal=INT JOB
trap : INT TERM
{command} &
while wait $!; status=$?; ((status > 128)) && kill -0 $! 2>/dev/null; do :; done
exit "$status"
"""


class Shift:
    """The time that a driver has.

    Attributes:
        ends: When it has to hand on, seconds since 1970; infinite outside of a job.
        successor: Number of the job that goes on; empty as long as there is none.
    """

    def __init__(self) -> None:
        self.ends = float(os.environ.get(END_VARIABLE) or "inf")
        self.successor = ""

    def seconds_left(self) -> float | None:
        """Until it has to hand on; None if it never has to."""
        return None if self.ends == float("inf") else max(0.0, self.ends - time.time())

    def is_over(self) -> bool:
        """Whether it is time to hand on."""
        return time.time() >= self.ends

    def hand_on(self, folder: Path, say: Callable[[str], None]) -> bool:
        """Send a successor, exactly one; whether there is one.

        A controller that is down is asked again after a pause, so call it again later. If Slurm refuses the successor
        for good, the driver stays until it is killed.

        Args:
            folder: The campaign's.
            say: Tells the user.
        """
        try:
            self.successor = send_successor(folder)
        except SlurmError as error:
            say(f"{error}; this driver goes on until its job is killed, then run the same command again")
            self.ends = float("inf")
            return False
        if not self.successor:
            say("Slurm's controller does not take a successor of this driver; trying again")
            self.ends = time.time() + PAUSE_SECONDS
            return False
        say(f"the time of this driver is nearly over: job {self.successor} goes on when it has ended")
        return True

    def recall(self) -> None:
        """Take the successor back, where the user stops the campaign."""
        call_slurm("scancel", self.successor)


def submit_driver(folder: Path, profile: str, words: Sequence[str]) -> str:
    """Send the driver itself to Slurm, so that a campaign outlives the login session.

    Args:
        folder: The campaign's.
        profile: Folder of Snakemake's profile; its ``set-resources`` say under ``driver`` what the job asks for.
        words: What follows scripts/run.

    Returns:
        Number of the job.

    Raises:
        SlurmError: Slurm refuses it, or one is there.
    """
    if running := _drivers(folder):
        raise SlurmError(f"the campaign in {folder} has a driver already: job {running[0]}")
    options = driver_options(profile, driver_name(folder), folder / "logs/driver-%j.log")
    if problem := impossible(read_request(options), known_partitions(folder)):
        raise SlurmError(problem)
    script = folder / SCRIPT
    text = SCRIPT_TEXT.format(
        options=shlex.join(options),
        variable=END_VARIABLE,
        seconds=_seconds_of_shift(str(asked_for_driver(profile)["runtime"])),
        command=shlex.join([str(ROOT / "scripts/run"), *words]),
    )
    write_text(script, text)
    answer = call_slurm("sbatch", "--parsable", f"--chdir={Path.cwd()}", str(script))
    if answer.returncode != 0:
        raise SlurmError(
            f"Slurm refuses the driver: {' '.join(answer.stderr.split())}; set what it asks for in {profile}, under "
            "set-resources: driver"
        )
    return _number(answer.stdout)


def send_successor(folder: Path) -> str:
    """Submit a driver that begins when the job that this process runs in has ended, unless there is one.

    Returns:
        Number of its job; empty if the controller does not answer.

    Raises:
        SlurmError: Slurm refuses it.
    """
    own = os.environ["SLURM_JOB_ID"]
    drivers = _drivers(folder)
    if drivers is None:
        return ""
    if others := [number for number in drivers if number != own]:  # the answer to its submission was lost
        return others[0]
    answer = call_slurm("sbatch", "--parsable", f"--dependency=afterany:{own}", str(folder / SCRIPT))
    if answer.returncode == 0:
        return _number(answer.stdout)
    if PASSING.search(answer.stderr):
        return ""
    raise SlurmError(f"Slurm refuses a successor of this driver: {' '.join(answer.stderr.split())}")


def driver_name(folder: Path) -> str:
    """Name of the job that is a campaign's driver."""
    return f"{job_prefix(folder)}-driver"


def driver_options(profile: str, name: str, log: Path) -> list[str]:
    """Options of ``sbatch`` for the driver."""
    asked = asked_for_driver(profile)
    options = [f"--job-name={name}", f"--output={log}", "--open-mode=append", "--cpus-per-task=1"]
    options.append("--requeue")  # where its node goes down; it finds the jobs that it had
    options += ["--comment=rule_driver", f"--time={asked['runtime']}", f"--mem={asked['mem_mb']}"]
    return options + places(asked)


def asked_for_driver(profile: str) -> dict[str, Any]:
    """What a profile asks for the driver, by the names of resources."""
    settings = settings_of_profile(profile)
    asked = mapping(settings.get("default-resources")) | DEFAULTS
    return asked | mapping(mapping(settings.get("set-resources")).get("driver"))


def places(asked: dict[str, Any]) -> list[str]:
    """Options of ``sbatch`` that say where a job runs and who pays."""
    named = (("slurm_partition", "partition"), ("slurm_account", "account"), ("qos", "qos"))
    return [f"--{option}={asked[key]}" for key, option in named if key in asked]


def mapping(content: Any) -> dict[str, Any]:
    """A section of a profile; an empty one is none."""
    return content if isinstance(content, dict) else {}


def _drivers(folder: Path) -> list[str] | None:
    """Numbers of jobs that drive a campaign, waiting or running; None if the queue cannot be seen."""
    answer = call_slurm("squeue", "--me", "--noheader", f"--name={driver_name(folder)}", "--format=%i")
    return answer.stdout.split() if answer.returncode == 0 else None


def _seconds_of_shift(runtime: str) -> int:
    """From the start of a driver's job until it hands on, of a time limit as Slurm writes it."""
    seconds = 60 * minutes_of(runtime)
    return int(seconds - min(MARGIN_SECONDS, seconds / 2))


def _number(printed: str) -> str:
    """Number of a job as ``sbatch --parsable`` prints it."""
    return printed.strip().partition(";")[0]
