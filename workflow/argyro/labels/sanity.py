"""The test every backend has to pass, once per setting and chemical system, before it labels anything."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import GPa

from argyro.common.errors import LabelError

from .backends.base import Backend, Calculation, NotConvergedError
from .label import obtain
from .store import Store

MAX_PRESSURE_GPA = 5.0
MAX_FORCE = 5.0  # eV/angstrom, on a lightly rattled cell
DISPLACEMENT = 0.01  # angstrom, of the atom with the largest force, along it
STRAIN = 0.005  # xx, half up and half down: at a fixed basis set, hence the tolerance
FORCE_TOLERANCE = 0.05  # relative to the largest force
STRESS_TOLERANCE_GPA = 1.5  # Pulay stress of unconverged plane waves stays below, a broken stress does not


@dataclass(frozen=True)
class Sanity:
    """What the test measured.

    Attributes:
        level_of_theory: Of the backend.
        elements: Elements in the cell.
        pressure_GPa: Minus a third of the trace of the stress.
        max_force_eV_per_angstrom: Largest force.
        force_by_differences_eV_per_angstrom: The same by central differences of the energy.
        stress_GPa: Component xx.
        stress_by_differences_GPa: The same by central differences of the energy.
        violations: What is wrong, a sentence each.
    """

    level_of_theory: str
    elements: list[str]
    pressure_GPa: float
    max_force_eV_per_angstrom: float
    force_by_differences_eV_per_angstrom: float
    stress_GPa: float
    stress_by_differences_GPa: float
    violations: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON holds it."""
        return asdict(self)


def examine(backend: Backend, atoms: Atoms, store: Store) -> Sanity:
    """Measure; five calculations.

    Args:
        backend: What to test.
        atoms: A lightly rattled cell at about the experimental volume.
        store: Where finished calculations are and go, so that a killed test goes on where it was.

    Raises:
        LabelError: a calculation fails or does not converge.
    """
    center = _calculate(backend, atoms, store)
    norms = np.linalg.norm(center.forces, axis=1)
    atom = int(norms.argmax())
    shift = DISPLACEMENT * center.forces[atom] / norms[atom]
    by_force = _slope(backend, [_displaced(atoms, atom, -shift), _displaced(atoms, atom, shift)], store)
    by_strain = _slope(backend, [_strained(atoms, -STRAIN), _strained(atoms, STRAIN)], store) / atoms.get_volume()
    measured = {
        "pressure_GPa": -float(center.stress[:3].mean()) / GPa,
        "max_force_eV_per_angstrom": float(norms[atom]),
        "force_by_differences_eV_per_angstrom": -by_force / DISPLACEMENT,
        "stress_GPa": float(center.stress[0]) / GPa,
        "stress_by_differences_GPa": by_strain / STRAIN / GPa,
    }
    elements = sorted(set(atoms.get_chemical_symbols()))
    return Sanity(backend.level_of_theory, elements, **measured, violations=_violations(*measured.values()))


def _violations(pressure: float, force: float, force_slope: float, stress: float, stress_slope: float) -> list[str]:
    found = []
    if abs(pressure) > MAX_PRESSURE_GPA:
        found.append(f"a pressure of {pressure:.1f} GPa, beyond {MAX_PRESSURE_GPA:g} GPa")
    if force > MAX_FORCE:
        found.append(f"a force of {force:.1f} eV/angstrom, above {MAX_FORCE:g}")
    if abs(force_slope - force) > FORCE_TOLERANCE * force:
        found.append(f"a force of {force:.3f} eV/angstrom where the energy's slope gives {force_slope:.3f}")
    if abs(stress_slope - stress) > STRESS_TOLERANCE_GPA:
        found.append(f"a stress of {stress:.2f} GPa where the energy's slope gives {stress_slope:.2f}")
    return found


def require_sane(result: Sanity) -> None:
    """Refuse a backend that failed its test.

    Raises:
        LabelError: names backend, elements and every violation.
    """
    if result.violations:
        raise LabelError(
            f"{result.level_of_theory} is unfit for {'-'.join(result.elements)}: on a lightly rattled cell it gives "
            f"{'; '.join(result.violations)}. Choose another labels.backend"
        )


def _calculate(backend: Backend, atoms: Atoms, store: Store) -> Calculation:
    try:
        return obtain(atoms, backend, store)[0].calculation
    except NotConvergedError as error:
        raise LabelError(f"{backend.level_of_theory} did not converge in its test: {error}") from None


def _slope(backend: Backend, pair: list[Atoms], store: Store) -> float:
    """Half the difference of the energies."""
    below, above = (_calculate(backend, atoms, store).energy for atoms in pair)
    return (above - below) / 2


def _displaced(atoms: Atoms, atom: int, shift: Any) -> Atoms:
    copy: Atoms = atoms.copy()
    copy.positions[atom] += shift
    return copy


def _strained(atoms: Atoms, strain: float) -> Atoms:
    copy: Atoms = atoms.copy()
    copy.set_cell(atoms.cell.array @ np.diag([1 + strain, 1, 1]), scale_atoms=True)
    return copy
