"""Snakemake's command line, mended in two places: python -m argyro.campaign.scheduler.

Its scheduler looks again once a second at most. Whenever jobs wait for cores, that of Snakemake 9.27 asks to be woken
a second later, and asks anew at every waking. Each job that ends adds one such chain, and all go on: after a hundred
jobs it looks at the queue a hundred times a second, which takes a third of a core, and in a campaign of thousands of
jobs all of one.

A job that has to wait for a checkpoint is due, also where its output is there from before. Snakemake puts off its
reasons to run such a job until the checkpoint has run, which then nobody asks for: a ladder that was given another
level would be taken for finished.
"""

import sys
import threading
from pathlib import Path

from snakemake.cli import main
from snakemake.io.flags import is_flagged
from snakemake.jobs import Job
from snakemake.scheduling.job_scheduler import JobScheduler


class Wakings:
    """At most one timer under way for each scheduler; takes the place of its method that starts them."""

    def __init__(self) -> None:
        self._timers: dict[int, threading.Timer] = {}

    def later(self, scheduler: JobScheduler, delay: float) -> None:
        """Wake the scheduler after some seconds, unless it will be woken anyway."""
        timer = self._timers.get(id(scheduler))
        if timer is not None and not timer.finished.is_set():
            return
        timer = threading.Timer(delay, lambda: self._wake(scheduler))
        timer.daemon = True  # nothing waits for it at the end
        self._timers[id(scheduler)] = timer
        timer.start()

    def _wake(self, scheduler: JobScheduler) -> None:
        self._timers.pop(id(scheduler), None)
        scheduler._open_jobs.release()  # noqa: SLF001  as its own timers do


def waits_for_checkpoint(job: Job) -> bool:
    """Whether what a job takes is unknown until a checkpoint runs for the first time."""
    return any(is_flagged(file, "checkpoint_target") and not Path(file).exists() for file in job.input)


def mend() -> None:
    """Let Snakemake's scheduler use `Wakings`, and its jobs be due where `waits_for_checkpoint` says so."""
    wakings, has_unfinished_input = Wakings(), Job.has_unfinished_queue_input

    def schedule_reevaluation(scheduler: JobScheduler, delay: float) -> None:
        wakings.later(scheduler, delay)

    def is_unfinished(job: Job) -> bool:
        return has_unfinished_input(job) or waits_for_checkpoint(job)

    Job.has_unfinished_queue_input = is_unfinished
    JobScheduler._schedule_reevalutation = schedule_reevaluation  # noqa: SLF001  no public way; the version is pinned


if __name__ == "__main__":
    mend()
    sys.exit(main())
