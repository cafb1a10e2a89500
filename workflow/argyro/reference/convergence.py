"""How far settings of density functional theory are from convergence."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from ase import Atoms
from ase.units import GPa

from argyro.labels.backends.base import Backend
from argyro.labels.label import obtain
from argyro.labels.store import Store


def convergence_table(structure: Atoms, backends: Sequence[Backend], store: Store) -> pd.DataFrame:
    """Forces and stress of one structure by several settings, beside the first ones'.

    Args:
        structure: A rattled one, so that forces are not zero.
        backends: The same code at different settings.
        store: Where finished calculations are and go.

    Returns:
        One row a setting: root-mean-square and largest difference of the forces to those of the first, the same of the
        pressure, and the time taken.

    Raises:
        NotConvergedError: self-consistency is not reached.
        LabelError: a calculation fails.
    """
    finished = [obtain(structure, backend, store)[0] for backend in backends]
    chosen = finished[0].calculation
    rows = []
    for backend, done in zip(backends, finished, strict=True):
        difference = done.calculation.forces - chosen.forces
        pressure = -(done.calculation.stress - chosen.stress)[:3].mean() / GPa
        rows.append(
            {
                "level_of_theory": backend.level_of_theory,
                "rms_force_eV_per_angstrom": float(np.sqrt((done.calculation.forces**2).mean())),
                "force_difference_rms_eV_per_angstrom": float(np.sqrt((difference**2).mean())),
                "force_difference_max_eV_per_angstrom": float(np.abs(difference).max()),
                "pressure_difference_GPa": float(pressure),
                "time_s": done.seconds,
            }
        )
    return pd.DataFrame(rows)
