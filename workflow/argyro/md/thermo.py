"""The table of temperature, energies, pressure and cell of a run."""

from pathlib import Path

import numpy as np
import pandas as pd
from ase.calculators.lammps import Prism

from argyro.common.errors import FileError

BAR_PER_GPA = 1e4
VOIGT = ("xx", "yy", "zz", "yz", "xz", "xy")
FRAMEWORK = tuple(f"framework_{axis}_angstrom" for axis in "xyz")
PLACES = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def read_log(path: Path, keywords: tuple[str, ...]) -> pd.DataFrame:
    """The last table that LAMMPS printed to its log, as far as it got.

    Args:
        path: The log.
        keywords: Of the table's columns.

    Raises:
        FileError: there is no such table.
    """
    rows: list[list[str]] | None = None
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if len(words) == len(keywords) and words[0] == "Step":
            rows = []
        elif rows is not None and len(words) == len(keywords) and words[0].isdigit():
            rows.append(words)
    if rows is None:
        raise FileError(f"{path} holds no table of {len(keywords)} columns")
    return pd.DataFrame(np.array(rows, dtype=float).reshape(-1, len(keywords)), columns=list(keywords))


def tidy(raw: pd.DataFrame, timestep: float, prism: Prism) -> pd.DataFrame:
    """The table in our units and in the structure's own orientation.

    Args:
        raw: As LAMMPS printed it.
        timestep: ps.
        prism: Turns vectors into LAMMPS's orientation.
    """
    pressure = _turned(raw, prism) / BAR_PER_GPA
    framework = raw[[f"c_framework[{axis}]" for axis in (1, 2, 3)]].to_numpy() @ prism.rot_mat.T
    table = {
        "step": raw["step"].astype(np.int64),
        "time_ps": raw["step"] * timestep,
        "temperature_K": raw["temp"],
        "potential_energy_eV": raw["pe"],
        "kinetic_energy_eV": raw["ke"],
        "conserved_energy_eV": raw["econserve"],
        "pressure_GPa": np.trace(pressure, axis1=1, axis2=2) / 3,
        **{f"pressure_{name}_GPa": pressure[:, i, j] for name, (i, j) in zip(VOIGT, PLACES, strict=True)},
        "volume_angstrom3": raw["lx"] * raw["ly"] * raw["lz"],
        "a_angstrom": raw["lx"],
        "b_angstrom": np.hypot(raw["ly"], raw["xy"]),
        "c_angstrom": np.sqrt(raw["lz"] ** 2 + raw["xz"] ** 2 + raw["yz"] ** 2),
        **dict(zip(FRAMEWORK, framework.T, strict=True)),
    }
    if "c_grade[1]" in raw:
        table |= {"grade": raw["c_grade[1]"], "largest_grade": raw["c_grade[3]"]}
    return pd.DataFrame(table)


def _turned(raw: pd.DataFrame, prism: Prism) -> np.ndarray:
    """Pressure tensor in the structure's orientation, shape (rows, 3, 3), bar."""
    tensor = np.empty((len(raw), 3, 3))
    for name, (i, j) in zip(VOIGT, PLACES, strict=True):
        tensor[:, i, j] = tensor[:, j, i] = raw[f"p{name}"]
    return prism.rot_mat @ tensor @ prism.rot_mat.T
