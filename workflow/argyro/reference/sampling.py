"""Structures to label: bulk, boundaries, carved cells and contacts, in generations.

The first generation is rattled. Every later one is sampled by a potential fitted to the labels of those before: where
it fails, the last moments before the failure are what the next potential learns from.
"""

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from ase import Atoms

from argyro.common.errors import StructureError
from argyro.common.randomness import generator_for, seed_for
from argyro.config.materials import Material
from argyro.config.reference import GenerationConfig, SamplingConfig
from argyro.config.structures import DistanceLimits, SeedsConfig, StructuresConfig
from argyro.structures.bulk import build_bulk
from argyro.structures.pushed import inserted, pushed_together
from argyro.structures.seeds import build_seeds
from argyro.structures.validator import validate
from mtpcore.ase import MTP
from mtpcore.errors import CloseContactWarning

from . import cells
from .runs import relax, run

logger = logging.getLogger(__name__)
type Pusher = Callable[[Atoms, tuple[str, str], float, np.random.Generator], Atoms]

DECIMALS = 5  # of positions and cells, angstrom: committed files are small
HOT_K = 1000.0  # above it a bulk frame belongs to the class hot
RATTLED = SeedsConfig(
    count=1,
    linear_strain_min=-0.03,
    linear_strain_max=0.07,
    random_strain=0.02,
    displacement_min_angstrom=0.02,
    displacement_max_angstrom=0.2,
    limits_factor=0.8,
)
BOUNDARY_RATTLE = 0.05  # angstrom
LONG_CELL_SHARE = 0.25  # of bulk runs, in a cell of 104 atoms
MAX_ATTEMPTS = 20  # of a structure, before the generation is given up
SOUND = 0.9  # of limits: two atoms nearer than that have a bond they should not have, such as S-S of 2.1 angstrom
CONTACT_TRIES = 30  # of which the first in which the potential has a well is taken


@dataclass(frozen=True)
class RunRecord:
    """What became of one attempt to sample.

    Attributes:
        kind: ``bulk``, ``boundary``, ``carved`` or ``contact``.
        start: What it began from.
        temperature_K: Of a run.
        frames: How many structures it gave.
        ended: Why it ended early; empty if it did not.
        length_ps: How far a run came.
    """

    kind: str
    start: str
    temperature_K: float | None
    frames: int
    ended: str
    length_ps: float


@dataclass(frozen=True, eq=False)
class Sample:
    """A generation.

    Attributes:
        structures: With ``class``, ``material``, ``source`` and, of runs, ``temperature_K`` in ``info``.
        records: All that was tried.
    """

    structures: list[Atoms]
    records: list[RunRecord]

    def table(self) -> list[dict[str, Any]]:
        """The records as JSON holds them."""
        return [asdict(record) for record in self.records]


class Sampler:
    """Samples one generation of one chemical system.

    Args:
        materials: Of the system, at all exchanges.
        settings: How to sample.
        limits: How close atoms of built cells may come.
        calculator: The potential; None in the first generation.
        seed: Of all that is random.
    """

    def __init__(
        self,
        materials: Sequence[Material],
        settings: SamplingConfig,
        limits: DistanceLimits,
        calculator: MTP | None,
        seed: int,
    ) -> None:
        self.materials = materials
        self.settings = settings
        self.limits = limits
        self.calculator = calculator
        self.seed = seed
        self.records: list[RunRecord] = []

    def sample(self, wanted: GenerationConfig) -> Sample:
        """All structures of a generation, exactly as many as wanted.

        Raises:
            StructureError: one kind of structure could not be had.
        """
        first = self.calculator is None
        settings = self.settings.model_copy(update=wanted.of_sampling)
        rattled = self._rattled_bulk(wanted.rattled + (wanted.bulk if first else 0))
        bulk = [] if first else self._frames("bulk", wanted.bulk, settings)
        count = max(wanted.boundary, wanted.carve_from or 0)
        boundary = self._rattled_boundaries(wanted.boundary) if first else self._frames("boundary", count, settings)
        carved = self._carved(_unbroken(boundary, wanted.carved), wanted.carved, settings.carve_min_atoms)
        contact = self._contacts(_unbroken(bulk or rattled, wanted.contact), wanted.contact)
        return Sample([*bulk, *boundary[: wanted.boundary], *carved, *contact, *rattled], self.records)

    # -- the first generation

    def _rattled_bulk(self, count: int) -> list[Atoms]:
        shares = [len(range(k, count, len(self.materials))) for k in range(len(self.materials))]
        structures = []
        for material, share in zip(self.materials, shares, strict=True):
            if not share:
                continue
            seeds = RATTLED.model_copy(update={"count": share})
            settings = StructuresConfig(limits=self.limits, seeds=seeds)
            rattled = build_seeds(material, settings, seed=seed_for(self.seed, material.id))
            self._record("bulk", f"{material.id}, rattled", None, len(rattled), "")
            names = [f"{material.id}-rattled-{index}" for index in range(share)]
            structures += [_tagged(a, "rattled", material.id, n) for a, n in zip(rattled, names, strict=True)]
        return structures

    def _rattled_boundaries(self, count: int) -> list[Atoms]:
        structures = []
        for index in range(count):
            atoms, name = self._boundary_cell(index)
            atoms.rattle(BOUNDARY_RATTLE, seed=seed_for(self.seed, "rattle", index) % 2**32)
            self._record("boundary", f"{name}, rattled", None, 1, "")
            structures.append(_tagged(atoms, "boundary", str(atoms.info["material"]), str(atoms.info["source"])))
        return structures

    # -- runs

    def _frames(self, kind: str, count: int, runs: SamplingConfig) -> list[Atoms]:
        """Frames of as many runs as it takes."""
        frames: list[Atoms] = []
        attempts = MAX_ATTEMPTS + count
        for index in range(attempts):
            if len(frames) >= count:
                return frames[:count]
            frames += self._run(kind, index, runs)
        raise StructureError(f"{attempts} runs of {kind} cells gave {len(frames)} of {count} frames; see the log")

    def _run(self, kind: str, index: int, runs: SamplingConfig) -> list[Atoms]:
        atoms, name = self._bulk_cell(index) if kind == "bulk" else self._boundary_cell(index)
        temperature = runs.temperatures_K[index % len(runs.temperatures_K)]
        assert self.calculator is not None  # noqa: S101  for the type checker: only the first generation has none
        if kind == "boundary" and (problem := relax(atoms, self.calculator)):
            self._record(kind, name, None, 0, f"relaxation: {problem}")
            return []
        seed = seed_for(self.seed, kind, "run", index)
        result = run(atoms, self.calculator, temperature, length_ps=runs.run_ps, count=runs.frames_per_run, seed=seed)
        self._record(kind, name, temperature, len(result.frames), result.broken, result.length_ps)
        name = "hot" if kind == "bulk" and temperature > HOT_K else kind
        material = self._material(atoms)
        frames = [_tagged(f, name, material.id, f"{kind}-{index}", temperature_K=temperature) for f in result.frames]
        for frame in frames:
            if result.broken or not is_sound(frame, material, self.limits):
                frame.info["class"] = "broken"
        return frames

    def _bulk_cell(self, index: int) -> tuple[Atoms, str]:
        rng = generator_for(self.seed, "bulk", index)
        material = self.materials[int(rng.integers(len(self.materials)))]
        shape = (1, 1, 2) if rng.random() < LONG_CELL_SHARE else (1, 1, 1)
        atoms = build_bulk(material, shape, lithium_sites="48h", limits=self.limits, seed=int(rng.integers(2**62)))
        strain = rng.uniform(self.settings.strain_min, self.settings.strain_max)
        atoms.set_cell(atoms.cell.array * (1 + strain), scale_atoms=True)
        return atoms, f"{material.id}, {len(atoms)} atoms, strain {strain:.3f}"

    def _boundary_cell(self, index: int) -> tuple[Atoms, str]:
        """A small bicrystal or polycrystal of a random material; another where one cannot be built."""
        for attempt in range(MAX_ATTEMPTS):
            rng = generator_for(self.seed, "boundary", index, attempt)
            material = self.materials[int(rng.integers(len(self.materials)))]
            try:
                atoms, name = cells.boundary_cell(material, self.limits, rng)
            except StructureError as error:
                self._record("boundary", material.id, None, 0, str(error))
                continue
            return _tagged(atoms, "boundary", material.id, f"boundary-{index}"), name
        raise StructureError(f"no boundary cell could be built in {MAX_ATTEMPTS} attempts; see the log")

    # -- made from frames

    def _carved(self, frames: Sequence[Atoms], count: int, min_atoms: Sequence[int]) -> list[Atoms]:
        """Cells carved around atoms of boundary frames, each in turn of so many atoms at least."""
        carved: list[Atoms] = []
        for attempt in range(MAX_ATTEMPTS * count):
            if len(carved) == count:
                break
            rng = generator_for(self.seed, "carved", attempt)
            frame = frames[int(rng.integers(len(frames)))]
            material = self._material(frame)
            try:
                cell = cells.carved_cell(
                    frame,
                    material,
                    self.limits,
                    rng,
                    min_atoms=min_atoms[len(carved) % len(min_atoms)],
                    calculator=self.calculator,
                )
            except StructureError as error:
                self._record("carved", material.id, None, 0, str(error))
                continue
            name = "carved" if is_sound(cell, material, self.limits) else "broken"
            self._record("carved", material.id, None, 1, "")
            origin = {key: frame.info[key] for key in ("source", "temperature_K")}
            carved.append(_tagged(cell, name, material.id, **origin))
        if len(carved) < count:
            raise StructureError(f"only {len(carved)} of {count} cells could be carved; see the log")
        return carved

    def _contacts(self, frames: Sequence[Atoms], count: int) -> list[Atoms]:
        """Frames in which two atoms are pushed together, pairs of elements in turn, others far from them or not.

        Where the potential has wells is what the next one has to learn: of several tries the first that is in one is
        taken, or the very first if none is.
        """
        contacts = []
        pairs = list(combinations_with_replacement(self.materials[0].elements, 2))
        for index in range(count):
            rng = generator_for(self.seed, "contact", index)
            make, elements = (pushed_together, inserted)[index % 2], pairs[index // 2 % len(pairs)]
            contacts.append(self._contact(frames, make, elements, rng))
        return contacts

    def _contact(
        self, frames: Sequence[Atoms], make: Pusher, elements: tuple[str, str], rng: np.random.Generator
    ) -> Atoms:
        """The first of several tries that is in a well of the potential, or the very first."""
        found: Atoms | None = None
        is_well = False
        for _ in range(CONTACT_TRIES):
            frame = frames[int(rng.integers(len(frames)))]
            one, other = rng.permutation(elements)
            try:
                moved = make(frame, (str(one), str(other)), self.settings.contact_min_angstrom, rng)
            except StructureError as error:
                self._record("contact", str(frame.info["material"]), None, 0, str(error))
                continue
            is_well = self.calculator is not None and self._energy(moved) < self._energy(frame)
            found = moved if found is None or is_well else found
            if is_well or self.calculator is None:
                break
        if found is None:
            raise StructureError(f"no {elements[0]} and {elements[1]} could be pushed together; see the log")
        material = str(found.info["material"])
        start = f"{material}, {'-'.join(elements)}{', a well of the potential' if is_well else ''}"
        self._record("contact", start, None, 1, "")
        return _tagged(found, "contact", material, str(found.info["source"]))

    def _energy(self, atoms: Atoms) -> float:
        """Of the potential, eV."""
        copy = atoms.copy()
        copy.calc = self.calculator
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CloseContactWarning)  # which is the point
            return float(copy.get_potential_energy())

    def _material(self, atoms: Atoms) -> Material:
        """What a structure is made of."""
        return next(material for material in self.materials if material.id == atoms.info["material"])

    def _record(  # noqa: PLR0917  the record's members in their order
        self, kind: str, start: str, temperature: float | None, frames: int, ended: str, length_ps: float = 0.0
    ) -> None:
        self.records.append(RunRecord(kind, start, temperature, frames, ended, length_ps))
        if ended:
            logger.info("%s, %s: %s", kind, start, ended)


def is_sound(atoms: Atoms, material: Material, limits: DistanceLimits) -> bool:
    """Whether a structure's rigid units are whole and no atoms are so close that they have bound otherwise."""
    return not validate(atoms, material, limits.scaled(SOUND)).atoms_at_fault


def _unbroken(frames: Sequence[Atoms], wanted: int) -> list[Atoms]:
    """Frames that others are made of.

    Raises:
        StructureError: some are wanted, and there are none.
    """
    found = [atoms for atoms in frames if atoms.info["class"] != "broken"]
    if wanted and not found:
        raise StructureError("all runs broke, and no frame is left to carve cells from or to push atoms together in")
    return found


def _tagged(atoms: Atoms, name: str, material: str, source: str, **more: float) -> Atoms:
    """The bare structure of few digits, with what it is in ``info``.

    It is rounded before it is labelled, not after. Structures of one source resemble each other: what is held out of a
    fit is held out by source.
    """
    bare = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell.array.round(DECIMALS), pbc=True)
    bare.wrap()
    bare.positions = bare.positions.round(DECIMALS)
    bare.info.update({"class": name, "material": material, "source": source} | more)
    return bare
