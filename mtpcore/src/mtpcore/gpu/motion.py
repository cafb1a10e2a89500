"""Molecular dynamics that stays on the card: many systems at once, none of which depends on the others to the last bit.

Velocity Verlet; temperatures by stochastic velocity rescaling (G. Bussi, D. Donadio, M. Parrinello, J. Chem. Phys. 126,
014101 (2007)), pressures by stochastic cell rescaling (M. Bernetti, G. Bussi, J. Chem. Phys. 153, 114107 (2020)).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from .backend import Array, Backend
from .sites import GradePlan, SiteResults, Sites
from .systems import Batch, NeighborLists, System, common_kernels

type FloatArray = npt.NDArray[np.float64]
type Coupling = Literal["isotropic", "normal", "anisotropic"]

BOLTZMANN = 8.617343e-5  # eV/K; this and the next as LAMMPS's units metal have them
MASS_UNIT = 1.0364269e-4  # eV ps^2 / (angstrom^2 u)
EV_PER_ANGSTROM3_IN_BAR = 1.6021765e6
MOTION_THREADS, SUM_THREADS, SUMS, SUM_PARTS = 128, 256, 18, 8  # as in motion.cuh
BAROSTAT_EVERY = 10  # steps
RENEW_EVERY, EARLY = 5, 0.6  # steps, and the share of the slack after which lists are then made anew
COMPRESSIBILITY = 6.0  # angstrom^3/eV, of a bulk modulus of 27 GPa; sets how fast pressures settle, not where
COUPLINGS: dict[Coupling, int] = {"isotropic": 1, "normal": 2, "anisotropic": 3}


@dataclass(frozen=True)
class MotionSettings:
    """How systems move.

    Attributes:
        timestep: ps.
        steps: Over which temperatures go from their start to their end.
        thermostat_time: ps; None: energy is conserved.
        coupling: What of the cells changes: the volume, the extent along z, or those along x, y and z; None: nothing.
        pressure: eV/angstrom^3.
        barostat_time: ps.
        skin: Of neighbour lists, angstrom.
    """

    timestep: float
    steps: int
    thermostat_time: float | None = None
    coupling: Coupling | None = None
    pressure: float = 0.0
    barostat_time: float = 2.0
    skin: float = 1.0


@dataclass(frozen=True, eq=False)
class MovingSystem:
    """A system, and what it takes to move it.

    Attributes:
        system: Its structure, the cell lower triangular (a along x, b in the plane of x and y).
        masses: Atomic mass units, shape (N,).
        velocities: angstrom/ps, shape (N, 3).
        images: Cells each atom has moved by, shape (N, 3).
        is_framework: Atoms whose centre of mass is followed, shape (N,).
        temperatures: At the start and at the end, K.
        seed: Of thermostat and barostat.
        taken: Energy that these have taken so far, eV.
    """

    system: System
    masses: FloatArray
    velocities: FloatArray
    images: npt.NDArray[np.int32]
    is_framework: npt.NDArray[np.bool_]
    temperatures: tuple[float, float]
    seed: int
    taken: float = 0.0


@dataclass(frozen=True, eq=False)
class Observation:
    """What a system is like at a step.

    Attributes:
        potential_energy: eV.
        kinetic_energy: eV.
        taken: Energy that thermostat and barostat took, eV; the three, and pressure times volume, add up to a constant.
        temperature: K.
        pressure: xx, yy, zz, yz, xz, xy, eV/angstrom^3.
        cell: Shape (3, 3), angstrom.
        framework: Centre of mass, unwrapped, angstrom.
    """

    potential_energy: float
    kinetic_energy: float
    taken: float
    temperature: float
    pressure: FloatArray
    cell: FloatArray
    framework: FloatArray


def thermal_velocities(masses: FloatArray, temperature: float, seed: int) -> FloatArray:
    """Velocities of a temperature, to the last digit, and of no total momentum, angstrom/ps, shape (N, 3)."""
    generator = np.random.default_rng(seed)
    velocities = generator.normal(size=(len(masses), 3)) / np.sqrt(masses)[:, None]
    velocities -= masses @ velocities / masses.sum()
    kinetic = 0.5 * MASS_UNIT * float(masses @ (velocities**2).sum(axis=1))
    wanted = 0.5 * BOLTZMANN * temperature * (3 * len(masses) - 3)
    return np.asarray(velocities * np.sqrt(wanted / kinetic), dtype=np.float64)


class Motion:
    """Systems in motion.

    Args:
        sites: The potential on the card.
        backend: Where.
        systems: What moves.
        settings: How.
        first_step: Steps made before.

    Attributes:
        step: Steps made.
        lists: Neighbour lists.

    Raises:
        InvalidStructureError: atoms coincide, or a cell is too small.
        GpuError: too little memory.
    """

    def __init__(
        self, sites: Sites, backend: Backend, systems: Sequence[MovingSystem], settings: MotionSettings, first_step: int
    ) -> None:
        xp = backend.xp
        self._backend, self._sites, self._settings = backend, sites, settings
        self.step = first_step
        self._kernels = common_kernels(backend)
        self._batch = batch = Batch(backend, [s.system for s in systems], sites.tables.species)
        batch.images[...] = xp.asarray(np.concatenate([s.images for s in systems]).astype(np.int32))
        cutoff = sites.potential.max_dist
        self.lists = NeighborLists(backend, self._kernels, batch, cutoff=cutoff, skin=settings.skin)
        self._results = SiteResults(backend, batch)
        self._plan: GradePlan | None = None
        self._velocities = xp.asarray(np.concatenate([s.velocities for s in systems]))
        self._masses = xp.asarray(np.concatenate([s.masses for s in systems]))
        self._framework = xp.asarray(np.concatenate([s.is_framework for s in systems]).astype(np.int32))
        self._temperatures = xp.asarray(np.array([s.temperatures for s in systems], dtype=np.float64))
        self._seeds = xp.asarray(np.array([s.seed % 2**63 for s in systems], dtype=np.uint64))
        self._atoms = xp.asarray(np.diff(batch.first_atom).astype(np.int32))
        self._moving = xp.asarray(np.ones(batch.system_count, np.int32))
        self._scale = xp.asarray(np.ones(batch.system_count))
        self._numbers = xp.zeros((batch.system_count, 3))
        self._numbers[:, 1] = xp.asarray(np.array([s.taken for s in systems]))
        self._sums = xp.zeros((batch.system_count, SUMS))
        self._stretch = xp.asarray(np.ones((batch.system_count, 3)))
        self._block_first, self._block_count, self._first_block = map(xp.asarray, _blocks(batch.first_atom))
        self._block_energy = xp.zeros(len(self._block_first))
        self._block_sums = xp.zeros((len(self._block_first), SUMS))
        self._decay = 1.0 if settings.thermostat_time is None else np.exp(-settings.timestep / settings.thermostat_time)
        self.lists.build()
        self._find_forces(virial=True)

    def advance(self, steps: int) -> None:
        """Make steps; the pressure is known after the last of them."""
        for left in range(steps, 0, -1):
            self._advance_once(is_last=left == 1)

    def _advance_once(self, *, is_last: bool) -> None:
        batch, timestep = self._batch, float(self._settings.timestep)
        self._launch(
            "first_half",
            [
                *(batch.places, self._velocities, self._results.forces, self._masses, batch.system, self._scale),
                *(self.lists.reference, self.lists.slack, self._share_of_slack(), self._moving, timestep),
                *(batch.atom_count, self.lists.stale),
            ],
        )
        self._renew_lists()
        self.step += 1
        is_stretched = self._settings.coupling is not None and self.step % BAROSTAT_EVERY == 0
        self._find_forces(virial=is_last or is_stretched)
        self._kernels.launch(
            "second_half",
            len(self._block_first),
            SUM_THREADS,
            [
                *(self._velocities, self._results.forces, self._masses, batch.system, self._moving),
                *(self._block_first, self._block_count, timestep, self._block_energy),
            ],
            shared=8 * SUM_THREADS,
        )
        self._kernels.launch(
            "end_step",
            batch.system_count,
            32,
            [
                *(self._block_energy, self._first_block, self._atoms, self._moving, self._seeds, self._temperatures),
                *(self._fraction(), float(self._decay), np.uint64(self.step), self._scale, self._numbers),
            ],
            shared=8 * 32,
        )
        if is_stretched:
            self._stretch_cells()

    def _share_of_slack(self) -> float:
        """Lists that are nearly used up are made anew in the same steps, which costs a batch less than one by one."""
        return EARLY if self.step % RENEW_EVERY == 0 else 1.0

    def _fraction(self) -> float:
        return min(1.0, self.step / self._settings.steps)

    def _launch(self, name: str, arguments: list[Array | float]) -> None:
        """A kernel with a thread for each atom."""
        blocks = -(-self._batch.atom_count // MOTION_THREADS)
        self._kernels.launch(name, blocks, MOTION_THREADS, arguments)

    def _renew_lists(self) -> None:
        if self._backend.to_host(self.lists.stale).any():
            self.lists.build()

    def _find_forces(self, *, virial: bool) -> None:
        self._sites.add_forces(self._batch, self.lists, self._results, virial=virial)

    def _stretch_cells(self) -> None:
        """Let the barostat act, and count what it takes."""
        settings, batch = self._settings, self._batch
        before = self._enthalpies()
        rate = COMPRESSIBILITY / (3.0 * settings.barostat_time)
        coupling = COUPLINGS[settings.coupling or "isotropic"]
        self._kernels.launch(
            "choose_stretch",
            batch.system_count,
            1,
            [
                *(self._sums, self._temperatures, self._fraction(), self._seeds, np.uint64(self.step), coupling),
                *(float(settings.pressure), rate, BAROSTAT_EVERY * settings.timestep, self.lists.reach),
                *(self.lists.cutoff, self._moving, batch.cells, self.lists.since, self.lists.slack, self._stretch),
            ],
        )
        self._launch(
            "stretch_atoms",
            [
                *(batch.places, self._velocities, self.lists.reference, batch.system, self._stretch, self.lists.slack),
                *(batch.atom_count, self.lists.stale),
            ],
        )
        self.lists.forget_cells()
        self._renew_lists()
        self._results.forces.fill(0)
        self._find_forces(virial=True)
        self._numbers[:, 1] += before - self._enthalpies()
        self._numbers[:, 0] = self._sums[:, -1]
        self._numbers[:, 2] = 2.0 * self._sums[:, -1] / (BOLTZMANN * (3.0 * self._atoms - 3.0))

    def _enthalpies(self) -> Array:
        """Potential and kinetic energy and pressure asked for times volume of each system."""
        self._sum_systems()
        cells = self._batch.cells
        volumes = cells[:, 0] * cells[:, 4] * cells[:, 8]
        return self._sums[:, 0] + self._sums[:, -1] + self._settings.pressure * volumes

    def _sum_systems(self) -> None:
        """Sums over each system; velocities are then as they are, no factor is put off."""
        batch, found = self._batch, self._results
        self._launch("apply_scale", [self._velocities, self._scale, batch.system, batch.atom_count])
        self._scale.fill(1.0)
        self._kernels.launch(
            "sum_blocks",
            len(self._block_first),
            SUM_THREADS,
            [
                *(batch.places, self._velocities, self._masses, batch.images, batch.cells, found.energies),
                *(found.virials, self._framework, batch.system, self._block_first, self._block_count),
                self._block_sums,
            ],
            shared=8 * SUMS * (SUM_THREADS + 1 + SUM_PARTS),
        )
        arguments = [self._block_sums, self._first_block, self._sums]
        self._kernels.launch("sum_systems", batch.system_count, 32 * SUMS, arguments, shared=8 * 32 * SUMS)

    # ------------------------------------------------------------------ what is known of the systems

    def observe(self) -> list[Observation]:
        """Energies, pressures and cells of all systems."""
        self._sum_systems()
        host = self._backend.to_host
        taken, atoms = host(self._numbers)[:, 1], np.diff(self._batch.first_atom)
        rows = zip(host(self._sums), host(self._batch.cells).reshape(-1, 3, 3), taken, atoms, strict=True)
        return [_observation(*row) for row in rows]

    def temperatures(self) -> FloatArray:
        """Of all systems after the last step, K, shape (S,)."""
        return np.asarray(self._backend.to_host(self._numbers)[:, 2])

    def flags(self) -> npt.NDArray[np.bool_]:
        """Whether each system flew apart, and whether a pair of it was closer than min_dist, shape (S, 2)."""
        return np.asarray(self._backend.to_host(self._results.flags) > 0)

    def grades(self) -> list[FloatArray]:
        """Extrapolation grades of all systems' neighbourhoods.

        Raises:
            MtpcoreError: the potential holds no active set of neighbourhoods.
        """
        if self._plan is None:
            self._plan = GradePlan(self._backend, self._batch, self._sites.tables.depth)
        return self._split(self._sites.grades(self._batch, self.lists, self._plan))

    def positions(self) -> list[FloatArray]:
        """Unwrapped positions of all systems, shape (N, 3) each, angstrom."""
        host = self._backend.to_host
        cells = host(self._batch.cells).reshape(-1, 3, 3)
        places, images = self._split(self._batch.places), self._split(self._batch.images)
        return [r[:, :3] + n @ cell for r, n, cell in zip(places, images, cells, strict=True)]

    def velocities(self) -> list[FloatArray]:
        """Of all systems, shape (N, 3) each, angstrom/ps."""
        self._sum_systems()
        return self._split(self._velocities)

    def state(self, number: int) -> dict[str, FloatArray]:
        """All of a system that a later `Motion` needs to go on from here."""
        host = self._backend.to_host
        return {
            "positions": self._split(self._batch.places)[number][:, :3],
            "images": self._split(self._batch.images)[number],
            "velocities": self.velocities()[number],
            "cell": host(self._batch.cells)[number].reshape(3, 3),
            "taken": host(self._numbers)[number, 1],
        }

    def stop(self, number: int) -> None:
        """Let a system rest from now on; the others go on."""
        self._moving[number] = 0

    def _split(self, array: Array) -> list[FloatArray]:
        return np.split(self._backend.to_host(array), self._batch.first_atom[1:-1])


def _observation(sums: FloatArray, cell: FloatArray, taken: float, atoms: int) -> Observation:
    volume, kinetic = float(cell.diagonal().prod()), float(sums[17])  # lower triangular
    return Observation(
        potential_energy=float(sums[0]),
        kinetic_energy=kinetic,
        taken=float(taken),
        temperature=2.0 * kinetic / (BOLTZMANN * max(1, 3 * atoms - 3)),
        pressure=(sums[1:7] + sums[7:13]) / volume,
        cell=cell,
        framework=sums[14:17] / sums[13] if sums[13] > 0 else np.zeros(3),
    )


def _blocks(first_atom: npt.NDArray[np.int32]) -> tuple[Array, Array, Array]:
    """First atom and number of atoms of blocks of one system each, and the first block of each system."""
    first: list[int] = []
    count: list[int] = []
    first_block = [0]
    for begin, end in zip(first_atom[:-1].tolist(), first_atom[1:].tolist(), strict=True):
        starts = range(begin, end, SUM_THREADS)
        first += starts
        count += [min(SUM_THREADS, end - start) for start in starts]
        first_block.append(len(first))
    return np.array(first, np.int32), np.array(count, np.int32), np.array(first_block, np.int32)
