"""Snakemake's command line, its scheduler looking again once a second at most: python -m argyro.campaign.scheduler.

Whenever jobs wait for cores, Snakemake's scheduler (9.27) asks to be woken a second later, and asks anew at every
waking. Each job that ends adds one such chain, and all go on: after a hundred jobs it looks at the queue a hundred
times a second, which takes a third of a core, and in a campaign of thousands of jobs all of one.
"""

import sys
import threading

from snakemake.cli import main
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


def mend() -> None:
    """Let Snakemake's scheduler use `Wakings`."""
    wakings = Wakings()

    def schedule_reevaluation(scheduler: JobScheduler, delay: float) -> None:
        wakings.later(scheduler, delay)

    JobScheduler._schedule_reevalutation = schedule_reevaluation  # noqa: SLF001  no public way; the version is pinned


if __name__ == "__main__":
    mend()
    sys.exit(main())
