"""Probes of target properties, level by level: the ladder may end when they agree, not when errors are small."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.units import _e

from argyro.common.errors import DynamicsError
from argyro.config.learning import OuterStopConfig
from argyro.md.lammps import PotentialFile
from argyro.md.relax import RelaxSettings, relax, require_converged
from argyro.md.run import run_md
from argyro.md.settings import Coupling, Ensemble, RunSettings, Stream

from .surroundings import FloatArray

type Quantity = Literal["D_cm2_per_s", "boundary_energy_J_per_m2"]

BLOCKS = 5  # of a run, taken for independent
FRAME_STEPS = 50
SEGMENT = 10_000  # steps
CM2_PER_S = 1e-4  # of one angstrom^2/ps
J_PER_M2 = _e * 1e20  # of one eV/angstrom^2
MOBILE = "mobile"


@dataclass(frozen=True)
class Probe:
    """A target property of one structure by one potential.

    Attributes:
        structure: Its name.
        quantity: What was measured.
        value: In the quantity's unit; None where the potential does not hold the structure together.
        standard_error: 0 where nothing is random.
        message: Why there is no value.
    """

    structure: str
    quantity: Quantity
    value: float | None
    standard_error: float = 0.0
    message: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def probe_diffusivity(
    name: str,
    atoms: Atoms,
    potential: PotentialFile,
    settings: OuterStopConfig,
    mobile: str,
    *,
    folder: Path,
    seed: int,
) -> Probe:
    """Tracer diffusion coefficient of the mobile ion, roughly.

    A run at constant volume is cut into blocks; the slope of the mean squared displacement of each, from its own start,
    over the block's second half, gives one value. This is good enough to compare levels, not to be published.

    Args:
        name: Of the structure.
        atoms: The structure.
        potential: What drives it.
        settings: Temperature and times.
        mobile: The ion that diffuses.
        folder: Of the run, which is not made again while it is there.
        seed: Of velocities and thermostat.
    """
    steps = round((settings.equilibration_ps + settings.duration_ps) / settings.timestep_ps)
    asked = RunSettings(
        Ensemble("nvt", settings.temperature_K),
        steps=FRAME_STEPS * -(-steps // FRAME_STEPS),
        timestep=settings.timestep_ps,
        streams=(Stream(MOBILE, FRAME_STEPS, (mobile,)),),
        segment_steps=SEGMENT,
        mobile=(mobile,),
    )
    result = run_md(atoms, potential, asked, folder, seed=seed)
    if not result.finished:
        return Probe(name, "D_cm2_per_s", None, message=f"{result.status} after {result.time:.2f} ps: {result.reason}")
    trajectory = result.trajectory(MOBILE)
    kept = trajectory.times >= settings.equilibration_ps
    places = (trajectory.positions() - trajectory.framework[:, None, :])[kept]
    value, error = block_diffusivity(places, FRAME_STEPS * settings.timestep_ps)
    return Probe(name, "D_cm2_per_s", CM2_PER_S * value, CM2_PER_S * error)


def block_diffusivity(positions: FloatArray, interval: float) -> tuple[float, float]:
    """Diffusion coefficient in three dimensions and its standard error, by blocks, in angstrom^2/ps.

    Args:
        positions: Unwrapped and free of drift, shape (F, M, 3), angstrom.
        interval: Between frames, ps.

    Raises:
        DynamicsError: fewer frames than it takes.
    """
    length = len(positions) // BLOCKS
    if length < 4:  # noqa: PLR2004  two halves of two frames
        raise DynamicsError(f"{len(positions)} frames are too few for {BLOCKS} blocks; make the runs longer")
    slopes = []
    for block in range(BLOCKS):
        part = positions[block * length : (block + 1) * length]
        squares = ((part - part[0]) ** 2).sum(axis=2).mean(axis=1)
        half = length // 2
        slopes.append(np.polyfit(interval * np.arange(half, length), squares[half:], 1)[0] / 6)
    return float(np.mean(slopes)), float(np.std(slopes, ddof=1) / np.sqrt(BLOCKS))


def probe_boundary(name: str, bicrystal: Atoms, bulk: Atoms, potential: PotentialFile, *, folder: Path) -> Probe:
    """Energy of a grain boundary at 0 K, of the nearest minimum.

    Half the energy of a periodic bicrystal, which holds two boundaries, beyond that of as many formula units of bulk
    that is relaxed by the same potential.

    Args:
        name: Of the bicrystal.
        bicrystal: Its boundaries normal to z.
        bulk: Of the same material.
        potential: What relaxes both.
        folder: For scratch files.
    """
    energies = []
    cells: tuple[tuple[Atoms, Coupling], ...] = ((bicrystal, "anisotropic"), (bulk, "isotropic"))
    for atoms, cell in cells:
        try:
            settings = RelaxSettings(cell=cell, force_tolerance=0.01)
            relaxed = require_converged(relax(atoms, potential, folder, settings), name)
        except DynamicsError as error:
            return Probe(name, "boundary_energy_J_per_m2", None, message=str(error))
        energies.append(relaxed.energy / len(atoms))
    area = float(np.linalg.norm(np.cross(bicrystal.cell.array[0], bicrystal.cell.array[1])))
    excess = len(bicrystal) * (energies[0] - energies[1]) / (2 * area)
    return Probe(name, "boundary_energy_J_per_m2", J_PER_M2 * excess)


def agree(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], tolerance: float) -> bool:
    """Whether two levels agree in all their target properties.

    They do not where a property was not resolved: its standard error, or the lack of a value, hides any difference.

    Args:
        before: Probes of the lower level, as JSON holds them.
        now: Of the higher one, in the same order.
        tolerance: Largest difference, and largest standard error of the difference, relative to the mean size.
    """
    if not now or len(before) != len(now):
        return False
    for first, second in zip(before, now, strict=True):
        if first["value"] is None or second["value"] is None:
            return False
        size = (abs(first["value"]) + abs(second["value"])) / 2
        error = float(np.hypot(first["standard_error"], second["standard_error"]))
        if max(abs(first["value"] - second["value"]), error) > tolerance * size:
            return False
    return True
