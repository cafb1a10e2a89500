"""Systems in motion under kernels for GPUs, on a processor or on a card, shared by tests."""

from typing import Any

import numpy as np

from mtpcore.gpu.motion import Motion, MotionSettings, MovingSystem, thermal_velocities
from mtpcore.gpu.sites import Sites
from mtpcore.gpu.systems import System
from mtpcore.samples import lithium_argyrodite

MASSES = np.array([6.94, 30.97, 32.06, 35.45])


def argyrodite(
    seed: int = 1,
    *,
    temperatures: tuple[float, float] = (500.0, 500.0),
    repeat: tuple[int, int, int] = (1, 1, 1),
    strain: float = 0.0,
) -> MovingSystem:
    """Li6PS5Cl, velocities of twice the temperature: half of the energy goes into vibrations."""
    crystal = lithium_argyrodite(repeat, displacement=0.02)
    masses = MASSES[crystal.types]
    size = 1.0 + strain
    return MovingSystem(
        System(crystal.types, crystal.positions * size, crystal.cell * size),
        masses,
        thermal_velocities(masses, 2 * temperatures[0], seed),
        np.zeros((len(masses), 3), np.int32),
        crystal.types != 0,
        temperatures,
        seed,
    )


def settings(**options: Any) -> MotionSettings:
    return MotionSettings(**({"timestep": 0.001, "steps": 1000} | options))


def total_energies(motion: Motion, *, every: int, count: int) -> np.ndarray:
    """What is conserved, of the first system, per atom."""
    energies = []
    for _ in range(count):
        (seen, *_) = motion.observe()
        energies.append(seen.potential_energy + seen.kinetic_energy + seen.taken)
        motion.advance(every)
    return np.array(energies) / len(motion.positions()[0])


def motion_of(sites: Sites, *systems: MovingSystem, **options: Any) -> Motion:
    return Motion(sites, sites.backend, systems or (argyrodite(),), settings(**options), 0)
