"""Relaxation of a structure by the learned potential: minimised, warmed, annealed, cooled, minimised."""

import logging
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from ase import Atoms

from argyro.common.randomness import seed_for
from argyro.config.dynamics import RelaxationConfig
from argyro.config.materials import Material
from argyro.md.checks import find_bonds
from argyro.md.lammps import BurstError, PotentialFile
from argyro.md.relax import RelaxSettings, relax
from argyro.md.run import run_md
from argyro.md.settings import Coupling, Ensemble, RunSettings

logger = logging.getLogger(__name__)
ROUGH_ROUNDS = 3  # of the first minimisation: it takes the worst out of a structure just built, no more
THERMO_EVERY, SEGMENT = 50, 10_000  # steps


@dataclass(frozen=True)
class Relaxation:
    """What became of a structure.

    Attributes:
        atoms: Where it ended, without the drift of the atoms that do not diffuse, not wrapped.
        energy_eV: None if it did not hold together.
        largest_force_eV_per_angstrom: Largest component that is left; None if it did not hold together.
        converged: Whether it is at a minimum.
        linear_strain: Cube root of the volume over that before the relaxation, less 1.
        broken_units: Rigid units that are not whole at the end.
        message: Why there is no energy; empty if there is one.
    """

    atoms: Atoms
    energy_eV: float | None
    largest_force_eV_per_angstrom: float | None
    converged: bool
    linear_strain: float
    broken_units: int
    message: str = ""

    def as_dict(self) -> dict[str, Any]:
        """All but the atoms, as JSON holds it."""
        content = {name: value for name, value in vars(self).items() if name != "atoms"}
        return content | {"atoms": len(self.atoms), "volume_angstrom3": float(self.atoms.get_volume())}


def coupling_of(atoms: Atoms, material: Material) -> Coupling:
    """What of a structure's cell may change.

    A bicrystal's length along the normal; the volume of polycrystals and of cubic bulk; else all three lengths.
    """
    if "boundary_z_angstrom" in atoms.info:
        return "normal"
    return "isotropic" if material.cif is None or "grain" in atoms.arrays else "anisotropic"


def relax_structure(
    atoms: Atoms,
    material: Material,
    potential: PotentialFile,
    settings: RelaxationConfig,
    folder: Path,
    *,
    timestep_ps: float,
    seed: int,
    ranks: int = 1,
) -> Relaxation:
    """Relax a structure; a killed relaxation goes on where it was.

    Args:
        atoms: A structure just built.
        material: What it is of.
        potential: What drives it.
        settings: Temperatures and times.
        folder: Of the runs.
        timestep_ps: Of molecular dynamics.
        seed: Of velocities and thermostat.
        ranks: Processes.

    Returns:
        The structure at its minimum, or the message why there is none: one that flies apart is a result, not an error.
    """
    coupling = coupling_of(atoms, material)
    try:
        rough = relax(atoms, potential, folder, RelaxSettings(cell=coupling, max_rounds=ROUGH_ROUNDS), ranks=ranks)
        hot = _anneal(rough.atoms, potential, settings, coupling, folder, timestep=timestep_ps, seed=seed, ranks=ranks)
        target = RelaxSettings(cell=coupling, force_tolerance=settings.force_tolerance_eV_per_angstrom)
        relaxed = relax(hot, potential, folder, target, ranks=ranks)
    except BurstError as error:
        logger.warning("%s", error)
        return Relaxation(atoms, None, None, converged=False, linear_strain=0.0, broken_units=0, message=str(error))
    settled = without_drift(relaxed.atoms, atoms, material.mobile)
    return Relaxation(
        atoms=settled,
        energy_eV=relaxed.energy,
        largest_force_eV_per_angstrom=relaxed.largest_force,
        converged=relaxed.converged,
        linear_strain=float((settled.get_volume() / atoms.get_volume()) ** (1 / 3) - 1),
        broken_units=sum(len(find_bonds(settled, unit).incomplete) for unit in material.rigid_units),
    )


def _anneal(
    atoms: Atoms,
    potential: PotentialFile,
    settings: RelaxationConfig,
    coupling: Coupling,
    folder: Path,
    *,
    timestep: float,
    seed: int,
    ranks: int,
) -> Atoms:
    """Warm, anneal and cool at zero pressure.

    Raises:
        BurstError: it flew apart.
    """
    low, high = settings.low_temperature_K, settings.anneal_temperature_K
    stages = {
        "warm": (low, high, settings.warm_ps),
        "anneal": (high, high, settings.anneal_ps),
        "cool": (high, low, settings.cool_ps),
    }
    for number, (name, (begin, end, duration)) in enumerate(stages.items()):
        run = RunSettings(
            Ensemble("npt", begin, end, coupling=coupling),
            steps=THERMO_EVERY * ceil(duration / timestep / THERMO_EVERY),
            timestep=timestep,
            thermo_every=THERMO_EVERY,
            segment_steps=SEGMENT,
            create_velocities=number == 0,
        )
        result = run_md(atoms, potential, run, folder / name, seed=seed_for(seed, name), ranks=ranks)
        if not result.finished:
            raise BurstError(f"stage {name} ended after {result.time:.2f} ps: {result.reason}")
        atoms = result.final()
    return atoms


def without_drift(relaxed: Atoms, start: Atoms, mobile: str) -> Atoms:
    """A structure moved so that its framework is, on average, where it was in the cell.

    Args:
        relaxed: Positions not wrapped; gets the arrays and the ``info`` of the start, less its momenta.
        start: The same atoms before.
        mobile: The ion that does not count.
    """
    framework = ~(start.symbols == mobile)
    before, now = start.get_scaled_positions(wrap=False), relaxed.get_scaled_positions(wrap=False)
    settled: Atoms = start.copy()
    settled.set_cell(relaxed.cell)
    settled.set_scaled_positions(now - (now - before)[framework].mean(axis=0))
    settled.arrays.pop("momenta", None)
    return settled
