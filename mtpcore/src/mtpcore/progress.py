"""Progress of a fit: a line that is rewritten on a terminal, one log line a minute elsewhere."""

import logging
import sys
import time
from collections.abc import Mapping

logger = logging.getLogger("mtpcore")
LOG_INTERVAL = 60.0  # seconds


class Progress:
    """Shows iterations; subclass it or pass ``Progress(enabled=False)`` for silence.

    Args:
        enabled: Whether to show anything.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self._last_log = time.monotonic()

    def __call__(self, label: str, line: Mapping[str, float], seconds: float) -> None:
        """Show one iteration.

        Args:
            label: What is going on.
            line: Newest entry of the fit's history.
            seconds: Since that began.
        """
        if not self.enabled:
            return
        text = (
            f"{label}: iteration {line['iteration']:.0f}  loss {line['loss']:.6g}  "
            f"energy {1000 * line['energy_rmse_eV_per_atom']:.3g} meV/atom  "
            f"force {line['force_rmse_eV_per_angstrom']:.4g} eV/angstrom  {seconds:.0f} s"
        )
        if sys.stderr.isatty():
            print(f"\r{text:<110}", end="", file=sys.stderr, flush=True)  # noqa: T201  progress line
        elif time.monotonic() - self._last_log > LOG_INTERVAL:
            self._last_log = time.monotonic()
            logger.info(text)
