"""GFN-xTB by tblite: seconds per label."""

from importlib.metadata import version
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree

from argyro.common.errors import LabelError
from argyro.config.labels import LabelsConfig, ProtocolName

from .base import Calculation, NotConvergedError

ACCURACY: dict[ProtocolName, float] = {"fast": 1.0, "moderate": 0.1, "paper": 0.01}
LADDER = ({"max-iter": 250}, {"max-iter": 500, "mixer-damping": 0.2}, {"max-iter": 1000, "mixer-damping": 0.05})
BOLTZMANN = 3.166811563e-6  # hartree/K (CODATA 2018)
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


class TbliteBackend:
    """See `Backend`."""

    rungs = len(LADDER)
    pseudopotentials: dict[str, str] = {}  # noqa: RUF012  never changed

    def __init__(self, config: LabelsConfig) -> None:
        own = config.tblite
        self.level_of_theory = own.method
        self.settings: dict[str, Any] = {
            "backend": "tblite",
            "method": own.method,
            "accuracy": own.accuracy or ACCURACY[config.protocol],
            "electronic_temperature_K": own.electronic_temperature_K,
        }
        self.code_version = f"tblite {version('tblite')}"

    def calculate(self, atoms: Atoms, rung: int) -> Calculation:
        """See `Backend`; tblite's own energy includes the electronic entropy."""
        try:
            result = self._calculator(atoms, rung).singlepoint()
        except RuntimeError as error:
            if "converge" in str(error).lower():
                raise NotConvergedError(str(error)) from None
            raise LabelError(f"tblite failed: {error}") from None
        virial = np.asarray(result.get("virial")) * Hartree
        return Calculation(
            float(result.get("energy")) * Hartree,
            -np.asarray(result.get("gradient")) * Hartree / Bohr,
            np.array([(virial[i, j] + virial[j, i]) / 2 for i, j in VOIGT]) / atoms.get_volume(),
        )

    def _calculator(self, atoms: Atoms, rung: int) -> Any:
        from tblite.interface import Calculator  # noqa: PLC0415  starts its threads when imported

        calculator = Calculator(
            self.settings["method"],
            atoms.numbers,
            atoms.positions / Bohr,
            lattice=atoms.cell.array / Bohr,
            periodic=atoms.pbc,
        )
        options = {
            "verbosity": 0,
            "accuracy": self.settings["accuracy"],
            "temperature": self.settings["electronic_temperature_K"] * BOLTZMANN,
        }
        for name, value in (options | LADDER[rung]).items():
            calculator.set(name, value)
        return calculator


def open_backend(config: LabelsConfig) -> TbliteBackend:
    """The backend, ready to label."""
    return TbliteBackend(config)
