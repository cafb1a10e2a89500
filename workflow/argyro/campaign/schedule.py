"""How long a graph of jobs takes: its longest chain, and a schedule on a given number of cores."""

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Schedulable(Protocol):
    """What a schedule needs to know of a job."""

    @property
    def seconds(self) -> float:
        """Wall-clock time."""
        ...

    @property
    def threads(self) -> int:
        """Cores."""
        ...

    @property
    def after(self) -> Sequence[int]:
        """Numbers of the jobs before it."""
        ...


@dataclass(frozen=True)
class Schedule:
    """When all jobs are done.

    Attributes:
        seconds: From the first to the last.
        peak_cores: Most that were busy at once.
    """

    seconds: float
    peak_cores: int


def seconds_to_the_end(jobs: Sequence[Schedulable]) -> list[float]:
    """Of each job, the seconds of the longest chain that begins with it.

    Raises:
        ValueError: jobs wait for each other.
    """
    waiting = [0] * len(jobs)  # for jobs behind them
    for job in jobs:
        for before in job.after:
            waiting[before] += 1
    ready = [number for number, count in enumerate(waiting) if count == 0]
    longest = [0.0] * len(jobs)
    seen = 0
    while ready:
        number = ready.pop()
        seen += 1
        longest[number] += jobs[number].seconds
        for before in jobs[number].after:
            longest[before] = max(longest[before], longest[number])
            waiting[before] -= 1
            if waiting[before] == 0:
                ready.append(before)
    if seen < len(jobs):
        raise ValueError("jobs wait for each other")
    return longest


def schedule(jobs: Sequence[Schedulable], cores: int | None = None) -> Schedule:
    """Start what can be started, the longest chain first.

    Args:
        jobs: With their dependencies.
        cores: How many there are; None: as many as are wanted. A job that asks for more takes all.
    """
    longest = seconds_to_the_end(jobs)
    asked = [job.threads if cores is None else min(job.threads, cores) for job in jobs]
    behind: dict[int, list[int]] = defaultdict(list)
    missing = [len(job.after) for job in jobs]
    for number, job in enumerate(jobs):
        for before in job.after:
            behind[before].append(number)
    ready: dict[int, list[tuple[float, int]]] = defaultdict(list)  # by cores asked for, the longest chain first
    for number, count in enumerate(missing):
        if count == 0:
            heapq.heappush(ready[asked[number]], (-longest[number], number))
    running: list[tuple[float, int]] = []
    now, busy, peak = 0.0, 0, 0
    while running or any(ready.values()):
        while fitting := [size for size, queue in ready.items() if queue and (cores is None or busy + size <= cores)]:
            size = min(fitting, key=lambda size: ready[size][0])
            _, number = heapq.heappop(ready[size])
            busy += size
            heapq.heappush(running, (now + jobs[number].seconds, number))
        peak = max(peak, busy)
        now, number = heapq.heappop(running)
        busy -= asked[number]
        for other in behind[number]:
            missing[other] -= 1
            if missing[other] == 0:
                heapq.heappush(ready[asked[other]], (-longest[other], other))
    return Schedule(now, peak)
