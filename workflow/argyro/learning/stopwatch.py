"""How long a step took, and how much of the processors."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Stopwatch:
    """Times of a step.

    Attributes:
        wall_s: Seconds that passed.
        core_s: Seconds of processor time of this process and of those it started and waited for.
    """

    wall_s: float = 0.0
    core_s: float = 0.0


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Measure a block; the times are there when it ends."""
    watch = Stopwatch()
    wall, core = time.monotonic(), _core_seconds()
    yield watch
    watch.wall_s, watch.core_s = time.monotonic() - wall, _core_seconds() - core


def _core_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
