"""From an equilibration at constant pressure to the start of a production run at constant volume."""

import numpy as np
from ase import Atoms

from .run import RunResult

SETTLED = 0.5  # of an equilibration: its mean cell is taken from what comes after


def at_mean_cell(equilibrated: RunResult) -> Atoms:
    """The last structure, strained to the mean cell of the second half of the run.

    One frame's cell would do for the pressure but not for the temperature of a small system, whose energy it fixes.
    """
    table = equilibrated.thermo()
    settled = table[table["time_ps"] >= SETTLED * table["time_ps"].max()]
    atoms = equilibrated.final()
    mean = np.array([settled[f"{name}_angstrom"].mean() for name in "abc"])
    cell = atoms.cell.array * (mean / atoms.cell.lengths())[:, None]
    atoms.set_cell(cell, scale_atoms=True)
    return atoms
