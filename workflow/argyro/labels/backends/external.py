"""Programs that are run once per structure, in a scratch folder of their own."""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import numpy as np

from argyro.common.errors import LabelError, MissingDependencyError

from .base import FloatArray, NotConvergedError

LAST_LINES = 5  # of a failed program's output, for the message


def require_program(command: Sequence[str], setting: str) -> None:
    """Make sure the first word of a command is a program.

    Raises:
        MissingDependencyError: it is not on PATH.
    """
    if not command or which(command[0]) is None:
        raise MissingDependencyError(
            f"there is no program '{' '.join(command)}' on PATH; install or load it, or set {setting} to the command "
            "that starts it"
        )


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that is gone afterwards, where TMPDIR says."""
    with tempfile.TemporaryDirectory(prefix="argyro-label-") as name:
        yield Path(name)


def run_program(command: Sequence[str], folder: Path, *, unconverged: str | None = None) -> str:
    """What a program prints.

    Args:
        command: The program and its arguments.
        folder: Where it runs.
        unconverged: What it prints if it did not reach self-consistency, which some programs call a failure.

    Raises:
        NotConvergedError: it printed that.
        LabelError: it fails; with the end of what it said.
    """
    done = subprocess.run(  # noqa: S603  the user's own command
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if unconverged is not None and unconverged in done.stdout:
        raise NotConvergedError(f"'{' '.join(command)}' says: {unconverged}")
    if done.returncode != 0:
        last = "\n".join(_complaint(done.stdout + done.stderr, folder).strip().splitlines()[-LAST_LINES:])
        raise LabelError(f"'{' '.join(command)}' failed with exit status {done.returncode}:\n{last}")
    return done.stdout


def _complaint(output: str, folder: Path) -> str:
    """What a failed program said; Quantum ESPRESSO's reason is in a file, for an MPI abort loses the output."""
    crash = folder / "CRASH"
    return crash.read_text(errors="replace") if crash.exists() else output


def to_voigt(stress: FloatArray) -> FloatArray:
    """A symmetric tensor, shape (3, 3), in the order xx yy zz yz xz xy, shape (6,).

    Raises:
        LabelError: it is not symmetric.
    """
    if np.abs(stress - stress.T).max() > 1e-4 * max(1.0, np.abs(stress).max()):
        raise LabelError(f"the stress is not symmetric:\n{stress}")
    return np.array([stress[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))])
