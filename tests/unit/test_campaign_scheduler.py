"""Snakemake's scheduler is woken once at a time."""

import threading
import time

from snakemake.scheduling.job_scheduler import JobScheduler

from argyro.campaign.scheduler import Wakings


class Scheduler:
    """What a waking needs of Snakemake's."""

    def __init__(self) -> None:
        self._open_jobs = threading.Semaphore(0)


def test_many_requests_wake_once_and_another_after_that_wakes_again() -> None:
    scheduler, wakings = Scheduler(), Wakings()
    for _ in range(2):
        before = threading.active_count()
        for _ in range(100):
            wakings.later(scheduler, 0.05)  # type: ignore[arg-type]
        assert threading.active_count() <= before + 1
        assert scheduler._open_jobs.acquire(timeout=10)
        time.sleep(0.2)
        assert not scheduler._open_jobs.acquire(blocking=False)


def test_the_method_that_is_replaced_is_there_and_starts_a_timer_each_time() -> None:
    """Snakemake's version is pinned; a new one may have mended this, or call it otherwise."""
    assert "Timer" in JobScheduler._schedule_reevalutation.__code__.co_names
