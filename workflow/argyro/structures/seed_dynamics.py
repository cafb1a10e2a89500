"""Seeds by short molecular dynamics of a bulk cell, each step's forces from the labelling backend itself."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from ase import Atoms, units
from ase.constraints import FixCom
from ase.md.bussi import Bussi
from ase.md.velocitydistribution import thermalize_momenta

from argyro.common.errors import LabelError
from argyro.common.files import replacing, sha256_of_json
from argyro.common.randomness import seed_for
from argyro.config.labels import GatesConfig
from argyro.config.materials import Material
from argyro.config.structures import SeedDynamicsConfig, StructuresConfig
from argyro.labels.backends.base import Backend, NotConvergedError
from argyro.labels.gates import is_finite, structure_violations
from argyro.labels.label import climb, obtain
from argyro.labels.store import Finished, Store, settings_of, structure_hash

from .bulk import build_bulk
from .neighbours import FloatArray
from .seeds import with_contacts

logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 10.0  # a kill loses this much and the calculation that is running
HOTTEST = (3.0, 1000.0)
"""A temperature above so many times that of the thermostat, and so many kelvin that a cell just built may release, is
an explosion: the temperature of 52 atoms has a standard deviation of 11 %."""
REMEDY = (
    "shorten structures.seeds.md.timestep_ps or lower temperature_K; if labels of single structures fail as well, "
    "choose structures.seeds.kind rattled or another labels.backend"
)


@dataclass(eq=False)
class State:
    """All that the rest of a run depends on.

    Attributes:
        step: Steps done.
        positions: Unwrapped, shape (N, 3), angstrom.
        momenta: Shape (N, 3), in ASE's units.
        forces: At these positions, shape (N, 3), eV/angstrom.
        rng: Random numbers of the thermostat.
        frames: Positions of the seeds so far, each of shape (N, 3), angstrom.
    """

    step: int
    positions: FloatArray
    momenta: FloatArray
    forces: FloatArray
    rng: np.random.Generator
    frames: list[FloatArray] = field(default_factory=list)


def sample_seeds(
    material: Material,
    settings: StructuresConfig,
    backend: Backend,
    store: Store,
    gates: GatesConfig,
    *,
    checkpoint: Path,
    seed: int,
) -> list[Atoms]:
    """Frames of molecular dynamics at constant volume and temperature, evenly spaced, and then those with a contact.

    Every step is a calculation of its own, so any backend will do. Those of the frames go into the store, where the
    labels of the set find them. A run that was killed goes on from its checkpoint and gives the same frames; so does
    one that is made longer.

    Args:
        material: Whose bulk cell is run, in one random arrangement of its disorder.
        settings: The cell, and how it is run.
        backend: What computes forces.
        store: Where the calculations of frames are and go.
        gates: How close atoms may come.
        checkpoint: File of the run's state; that of another run is replaced.
        seed: Of the arrangement, the first velocities and the thermostat.

    Returns:
        Structures with ``material``, ``exchange_percent``, ``seed_index`` and, of frames, ``time_ps`` in ``info``.

    Raises:
        StructureError: the cell cannot be built.
        LabelError: a calculation failed, or the run exploded; the message says what to do.
    """
    cell, md = settings.seeds.supercell, settings.seeds.md
    start = build_bulk(
        material, cell, lithium_sites=settings.bulk.lithium_sites, limits=settings.limits, seed=seed_for(seed, "cell")
    )
    dynamics = SeedDynamics(start, md, backend, store, gates)
    frames = dynamics.run(checkpoint, seed_for(seed, "dynamics"))
    seeds = [_seed(start, positions, index, md) for index, positions in enumerate(frames)]
    return with_contacts(seeds, material, seed, settings.seeds.contacts)


def _seed(start: Atoms, positions: FloatArray, index: int, md: SeedDynamicsConfig) -> Atoms:
    atoms: Atoms = start.copy()
    atoms.positions = positions
    atoms.info |= {"seed_index": index, "time_ps": round((index + 1) * md.seed_every_steps * md.timestep_ps, 6)}
    return atoms


class SeedDynamics:
    """Molecular dynamics of one cell by velocity Verlet and Bussi's thermostat, its center of mass at rest.

    Args:
        start: The cell, with nothing attached.
        md: How it is run.
        backend: What computes forces.
        store: Where the calculations of frames are and go.
        gates: How close atoms may come.

    Source: Bussi, Donadio and Parrinello, J. Chem. Phys. 126, 014101 (2007).
    """

    def __init__(
        self, start: Atoms, md: SeedDynamicsConfig, backend: Backend, store: Store, gates: GatesConfig
    ) -> None:
        self._start, self._md, self._backend, self._store, self._gates = start, md, backend, store, gates
        self._name = str(start.info.get("material", start.get_chemical_formula()))

    def run(self, checkpoint: Path, seed: int) -> list[FloatArray]:
        """Positions of the frames.

        Args:
            checkpoint: File of the state.
            seed: Of the first velocities and the thermostat.

        Returns:
            Arrays of shape (N, 3), angstrom, unwrapped, one every ``seed_every_steps``.

        Raises:
            LabelError: a calculation failed, or the run exploded.
        """
        identity = self._identity(seed)
        state = load_state(checkpoint, identity)
        if state is None:
            state = self._first_state(seed)
        else:
            logger.info("goes on after step %d of %d", state.step, self._md.steps)
        atoms, bussi = self._dynamics(state)
        saved = time.monotonic()
        while state.step < self._md.steps:
            self._advance(atoms, bussi, state)
            if time.monotonic() - saved >= CHECKPOINT_SECONDS or state.step == self._md.steps:
                save_state(checkpoint, identity, state)
                saved = time.monotonic()
        return state.frames[: self._md.count]

    def _identity(self, seed: int) -> str:
        """SHA-256 of all that decides the run, but its length."""
        md = self._md.model_dump(mode="json", exclude={"duration_ps"})
        return sha256_of_json([structure_hash(self._start), settings_of(self._start, self._backend), md, seed])

    def _first_state(self, seed: int) -> State:
        atoms, rng = self._start.copy(), np.random.default_rng(seed)
        atoms.set_constraint(FixCom())
        thermalize_momenta(atoms, temperature_K=self._md.temperature_K, rng=rng)
        forces = self._calculate(atoms, 0).calculation.forces
        return State(0, atoms.get_positions(), atoms.get_momenta(), forces, rng)

    def _dynamics(self, state: State) -> tuple[Atoms, Bussi]:
        """ASE's objects in a given state."""
        atoms = self._start.copy()
        atoms.positions = state.positions
        atoms.set_momenta(state.momenta)
        atoms.set_constraint(FixCom())
        atoms.calc = _StepForces(lambda at: self._calculate(at, state.step + 1))
        bussi = Bussi(
            atoms,
            self._md.timestep_ps * 1000 * units.fs,
            temperature_K=self._md.temperature_K,
            taut=self._md.thermostat_ps * 1000 * units.fs,
            rng=state.rng,
        )
        return atoms, bussi

    def _advance(self, atoms: Atoms, bussi: Bussi, state: State) -> None:
        """One step; a frame is kept where it is one's turn."""
        state.forces = bussi.step(state.forces)
        state.step += 1
        state.positions, state.momenta = atoms.get_positions(), atoms.get_momenta()
        kelvin, (factor, more) = atoms.get_temperature(), HOTTEST
        if not kelvin < factor * self._md.temperature_K + more:
            raise self._error(state.step, f"the temperature is {kelvin:.0f} K; {REMEDY}")
        if self._is_frame(state.step):
            state.frames.append(state.positions)

    def _is_frame(self, step: int) -> bool:
        return step > 0 and step % self._md.seed_every_steps == 0

    def _calculate(self, atoms: Atoms, step: int) -> Finished:
        """The calculation of a step, from the store or for it where the step gives a frame."""
        plain = self._start.copy()
        plain.positions = atoms.positions
        if unfit := structure_violations(plain, self._gates):
            raise self._error(step, f"{'; '.join(unfit)}; {REMEDY}")
        try:
            if self._is_frame(step):
                finished, _ = obtain(plain, self._backend, self._store)
            else:
                finished = climb(plain, self._backend)
        except (NotConvergedError, LabelError) as error:
            raise self._error(step, f"{error}; {REMEDY}") from None
        if not is_finite(finished.calculation):
            raise self._error(step, f"energy, forces or stress are not finite; {REMEDY}")
        return finished

    def _error(self, step: int, reason: str) -> LabelError:
        return LabelError(f"molecular dynamics of seeds of {self._name} broke off at step {step}: {reason}")


class _StepForces:
    """What molecular dynamics asks of ASE's calculators, and no more: each step has its forces computed once."""

    def __init__(self, calculate: Callable[[Atoms], Finished]) -> None:
        self._calculate = calculate

    def get_forces(self, atoms: Atoms) -> FloatArray:
        """Shape (N, 3), eV/angstrom."""
        return self._calculate(atoms).calculation.forces


def save_state(path: Path, identity: str, state: State) -> None:
    """Write a state in one step.

    Args:
        path: The file.
        identity: Of the run.
        state: Its state.
    """
    with replacing(path) as temporary:
        np.savez(
            temporary,
            identity=identity,
            step=state.step,
            positions=state.positions,
            momenta=state.momenta,
            forces=state.forces,
            rng=json.dumps(state.rng.bit_generator.state),
            frames=np.array(state.frames).reshape(-1, *state.positions.shape),
        )


def load_state(path: Path, identity: str) -> State | None:
    """The state that a run left; None if there is none, it is another run's, or damaged, which is logged."""
    if not path.exists():
        return None
    try:
        with np.load(BytesIO(path.read_bytes())) as file:
            if str(file["identity"]) != identity:
                logger.info("%s is of other settings; the run begins anew", path)
                return None
            rng = np.random.default_rng()
            rng.bit_generator.state = json.loads(str(file["rng"]))
            positions, momenta, forces = (file[name] for name in ("positions", "momenta", "forces"))
            return State(int(file["step"]), positions, momenta, forces, rng, list(file["frames"]))
    except (OSError, EOFError, BadZipFile, KeyError, ValueError, TypeError) as error:
        logger.warning("the damaged checkpoint %s is left out, and the run begins anew: %s", path, error)
        return None
