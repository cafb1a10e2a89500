"""What a labelling backend is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt
from ase import Atoms

type FloatArray = npt.NDArray[Any]


class NotConvergedError(Exception):
    """A self-consistent calculation did not converge; the next rung of the ladder may."""


@dataclass(frozen=True, eq=False)
class Calculation:
    """One converged calculation.

    Attributes:
        energy: Free energy consistent with the forces, eV.
        forces: Shape (N, 3), eV/angstrom.
        stress: Order xx yy zz yz xz xy, shape (6,), eV/angstrom^3, tensile positive.
        energy_zero_smearing: Extrapolated to no smearing, eV; None where there is no smearing.
        scf_steps: Steps to self-consistency, where the code tells.
        gap: Band gap, eV, where the code tells.
    """

    energy: float
    forces: FloatArray
    stress: FloatArray
    energy_zero_smearing: float | None = None
    scf_steps: int | None = None
    gap: float | None = None


class Backend(Protocol):
    """A method that labels structures.

    Attributes:
        level_of_theory: What labels must share to be fitted together.
        settings: Everything that decides the numbers, as JSON holds it.
        code_version: Name and version of the code.
        pseudopotentials: SHA-256 of the file of pseudopotentials or parameters of each element, or of ``*``, all.
        rungs: How many ways to reach self-consistency there are; they change mixing, solver and steps only.
    """

    level_of_theory: str
    settings: Mapping[str, Any]
    code_version: str
    pseudopotentials: Mapping[str, str]
    rungs: int

    def calculate(self, atoms: Atoms, rung: int) -> Calculation:
        """Energy, forces and stress of a periodic structure.

        Args:
            atoms: The structure.
            rung: Which way to self-consistency to take, from 0.

        Raises:
            NotConvergedError: no self-consistency, or no proof of it.
            LabelError: anything else that went wrong.
        """
        ...
