"""Lattice constants at a temperature are those of the ensemble, and reweighted those of the other method."""

from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes

from argyro.reference.properties import room_temperature_properties
from argyro.reference.thermal import lattice_constant, thermal_frames

TEMPERATURE_K = 300.0
VOLUME = 200.0  # angstrom^3
STIFFNESS = 1e-3  # eV/angstrom^6
ATOMS = 4


class Spring(Calculator):
    """Energy of the volume alone, STIFFNESS / 2 (V - V0)^2: its ensemble at zero pressure is known."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  as in ASE

    def __init__(self, volume: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.volume = volume

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        excess = atoms.get_volume() - self.volume
        self.results = {
            "energy": STIFFNESS / 2 * excess**2,
            "forces": np.zeros((len(atoms), 3)),
            "stress": STIFFNESS * excess * np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]),
        }


def expected(volume: float) -> float:
    """Mean edge over V^N exp(-E / kT), angstrom."""
    grid = np.linspace(0.5, 1.6, 4001) * volume
    logarithm = ATOMS * np.log(grid) - STIFFNESS / 2 * (grid - volume) ** 2 / (units.kB * TEMPERATURE_K)
    return float(np.average(grid ** (1 / 3), weights=np.exp(logarithm - logarithm.max())))


def energies_by(calculator: Calculator, frames: list[Atoms]) -> list[float]:
    found = []
    for frame in frames:
        other = frame.copy()
        other.calc = calculator
        found.append(float(other.get_potential_energy()))
    return found


@pytest.fixture(scope="module")
def frames() -> list[Atoms]:
    start = bulk("Ar", "fcc", a=VOLUME ** (1 / 3), cubic=True)
    return thermal_frames(start, Spring(VOLUME), TEMPERATURE_K, 75.0, seed=3)


def test_lattice_constant_is_that_of_the_ensemble_within_its_error(frames: list[Atoms]) -> None:
    found = lattice_constant(frames, TEMPERATURE_K)
    assert len(frames) == found.effective_frames == 240
    assert found.error_angstrom < 0.3 * (expected(VOLUME) - VOLUME ** (1 / 3))  # warm is told from cold
    assert abs(found.angstrom - expected(VOLUME)) < 3 * found.error_angstrom


def test_frames_reweighted_give_the_lattice_constant_of_the_other_method(frames: list[Atoms]) -> None:
    larger = 1.01 * VOLUME
    found = lattice_constant(frames, TEMPERATURE_K, energies_by(Spring(larger), frames))
    assert found.resolved
    assert found.effective_frames < 240
    assert abs(found.angstrom - expected(larger)) < 3 * found.error_angstrom
    shift = found.angstrom - lattice_constant(frames, TEMPERATURE_K).angstrom
    assert shift == pytest.approx(expected(larger) - expected(VOLUME), rel=0.25)


def test_zero_of_energy_of_the_other_method_does_not_matter(frames: list[Atoms]) -> None:
    energies = [energy - 1234.5 for energy in energies_by(Spring(VOLUME), frames)]
    found = lattice_constant(frames, TEMPERATURE_K, energies)
    assert found.angstrom == pytest.approx(lattice_constant(frames, TEMPERATURE_K).angstrom, abs=1e-9)
    assert found.effective_frames == pytest.approx(240)


def test_lattice_constant_of_a_method_that_visits_other_frames_is_not_resolved(frames: list[Atoms]) -> None:
    energies = energies_by(Spring(1.5 * VOLUME), frames)
    assert lattice_constant(frames, TEMPERATURE_K, energies).effective_frames < 20
    assert set(room_temperature_properties(frames, energies).values()) == {None}
    assert None not in room_temperature_properties(frames).values()
