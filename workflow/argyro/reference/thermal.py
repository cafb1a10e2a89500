"""Lattice constants at a temperature: from runs of one method, and from the same frames of another, reweighted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.velocitydistribution import thermalize_momenta

type FloatArray = npt.NDArray[np.float64]

TIME_STEP = 2.0  # fs
THERMOSTAT, BAROSTAT = 100.0, 500.0  # fs
BAROSTAT_MASS = 2e4  # in units of ASE: the volume of 50 atoms breathes within about a tenth of a picosecond
EVERY = 125  # steps from frame to frame: after 0.25 ps the volume of 50 atoms has forgotten what it was
DISCARDED = 0.2  # of a run, at its start
BLOCKS = 10  # of frames, left out one after the other for errors
FEWEST = 20.0  # frames that have to count, of those that are reweighted


@dataclass(frozen=True)
class LatticeConstant:
    """Of a cubic cell, a mean over frames.

    Attributes:
        angstrom: The cube root of the volume.
        error_angstrom: Its standard error, by a jackknife over blocks of time.
        effective_frames: How many frames of equal weight would be worth as much (Kish's number).
    """

    angstrom: float
    error_angstrom: float
    effective_frames: float

    @property
    def resolved(self) -> bool:
        """Whether enough frames count."""
        return self.effective_frames >= FEWEST


def thermal_frames(atoms: Atoms, calculator: Any, temperature_K: float, length_ps: float, seed: int) -> list[Atoms]:
    """Frames of molecular dynamics at zero pressure in a cell that keeps its shape, with their energies.

    Args:
        atoms: The start.
        calculator: Any of ASE with energy, forces and stress.
        temperature_K: Of the run.
        length_ps: Of it; the first fifth is left out.
        seed: Of velocities and of the thermostat, which is Langevin's: 50 cold atoms are too regular for others.
    """
    running = atoms.copy()
    running.calc = calculator
    rng = np.random.default_rng(seed)
    thermalize_momenta(running, temperature_K, rng=rng)
    run = LangevinBAOAB(
        running,
        TIME_STEP * units.fs,
        temperature_K=temperature_K,
        externalstress=0.0,
        hydrostatic=True,
        T_tau=THERMOSTAT * units.fs,
        P_tau=BAROSTAT * units.fs,
        P_mass=BAROSTAT_MASS,
        rng=rng,
    )
    frames: list[Atoms] = []
    count = round(1000 * length_ps / TIME_STEP / EVERY)
    for k in range(count):
        run.run(EVERY)
        if k >= DISCARDED * count:
            frame = running.copy()
            frame.calc = SinglePointCalculator(frame, energy=running.get_potential_energy())
            frames.append(frame)
    return frames


def lattice_constant(
    frames: Sequence[Atoms], temperature_K: float, energies_eV: Sequence[float] | None = None
) -> LatticeConstant:
    """Mean of frames, by the method that ran them or another.

    Each frame counts as often as the other method would visit it: by Boltzmann's factor of the difference of energies
    (A. M. Ferrenberg, R. H. Swendsen, Phys. Rev. Lett. 61, 2635 (1988)). It takes energies of frames where a run of the
    other method would take a hundred times as many.

    Args:
        frames: As `thermal_frames` gives them.
        temperature_K: Of their run.
        energies_eV: By the other method, of each frame; None for the one that ran them.
    """
    edges = np.array([frame.get_volume() ** (1 / 3) for frame in frames])
    weights = np.ones(len(frames))
    if energies_eV is not None:
        differences = np.array(energies_eV) - [frame.get_potential_energy() for frame in frames]
        weights = np.exp(-(differences - differences.min()) / (units.kB * temperature_K))
    without = [_mean_without(block, edges, weights) for block in np.array_split(np.arange(len(frames)), BLOCKS)]
    return LatticeConstant(
        angstrom=float(np.average(edges, weights=weights)),
        error_angstrom=float(np.sqrt((BLOCKS - 1) * np.var(without))),
        effective_frames=float(weights.sum() ** 2 / (weights**2).sum()),
    )


def _mean_without(block: npt.NDArray[np.int64], edges: FloatArray, weights: FloatArray) -> float:
    return float(np.average(np.delete(edges, block), weights=np.delete(weights, block)))
