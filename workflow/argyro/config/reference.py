"""Settings of the reference campaign: labels of a foundation model and of PBE, and teachers fitted to them."""

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from .base import Fraction, NonNegativeFloat, Percent, PositiveFloat, PositiveInt, Section
from .composition import HALOGENS, parse_formula
from .dynamics import Engine
from .labels import GpawConfig
from .materials import Material

type TrialKind = Literal["bulk", "bicrystal"]


class GenerationConfig(Section):
    """Structures that are labelled together, per chemical system."""

    bulk: PositiveInt = 48
    """Bulk cells of all exchanges: rattled and strained in the first generation, frames of runs in the others."""
    boundary: int = Field(default=30, ge=0)
    """Small bicrystals and polycrystals: rattled in the first generation, frames of runs in the others."""
    carved: int = Field(default=27, ge=0)
    """Cells carved around atoms of boundaries; none in the first generation."""
    carve_from: int | None = Field(default=None, ge=1)
    """Frames of boundaries that they are carved from, of which `boundary` are labelled; null: those."""
    contact: int = Field(default=10, ge=0)
    """Frames in which two atoms are pushed together, into wells of the potential where it has some: what makes the next
    one repulsive."""
    rattled: int = Field(default=0, ge=0)
    """Bulk cells that are rattled and strained; in the first generation, where all are, as many more."""
    anions: tuple[str, ...] | None = None
    """Chemical systems that are sampled, by their anion: one whose teacher is good enough needs no more. Null: all."""
    run_ps: PositiveFloat | None = None
    """Length of its runs; null: that of sampling.run_ps. In longer ones boundaries melt, and runs break where the
    potential does not know the melt."""
    frames_per_run: PositiveInt | None = None
    """Frames that are taken of a run; null: as sampling.frames_per_run says. One gives most arrangements of anions:
    they do not change within a run, and forces say little of their energies."""
    carve_min_atoms: tuple[PositiveInt, ...] | None = Field(default=None, min_length=1)
    """Smallest carved cell, of each in turn; null: as sampling.carve_min_atoms says. Learning carves larger ones."""
    level: int = Field(default=8, ge=2, le=28, multiple_of=2)
    """Level of the potential that is fitted to all labels so far and samples the next generation."""

    @field_validator("anions")
    @classmethod
    def _anions_are_halides(cls, anions: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for anion in anions or ():
            if not set(parse_formula(anion)) <= set(HALOGENS):
                raise ValueError(f"'{anion}' is no anion of an argyrodite; expected halides, such as Br")
        return anions

    @model_validator(mode="after")
    def _carved_from_more_frames_than_are_labelled(self) -> Self:
        if self.carve_from is not None and not self.carved:
            raise ValueError("carve_from must be null where carved is 0: nothing is carved")
        if self.carve_from is not None and self.carve_from < self.boundary:
            raise ValueError(f"carve_from must be at least boundary ({self.boundary}): those labelled are among them")
        return self

    @property
    def count(self) -> int:
        """Structures per chemical system."""
        return self.bulk + self.boundary + self.carved + self.contact + self.rattled

    @property
    def of_sampling(self) -> dict[str, Any]:
        """What it says otherwise than the section sampling."""
        own = {name: getattr(self, name) for name in ("run_ps", "frames_per_run", "carve_min_atoms")}
        return {key: value for key, value in own.items() if value is not None}


class SamplingConfig(Section):
    """How structures are sampled."""

    temperatures_K: tuple[PositiveFloat, ...] = (300.0, 500.0, 700.0, 900.0, 1100.0, 1300.0, 1500.0)
    """Of runs, in turn."""
    run_ps: PositiveFloat = 6.0
    """Length of a run."""
    frames_per_run: PositiveInt = 3
    """Frames that are taken of a run, evenly spaced; of a run that breaks, the last ones before."""
    strain_min: float = -0.015
    """Smallest isotropic strain of a run, relative to the lattice constant."""
    strain_max: float = 0.06
    """Largest one."""
    contact_min_angstrom: PositiveFloat = 1.2
    """Two atoms are pushed together no closer than this."""
    carve_min_atoms: tuple[PositiveInt, ...] = Field(default=(50,), min_length=1)
    """Smallest carved cell: of each that is carved, in turn."""


class PbeConfig(Section):
    """The smaller set that is labelled by PBE as well."""

    structures: PositiveInt = 60
    """How many, per chemical system: a third hot, up to a third carved, the rest bulk at most as hot as 1000 K."""
    max_atoms: PositiveInt = 66
    """Largest cell."""
    gpaw: GpawConfig = GpawConfig()
    """Settings; null: those of the protocol moderate."""
    convergence: tuple[GpawConfig, ...] = (
        GpawConfig(cutoff_eV=300.0),
        GpawConfig(cutoff_eV=400.0),
        GpawConfig(cutoff_eV=500.0),
        GpawConfig(kpoints=(2, 2, 2)),
    )
    """What differs in each calculation of the convergence test, which is done on one structure."""


class TeacherConfig(Section):
    """The potential that is fitted to the labels in the end."""

    labels: Literal["shipped", "sampled"] = "shipped"
    """Fit to the labels in config/reference/labels, or to those this campaign samples."""
    levels: tuple[int, ...] = (8, 14, 20)
    """The ladder of levels; each starts from the one before."""
    ladder_share: float = Field(default=0.06, gt=0, le=1)
    """Part of the training labels that the ladder is climbed on, before the last level is fitted to more of them."""
    cutoff_angstrom: PositiveFloat = 6.0
    """Atoms farther apart do not interact."""
    radial_basis_size: PositiveInt = 10
    """Chebyshev polynomials of a radial function."""
    min_dist_angstrom: PositiveFloat = 1.15
    """Below the closest pair in the labels."""
    holdout_fraction: Fraction = 0.15
    """Part of every class that is not fitted to."""
    energy_weight: PositiveFloat = 20.0
    """Weight of energies in the loss."""
    force_weight_angstrom2: PositiveFloat = 0.04
    """Weight of forces in the loss."""
    stress_weight: NonNegativeFloat = 0.001
    """Weight of virials in the loss."""
    max_force_eV_per_angstrom: PositiveFloat = 2000.0
    """Labels with a larger force are left out of the fit, and counted."""
    delta: bool = True
    """Multiply all energies by the factor that makes forces those of PBE, as foundation models are too soft."""


class TrialConfig(Section):
    """Molecular dynamics that every teacher has to stand, in bulk of 416 atoms and a bicrystal."""

    exchange_percent: tuple[Percent, ...] = (0.0, 50.0)
    """Exchanges of the bulk; the bicrystal has the first."""
    temperatures_K: tuple[PositiveInt, ...] = (300, 700, 1000)
    """Of runs."""
    barrier_temperatures_K: tuple[PositiveInt, ...] = (850, 925)
    """Of further runs of bulk with the first exchange: barriers need three temperatures at which lithium diffuses."""
    equilibration_ps: PositiveFloat = 20.0
    """At zero pressure; its second half gives the cell of the run."""
    production_ps: PositiveFloat = 200.0
    """At constant volume."""
    time_step_ps: PositiveFloat = 0.002
    """Of both."""
    engine: Engine = "lammps"
    """What runs them, as dynamics.engine says; jobs on a GPU ask for the resource gpu: 1."""

    def runs(self, materials: Sequence[Material]) -> list[tuple[Material, TrialKind, int]]:
        """Material, kind and temperature of every trial; materials of other exchanges have none."""
        mine = [material for material in materials if material.exchange_percent in self.exchange_percent]
        first = [material for material in mine if material.exchange_percent == self.exchange_percent[0]]
        of_barriers = [k for k in self.barrier_temperatures_K if k not in self.temperatures_K]
        return [
            *((material, "bulk", temperature) for material in mine for temperature in self.temperatures_K),
            *((material, "bulk", temperature) for material in first for temperature in of_barriers),
            *((material, "bicrystal", temperature) for material in first for temperature in self.temperatures_K),
        ]


class ReferenceConfig(Section):
    """Reference labels and teacher potentials, made by the preset `reference`; other campaigns use what it made."""

    generations: tuple[GenerationConfig, ...] = Field(
        default=(
            GenerationConfig(bulk=100, boundary=30, carved=0, contact=20),
            GenerationConfig(),
            GenerationConfig(),
            GenerationConfig(level=16),
            GenerationConfig(bulk=210, boundary=105, carved=140, contact=325, level=20),
            GenerationConfig(bulk=45, boundary=24, carved=24, contact=160, level=20),
            GenerationConfig(bulk=24, boundary=75, carved=50, contact=120, run_ps=20.0, level=20),
            GenerationConfig(bulk=6, boundary=45, carved=15, contact=40, run_ps=20.0, level=20),
            GenerationConfig(bulk=4, boundary=60, carved=400, contact=0, rattled=150, level=20, anions=("Br",)),
            GenerationConfig(
                bulk=1,
                boundary=0,
                carved=650,
                carve_from=400,
                carve_min_atoms=(50, 50, 105, 140),
                contact=0,
                run_ps=2.0,
                frames_per_run=1,
                anions=("Br",),
            ),
        ),
        min_length=1,
    )
    """Each is sampled by a potential fitted to the ones before."""
    sampling: SamplingConfig = SamplingConfig()
    """How structures are sampled."""
    pbe: PbeConfig = PbeConfig()
    """The smaller set that is labelled by PBE as well."""
    teacher: TeacherConfig = TeacherConfig()
    """The potential that is fitted to the labels in the end."""
    trial: TrialConfig = TrialConfig()
    """Molecular dynamics that every teacher has to stand."""

    @model_validator(mode="after")
    def _first_generation_is_of_all_and_has_no_potential(self) -> Self:
        if self.generations[0].carved:
            raise ValueError("generations[0].carved must be 0: a potential relaxes carved cells, and none is there yet")
        if self.generations[0].anions is not None:
            raise ValueError("generations[0].anions must be null: every chemical system starts there")
        return self
