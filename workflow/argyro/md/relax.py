"""Minimisation of the energy, of positions alone or of the cell as well."""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from argyro.common.errors import DynamicsError

from .deck import BAR_PER_GPA, COUPLINGS, HEAD, ORIGIN
from .dump import FloatArray, read_dump
from .lammps import DATA, PotentialFile, orientation, run_lammps, write_data
from .settings import Coupling

RESULT, POSITIONS = "result.txt", "relaxed.bin"
STEPS_PER_ROUND = 200  # then the cell that strains are measured from is renewed
STRAIN_PER_STEP = 0.002  # largest, of the cell
QUANTITIES = {"energy": "pe", "force": "fmax", "xx": "pxx", "yy": "pyy", "zz": "pzz"}


@dataclass(frozen=True)
class RelaxSettings:
    """How far to go.

    Attributes:
        cell: What of the cell is relaxed, as of a barostat; None: nothing.
        pressure: Asked for, GPa.
        force_tolerance: Largest component of a force that is left, eV/angstrom.
        pressure_tolerance: Largest deviation from the pressure asked for, of each component relaxed, GPa.
        max_rounds: Of 200 steps each.
    """

    cell: Coupling | None = None
    pressure: float = 0.0
    force_tolerance: float = 1e-3
    pressure_tolerance: float = 1e-3
    max_rounds: int = 50


@dataclass(frozen=True)
class Relaxed:
    """A structure at a minimum of the energy, or on the way there.

    Attributes:
        atoms: Positions unwrapped.
        energy: eV.
        largest_force: Largest component, eV/angstrom.
        pressure_error: Largest deviation from the pressure asked for, of the components relaxed, GPa; 0 at fixed cell.
        converged: Whether both are within their tolerances.
        rounds: How many were made.
    """

    atoms: Atoms
    energy: float
    largest_force: float
    pressure_error: float
    converged: bool
    rounds: int


def relax(
    atoms: Atoms, potential: PotentialFile, folder: Path, settings: RelaxSettings | None = None, *, ranks: int = 1
) -> Relaxed:
    """Minimise the energy by conjugate gradients.

    Args:
        atoms: A periodic structure.
        potential: What drives it.
        folder: A scratch folder is made in it, and removed.
        settings: How far.
        ranks: Processes.

    Returns:
        The structure reached; ``converged`` says whether it is a minimum.

    Raises:
        DynamicsError: LAMMPS does not take the structure or the potential, or the system flew apart.
    """
    settings = settings or RelaxSettings()
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".relax-", dir=folder))
    current = atoms.copy()
    current.set_velocities(np.zeros((len(atoms), 3)))
    try:
        for done in range(1, settings.max_rounds + 1):
            write_data(scratch / DATA, current, potential.species)
            run_lammps(scratch, _deck(potential, settings), ranks=ranks)
            current, measured = _read(scratch, current)
            result = _judge(current, measured, settings, done)
            if result.converged:
                break
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return result


def require_converged(relaxed: Relaxed, what: str) -> Relaxed:
    """Refuse a structure that is not at a minimum.

    Raises:
        DynamicsError: names the structure, and how far away it is.
    """
    if not relaxed.converged:
        raise DynamicsError(
            f"{what} did not relax in {relaxed.rounds} rounds: a force of {relaxed.largest_force:.2g} eV/angstrom and "
            f"a pressure {relaxed.pressure_error:.2g} GPa off are left; allow more rounds, or start elsewhere"
        )
    return relaxed


def _deck(potential: PotentialFile, settings: RelaxSettings) -> str:
    names = " ".join(f"$({keyword}:%.17g)" for keyword in QUANTITIES.values())
    cell = ""
    if settings.cell is not None:
        pressure = settings.pressure * BAR_PER_GPA
        cell = f"fix cell all box/relax {COUPLINGS[settings.cell]} {pressure} vmax {STRAIN_PER_STEP} {ORIGIN}"
    return f"""{HEAD}read_data {DATA}
{potential.pair_style()}
neighbor 1.0 bin
neigh_modify every 1 delay 0 check yes
{cell}
min_style cg
min_modify dmax 0.1 norm inf line quadratic
thermo 50
thermo_style custom step pe fmax pxx pyy pzz
thermo_modify line one format float %.17g
minimize 0.0 {settings.force_tolerance / 2} {STEPS_PER_ROUND} {10 * STEPS_PER_ROUND}
run 0 post no
print "{names}" file {RESULT} screen no
write_dump all custom {POSITIONS} xu yu zu modify sort id
"""


def _read(scratch: Path, atoms: Atoms) -> tuple[Atoms, Mapping[str, float]]:
    turn = orientation(atoms).rot_mat.T
    (frame,) = read_dump(scratch / POSITIONS)
    relaxed = atoms.copy()
    relaxed.set_cell(frame.cell @ turn)
    relaxed.positions = frame.columns @ turn
    numbers = map(float, (scratch / RESULT).read_text(encoding="utf-8").split())
    return relaxed, dict(zip(QUANTITIES, numbers, strict=True))


def _judge(atoms: Atoms, measured: Mapping[str, float], settings: RelaxSettings, rounds: int) -> Relaxed:
    error = _pressure_error(np.array([measured[axis] for axis in ("xx", "yy", "zz")]) / BAR_PER_GPA, settings)
    return Relaxed(
        atoms=atoms,
        energy=measured["energy"],
        largest_force=measured["force"],
        pressure_error=error,
        converged=measured["force"] <= settings.force_tolerance and error <= settings.pressure_tolerance,
        rounds=rounds,
    )


def _pressure_error(pressures: FloatArray, settings: RelaxSettings) -> float:
    relaxed = {
        None: pressures[:0],
        "isotropic": pressures.mean(keepdims=True),
        "normal": pressures[2:],
        "anisotropic": pressures,
    }[settings.cell]
    return float(np.abs(relaxed - settings.pressure).max(initial=0.0))
