"""Short hot runs of small cells, from which structures to label are taken."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase import Atoms, units
from ase.filters import FrechetCellFilter
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.optimize import FIRE

from mtpcore.ase import MTP
from mtpcore.errors import CloseContactWarning

type FloatArray = npt.NDArray[np.float64]

TIME_STEP_FS = 2.0
FRICTION_PER_PS = 5.0  # strong: these runs visit structures, they measure nothing
CHECK_EVERY = 5  # steps
MAX_FORCE = 30.0  # eV/angstrom: the potential has left what it knows
MAX_HEAT = 3.0  # times the temperature asked for
RELAXATION_STEPS = 100
LAST_MOMENTS = (0, 10, 30, 60, 100)  # checks before a break: its last moments, and up to 1 ps before


@dataclass(frozen=True, eq=False)
class Run:
    """What became of one run.

    Attributes:
        frames: Structures, the first never the start.
        broken: Why the run was given up; empty if it went to its end.
        length_ps: How far it came.
    """

    frames: list[Atoms]
    broken: str
    length_ps: float


def relax(atoms: Atoms, calculator: MTP) -> str:
    """Relax positions and the length along z of an unrelaxed bicrystal, in place; why that failed, or nothing."""
    atoms.calc = calculator
    movable = FrechetCellFilter(atoms, mask=[0, 0, 1, 0, 0, 0])
    optimizer = FIRE(movable, logfile=None, maxstep=0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CloseContactWarning)
        try:
            optimizer.run(fmax=0.3, steps=RELAXATION_STEPS)
        except CloseContactWarning as contact:
            return str(contact)
    return _problem(atoms, np.inf)


def run(atoms: Atoms, calculator: MTP, temperature_K: float, *, length_ps: float, count: int, seed: int) -> Run:
    """Langevin dynamics from a structure.

    Args:
        atoms: The start; left as it is.
        calculator: The potential.
        temperature_K: Of the thermostat, and of the first velocities.
        length_ps: How long.
        count: How many frames to take.
        seed: Of velocities and noise.

    Returns:
        The run with its frames: evenly spaced, or of the last moments before it broke, the latest ones first.
    """
    rng = np.random.default_rng(seed)
    moving = atoms.copy()
    moving.calc = calculator
    thermalize_momenta(moving, temperature_K, rng=rng)
    dynamics = Langevin(
        moving,
        TIME_STEP_FS * units.fs,
        temperature_K=temperature_K,
        friction=FRICTION_PER_PS / (1000 * units.fs),
        rng=rng,
    )
    checks = max(count, round(1000 * length_ps / TIME_STEP_FS / CHECK_EVERY))
    visited: list[FloatArray] = []
    broken = ""
    for _ in range(checks):
        if broken := _advance(dynamics, moving, MAX_HEAT * temperature_K):
            break
        visited.append(moving.get_positions())
    taken = _last_moments(visited, count) if broken else _evenly(visited, count)
    return Run([_with_positions(atoms, p) for p in taken], broken, len(visited) * CHECK_EVERY * TIME_STEP_FS / 1000)


def _advance(dynamics: Langevin, atoms: Atoms, max_temperature: float) -> str:
    """Some steps; why the run is not worth going on with, or nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", CloseContactWarning)
        try:
            dynamics.run(CHECK_EVERY)
        except CloseContactWarning as contact:
            return str(contact)
    return _problem(atoms, max_temperature)


def _problem(atoms: Atoms, max_temperature: float) -> str:
    largest = float(np.abs(atoms.get_forces()).max())
    if not largest <= MAX_FORCE:
        return f"a force of {largest:.0f} eV/angstrom"
    temperature = float(atoms.get_temperature())
    return f"{temperature:.0f} K" if temperature > max_temperature else ""


def _evenly(visited: Sequence[FloatArray], count: int) -> list[FloatArray]:
    return [visited[k - 1] for k in np.linspace(0, len(visited), count + 1).astype(int)[1:]]


def _last_moments(visited: Sequence[FloatArray], count: int) -> list[FloatArray]:
    return [visited[-1 - k] for k in LAST_MOMENTS[:count] if k < len(visited)]


def _with_positions(atoms: Atoms, positions: FloatArray) -> Atoms:
    copy = Atoms(atoms.numbers, positions=positions, cell=atoms.cell, pbc=True)
    copy.info.update(atoms.info)
    copy.wrap()
    return copy
