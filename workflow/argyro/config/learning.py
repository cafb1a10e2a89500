"""Settings of the stage `learning`."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from .base import Fraction, InputFile, NonNegativeFloat, PositiveFloat, PositiveInt, Section
from .dynamics import Engine
from .labels import ProtocolName

EDGE_MARGIN = 1.0  # angstrom: an edge is at least the core's diameter and this, so that its images keep apart
HIGHEST_LEVEL = 28  # of the tables of moment tensor potentials
type Mode = Literal["local", "global", "given"]
type Policy = Literal["fail", "continue"]


class Rung(Section):
    """One level of the potential, and how it is explored."""

    level: int = Field(ge=2, le=HIGHEST_LEVEL, multiple_of=2)
    """Level of the moment tensor potential, even."""
    structures: tuple[str, ...] = ("*",)
    """Names of target structures, or patterns of them such as *-bulk-*; other chemical systems are left out."""
    temperatures_K: tuple[PositiveFloat, ...] = (300.0, 600.0, 900.0)
    """Of the samplers."""
    temperatures_of: dict[str, tuple[PositiveFloat, ...]] = Field(default_factory=dict)
    """Other temperatures, K, of structures with these names or patterns, such as those of boundaries; of several that
    fit, the first counts."""
    samplers: PositiveInt = 1
    """Independent samplers of each structure at each temperature."""
    duration_ps: PositiveFloat = 10.0
    """Length of each sampler's run, if it does not break."""
    select_grade: float = Field(default=1.4, gt=1)
    """Snapshots with a higher extrapolation grade are kept."""
    stop_grade: float = Field(default=5.0, gt=1)
    """A run ends where a grade exceeds this."""
    accept_grade: float = Field(default=1.7, gt=1)
    """The level is done when no selected environment has a higher grade."""
    max_labels: PositiveInt = 20
    """Most structures that are labelled in a round, those of the highest grades."""
    max_rounds: PositiveInt = 100
    """Most rounds."""
    on_limit: Policy = "fail"
    """What happens where the round limit is hit, or runs break and nothing can be selected: the campaign stops, or goes
    on with the next level."""
    label_protocol: ProtocolName | None = None
    """Protocol of the labels; null: labels.protocol. Cutoff and k-points must be the same."""

    @model_validator(mode="after")
    def _grades_are_ordered(self) -> Self:
        if not self.select_grade <= self.accept_grade <= self.stop_grade:
            raise ValueError(
                f"level {self.level}: select_grade {self.select_grade:g}, accept_grade {self.accept_grade:g} and "
                f"stop_grade {self.stop_grade:g} must not fall in this order"
            )
        return self

    def chosen(self, structures: Iterable[str]) -> list[str]:
        """Those of these structures that the level explores, in their order."""
        return [name for name in structures if any(fnmatchcase(name, pattern) for pattern in self.structures)]

    def temperatures(self, structure: str) -> tuple[float, ...]:
        """At which a structure is explored, K."""
        fitting = (own for pattern, own in self.temperatures_of.items() if fnmatchcase(structure, pattern))
        return next(fitting, self.temperatures_K)


class ExplorationConfig(Section):
    """How samplers run; what differs between levels is said in the ladder."""

    ensemble: Literal["nvt", "npt"] = "npt"
    """Bulk and polycrystals change their volume, bicrystals their length along the normal; or nothing changes."""
    timestep_ps: PositiveFloat = 0.002
    """Of molecular dynamics."""
    grade_every: PositiveInt = 10
    """Steps between gradings. A run that leaves what the potential knows ends at the next one: with fewer steps,
    what is labelled of it is less far from what it knows."""
    max_snapshots: PositiveInt = 20
    """Most snapshots that a sampler hands on: evenly spread over those kept, the last and the worst one included."""
    samplers_per_job: PositiveInt = 1
    """How many samplers one job runs: one after the other, or on a GPU side by side, where many fill it."""
    engine: Engine = "lammps"
    """What runs molecular dynamics, as dynamics.engine says; jobs then ask for the resource gpu: 1. In mode global
    the processor grades the structures afterwards."""


class FitConfig(Section):
    """How potentials are fitted."""

    energy_weight: PositiveFloat = 1.0
    """Weight of energies."""
    force_weight_angstrom2: NonNegativeFloat = 0.01
    """Weight of forces."""
    stress_weight: NonNegativeFloat = 0.001
    """Weight of virials."""
    min_dist_angstrom: PositiveFloat = 1.5
    """The potential knows no shorter distances; labelled structures that have them are refused."""
    max_dist_angstrom: PositiveFloat = 5.0
    """Cutoff."""
    radial_basis_size: PositiveInt = 8
    """Polynomials per radial function."""
    hops: int = Field(default=20, ge=0)
    """How long a fit from a fresh start looks for a good basin."""
    max_iterations: PositiveInt = 100
    """Most iterations of the first fit of a level."""
    refit_iterations: PositiveInt | None = None
    """Most iterations of the others; null: as many."""
    restart_growth: float | None = Field(default=1.5, gt=1)
    """At the lowest level, when the number of labels passes a power of this, they are fitted to from a fresh start as
    well, and the fit with the smaller loss is kept; null: never. Backend mlip does not."""
    tolerance: PositiveFloat = 3e-3
    """A fit ends when ten iterations lower the loss by a smaller part than this."""
    segment_iterations: PositiveInt = 25
    """Iterations between checkpoints."""
    holdout_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Part of the seeds that is never fitted to and tells the error."""

    @property
    def again(self) -> Self:
        """The same for fits after the first of a level."""
        return self.model_copy(update={"max_iterations": self.refit_iterations or self.max_iterations})


class MlipConfig(Section):
    """MLIP-3's own program as the fitter. Its command lines are tested, the program itself cannot be."""

    command: tuple[str, ...] = ("mlp",)
    """How it is started; the subcommand and its arguments are added."""


class CarvingConfig(Section):
    """How a small periodic training cell is cut around an atom."""

    core: Literal["sphere", "cube"] = "sphere"
    """Shape of the protected core: its atoms, and rigid units that have one there, are never deleted."""
    core_radius_angstrom: PositiveFloat = 5.0
    """Radius of the sphere, or half the edge of the cube; at least the potential's cutoff."""
    edge_angstrom: PositiveFloat = 11.0
    """Edge of the cubic cell that is tried first."""
    edge_step_angstrom: PositiveFloat = 0.2
    """By how much the edge grows where no cell can be cut."""
    edge_max_angstrom: PositiveFloat = 14.0
    """Where to give up."""
    margin_angstrom: NonNegativeFloat = 1.5
    """Atoms this far outside the cube may be taken as well where the composition needs them; they come in at the
    opposite face."""
    min_atoms: PositiveInt = 50
    """A cell of fewer atoms is not accepted."""
    whole_units: bool = True
    """Keep or delete rigid units as wholes; false: single atoms, as published."""
    crowding: Literal["contact", "distance"] = "contact"
    """What is deleted first: atoms with the smallest distance to another, in contact distances or in angstrom."""
    density_ratio: Fraction = 0.95
    """Where the density is a smaller part of the source's, the edge is shortened until it is that; 0: never."""
    min_density_ratio: Fraction = 0.85
    """A cell of a lower density, as a part of the source's, is not accepted."""
    max_density_ratio: PositiveFloat = 1.05
    """No more formula units are taken than this density, as a part of the source's, allows."""

    @model_validator(mode="after")
    def _core_fits(self) -> Self:
        shortest = self.shortest_edge_angstrom
        if self.edge_angstrom < shortest - 1e-9:
            raise ValueError(
                f"edge_angstrom {self.edge_angstrom:g} is too short for a core of {self.core_radius_angstrom:g} "
                f"angstrom; at least {shortest:g}"
            )
        if self.edge_max_angstrom < self.edge_angstrom:
            raise ValueError(
                f"edge_max_angstrom {self.edge_max_angstrom:g} is below edge_angstrom {self.edge_angstrom:g}"
            )
        return self

    @property
    def shortest_edge_angstrom(self) -> float:
        """An edge at which the core's images stay apart."""
        return 2 * self.core_radius_angstrom + EDGE_MARGIN

    def edges(self) -> list[float]:
        """Edges to try, in this order, angstrom."""
        count = int((self.edge_max_angstrom - self.edge_angstrom) / self.edge_step_angstrom + 1e-9)
        return [self.edge_angstrom + step * self.edge_step_angstrom for step in range(count + 1)]


class BoundaryConfig(Section):
    """How the atoms around the core of a carved cell settle; the core itself never moves."""

    repulsion_eV_per_angstrom2: PositiveFloat = 5.0
    """Stiffness of the repulsion of atoms closer than their contact distance."""
    unit_stiffness_eV_per_angstrom2: PositiveFloat = 20.0
    """Stiffness of the springs that keep the shape of rigid units."""
    contact_steps: PositiveInt = 100
    """Most steps under repulsion and springs alone."""
    potential_steps: int = Field(default=30, ge=0)
    """Most steps under the current potential as well; 0: none."""
    minimum_distance_angstrom: PositiveFloat = 1.6
    """A cell with any two atoms closer is rejected."""
    limits_factor: float = Field(default=0.9, gt=0, le=1)
    """Atoms that were moved may come closer to others than structures.limits says, by this factor."""


class OuterStopConfig(Section):
    """An end of the ladder before its last level: when target properties do not change any more."""

    diffusivity_of: tuple[str, ...] = ()
    """Names or patterns of structures in which the mobile ion's diffusion coefficient is compared between levels."""
    energy_of: tuple[str, ...] = ()
    """Names or patterns of bicrystals whose boundary energy is compared."""
    temperature_K: PositiveFloat = 700.0
    """Of the runs."""
    equilibration_ps: NonNegativeFloat = 5.0
    """Beginning of each run that does not count."""
    duration_ps: PositiveFloat = 50.0
    """Length of the rest."""
    timestep_ps: PositiveFloat = 0.002
    """Of molecular dynamics."""
    tolerance: PositiveFloat = 0.2
    """Largest difference between two levels, and its largest standard error, relative to the value."""

    def probed(self, structures: Iterable[str]) -> list[str]:
        """Those of these structures that are looked at."""
        patterns = (*self.diffusivity_of, *self.energy_of)
        return [name for name in structures if any(fnmatchcase(name, pattern) for pattern in patterns)]


class LearningConfig(Section):
    """From labelled seeds to potentials, level by level."""

    mode: Mode = "local"
    """local: environments are graded, and cells carved around them are labelled; global: whole structures are; given:
    the potentials are there."""
    potentials: dict[str, InputFile] = Field(default_factory=dict)
    """With mode given: the potential of each chemical system, such as LiPSCl, its species in the order Li, P, S, then
    halides by atomic number."""
    repeats: PositiveInt = 1
    """Potentials per chemical system, of the same structures and labelled seeds: held-out seeds, starts of fits and
    samplers differ, and so do all further labels. Their scatter is part of the errors."""
    backend: Literal["mtpcore", "mlip"] = "mtpcore"
    """What fits."""
    ladder: tuple[Rung, ...] = Field(default=(Rung(level=6), Rung(level=8), Rung(level=10)), min_length=1)
    """Levels, the lowest first, each with level, structures, temperatures_K, temperatures_of, samplers, duration_ps,
    select_grade, stop_grade, accept_grade, max_labels, max_rounds, on_limit and label_protocol."""
    snapshots: tuple[InputFile, ...] = ()
    """Structures (extxyz) that potentials are to know, judged with what the first round of the last level meets: copies
    of dynamics/snapshots/SYSTEM.extxyz of this or another campaign, or others that name their material. Not with an
    outer stop."""
    max_failed_fraction: Fraction = 0.5
    """If more of a round's structures get no usable label, the campaign stops and shows which and why."""
    exploration: ExplorationConfig = ExplorationConfig()
    """How samplers run."""
    carving: CarvingConfig = CarvingConfig()
    """How training cells are cut."""
    boundary: BoundaryConfig = BoundaryConfig()
    """How the atoms around the core of a carved cell settle."""
    fit: FitConfig = FitConfig()
    """How potentials are fitted."""
    outer_stop: OuterStopConfig = OuterStopConfig()
    """An end of the ladder before its last level; by default there is none."""
    mlip: MlipConfig = MlipConfig()
    """MLIP-3's own program."""

    @field_validator("ladder")
    @classmethod
    def _levels_rise(cls, ladder: tuple[Rung, ...]) -> tuple[Rung, ...]:
        levels = [rung.level for rung in ladder]
        if levels != sorted(set(levels)):
            raise ValueError(f"levels must rise, not {', '.join(map(str, levels))}")
        return ladder

    @model_validator(mode="after")
    def _core_holds_the_cutoff(self) -> Self:
        if self.mode == "local" and self.carving.core_radius_angstrom < self.fit.max_dist_angstrom:
            raise ValueError(
                f"carving.core_radius_angstrom {self.carving.core_radius_angstrom:g} is below the cutoff, "
                f"fit.max_dist_angstrom {self.fit.max_dist_angstrom:g}: the center would lose neighbours"
            )
        return self

    @model_validator(mode="after")
    def _cells_can_be_fitted_to(self) -> Self:
        if self.mode == "local" and self.boundary.minimum_distance_angstrom < self.fit.min_dist_angstrom:
            raise ValueError(
                f"boundary.minimum_distance_angstrom {self.boundary.minimum_distance_angstrom:g} is below "
                f"fit.min_dist_angstrom {self.fit.min_dist_angstrom:g}: cells would be labelled that no potential "
                "can be fitted to"
            )
        return self

    @model_validator(mode="after")
    def _given_potentials_are_given(self) -> Self:
        if (self.mode == "given") != bool(self.potentials):
            raise ValueError("mode 'given' needs potentials, a file for each chemical system, and no other mode does")
        return self

    @model_validator(mode="after")
    def _snapshots_are_reached(self) -> Self:
        if self.snapshots and (self.outer_stop.diffusivity_of or self.outer_stop.energy_of):
            raise ValueError(
                "snapshots are learned in the last level, and outer_stop may end the ladder before it: set either "
                "snapshots, or outer_stop.diffusivity_of and outer_stop.energy_of"
            )
        return self

    @property
    def levels(self) -> list[int]:
        """Levels of the ladder."""
        return [rung.level for rung in self.ladder]

    def rung(self, level: int) -> Rung:
        """The rung of a level."""
        return self.ladder[self.levels.index(level)]
