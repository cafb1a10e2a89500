"""Systems in motion under kernels for GPUs, on a processor or on a card, shared by tests."""

from typing import Any

import numpy as np
from helpers import LI6PS5CL_NUMBERS, li6ps5cl_cell, to_structure

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


def settled_solid(sites: Sites) -> MovingSystem:
    """416 atoms of Li6PS5Cl that a thermostat has kept at 300 K for 2 ps, for a potential fitted to real labels."""
    structure = to_structure(li6ps5cl_cell(repeat=2, rattle=0.02), LI6PS5CL_NUMBERS)
    masses, is_framework = MASSES[structure.types], structure.types != 0
    images, velocities = np.zeros((len(masses), 3), np.int32), thermal_velocities(masses, 300.0, 1)
    system = System(structure.types, structure.positions, structure.cell)
    start = MovingSystem(system, masses, velocities, images, is_framework, (300.0, 300.0), 1)
    motion = motion_of(sites, start, thermostat_time=0.05, steps=2000)
    motion.advance(2000)
    state = motion.state(0)
    system = System(structure.types, state["positions"], state["cell"])
    return MovingSystem(
        *(system, masses, state["velocities"], state["images"].astype(np.int32), is_framework, (300.0, 300.0), 1)
    )
