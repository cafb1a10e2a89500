"""Threads that share the work of compiled functions."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor


class Workers:
    """Runs functions that leave Python's lock on several threads.

    Args:
        threads: How many.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def run[Item, Result](self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Results of a function of each item, in their order."""
        return list(map(function, items) if self._pool is None else self._pool.map(function, items))
