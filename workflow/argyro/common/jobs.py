"""The frame of every job: a log, and errors of the user's making as messages instead of tracebacks."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ArgyroError

logger = logging.getLogger("argyro")


@contextmanager
def job(log: Path | str) -> Iterator[None]:
    """Write all log messages of a block to a file; end the process with status 1 on an `ArgyroError`.

    Args:
        log: The file; its folder is made.
    """
    path = Path(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=path, filemode="w", level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    logging.captureWarnings(capture=True)
    try:
        yield
    except ArgyroError as error:
        logger.error("%s", error)  # noqa: TRY400  the user's to mend: a traceback would hide the message
        sys.exit(1)
    except Exception:
        logger.exception("this should not happen; please report it")
        raise
