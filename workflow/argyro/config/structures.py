"""Settings of the stage `structures`."""

from difflib import get_close_matches
from typing import Literal, Self

from ase.data import atomic_numbers, covalent_radii
from pydantic import Field, field_validator, model_validator

from .base import InputFile, Name, NonNegativeFloat, PositiveFloat, PositiveInt, Section

type Supercell = tuple[PositiveInt, PositiveInt, PositiveInt]
type Indices = tuple[int, int, int]
type LithiumSites = Literal["48h", "24g"]


class DistanceLimits(Section):
    """How close two atoms may come."""

    covalent_fraction: float = Field(default=0.85, gt=0, le=1)
    """Limit of any two elements, as a part of the sum of their covalent radii (Cordero et al., 2008)."""
    pairs_angstrom: dict[str, PositiveFloat] = Field(default_factory=lambda: {"Li-Li": 2.0, "S-S": 2.7, "P-P": 2.8})
    """Limits of single pairs of elements, such as Li-Li; they replace the above."""

    @field_validator("pairs_angstrom")
    @classmethod
    def _names_pairs(cls, pairs: dict[str, float]) -> dict[str, float]:
        for name in pairs:
            elements = name.split("-")
            if len(elements) != 2 or any(element not in atomic_numbers for element in elements):  # noqa: PLR2004
                raise ValueError(f"'{name}' is not a pair of elements; write two of them with a dash, such as Li-S")
        return pairs

    def between(self, first: str, second: str) -> float:
        """Limit of two elements in either order, angstrom."""
        for name in (f"{first}-{second}", f"{second}-{first}"):
            if name in self.pairs_angstrom:
                return self.pairs_angstrom[name]
        radii = covalent_radii[atomic_numbers[first]] + covalent_radii[atomic_numbers[second]]
        return float(self.covalent_fraction * radii)

    def scaled(self, factor: float) -> Self:
        """The same limits times a factor of at most 1, for structures out of equilibrium."""
        return type(self)(
            covalent_fraction=factor * self.covalent_fraction,
            pairs_angstrom={name: factor * limit for name, limit in self.pairs_angstrom.items()},
        )


class BulkConfig(Section):
    """Bulk cells."""

    supercell: Supercell = (2, 2, 2)
    """Repetitions of the cubic 52-atom cell, or of the cell of the CIF."""
    lithium_sites: LithiumSites = "48h"
    """Lithium of argyrodites, in bulk and seeds: one of each pair of 48h sites at random, or its middle, 24g."""
    arrangements: PositiveInt = 1
    """Random arrangements of anions and lithium per material."""


class SeedDynamicsConfig(Section):
    """Molecular dynamics at constant volume and temperature (Bussi's thermostat) that seeds are taken from."""

    temperature_K: PositiveFloat = 1500.0
    """Of the thermostat."""
    duration_ps: PositiveFloat = 2.0
    """Length of the run; one that is made longer later goes on from where it ended."""
    timestep_ps: PositiveFloat = 0.002
    """Every step is a calculation by the labelling backend."""
    seed_every_steps: PositiveInt = 20
    """Steps from one seed to the next."""
    thermostat_ps: float = Field(default=0.5, ge=0.5)
    """Time constant of the thermostat."""

    @property
    def steps(self) -> int:
        """Steps of the run."""
        return round(self.duration_ps / self.timestep_ps)

    @property
    def count(self) -> int:
        """Seeds that the run gives."""
        return self.steps // self.seed_every_steps

    @model_validator(mode="after")
    def _gives_seeds(self) -> Self:
        if self.count == 0:
            raise ValueError(
                f"no seed in {self.steps} steps, as one is taken every seed_every_steps {self.seed_every_steps}; "
                "increase duration_ps or take seeds more often"
            )
        return self


class SeedsConfig(Section):
    """Small cells that a potential is first trained on."""

    kind: Literal["rattled", "md", "none"] = "rattled"
    """rattled: strained and rattled cells; md: frames of molecular dynamics with forces of the labelling backend, as
    published; none: the labels of labels.import are all there is."""
    count: PositiveInt = 30
    """Rattled seeds per material, each with its own random arrangement of anions and lithium."""
    supercell: Supercell = (1, 1, 1)
    """Repetitions of the cubic 52-atom cell, or of the cell of the CIF."""
    linear_strain_min: float = Field(default=-0.03, gt=-0.2, le=0)
    """Smallest isotropic strain, relative to the lattice constant."""
    linear_strain_max: float = Field(default=0.035, ge=0, lt=0.2)
    """Largest isotropic strain, relative to the lattice constant."""
    random_strain: float = Field(default=0.01, ge=0, lt=0.1)
    """Standard deviation of each component of an additional symmetric strain."""
    displacement_min_angstrom: NonNegativeFloat = 0.03
    """Smallest standard deviation, over seeds, of the displacement of each atom along each axis."""
    displacement_max_angstrom: NonNegativeFloat = 0.12
    """Largest one."""
    mobile_displacement_angstrom: NonNegativeFloat = 0.15
    """Standard deviation of an additional displacement of the mobile ions."""
    limits_factor: float = Field(default=0.9, gt=0, le=1)
    """Atoms of seeds may come closer than structures.limits says, by this factor."""
    contacts: int = Field(default=0, ge=0)
    """Further seeds per material in which two atoms are pushed together, pairs of elements in turn, so that the
    potential knows where repulsion begins. Some of their labels may not pass the gate of forces."""
    md: SeedDynamicsConfig = SeedDynamicsConfig()
    """With kind md: the run of each material."""

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> Self:
        if self.displacement_min_angstrom > self.displacement_max_angstrom:
            raise ValueError(
                f"displacement_min_angstrom {self.displacement_min_angstrom} is above displacement_max_angstrom "
                f"{self.displacement_max_angstrom}"
            )
        return self

    @property
    def total(self) -> int:
        """Seeds per material."""
        return {"rattled": self.count + self.contacts, "md": self.md.count + self.contacts, "none": 0}[self.kind]


class Boundary(Section):
    """A grain boundary: the plane and the rotation of one crystal that makes the other."""

    name: Name
    """Name of the boundary in files and tables."""
    axis: Indices | None = (1, 1, 0)
    """Direction in the crystal that the second grain is rotated about; null: the plane's normal, a twist boundary."""
    plane: Indices
    """Miller indices, in the first grain, of the boundary's plane."""
    sigma: PositiveInt | None = None
    """Of the coincidence site lattice of a cubic crystal. Without angle_degrees: the smallest angle that gives both
    grains the same plane, without charge if there is one."""
    angle_degrees: float | None = Field(default=None, gt=-360, lt=360)
    """Angle of the rotation, counterclockwise seen against the axis."""
    allow_charged: bool = False
    """Whether it is built though all its terminations carry charge: the grains meet with opposite polar directions."""
    groups: tuple[Name, ...] = ()
    """Groups of boundaries that it belongs to."""

    @field_validator("axis", "plane")
    @classmethod
    def _is_a_direction(cls, indices: Indices | None) -> Indices | None:
        if indices is not None and not any(indices):
            raise ValueError("[0, 0, 0] is no direction; give three indices, such as [1, -1, 2]")
        return indices

    @model_validator(mode="after")
    def _has_a_rotation(self) -> Self:
        if self.sigma is None and self.angle_degrees is None:
            raise ValueError("give sigma, or angle_degrees, or both")
        return self


TILT_PLANES: tuple[tuple[int, float, Indices, bool], ...] = (
    (3, 70.53, (1, -1, 2), True), (3, 109.47, (1, -1, 1), True), (9, 38.94, (1, -1, 4), True),
    (9, 141.06, (2, -2, 1), True), (11, 50.48, (1, -1, 3), True), (11, 129.52, (3, -3, 2), True),
    (17, 86.63, (2, -2, 3), True), (17, 93.37, (3, -3, 4), True), (19, 26.53, (1, -1, 6), True),
    (19, 153.47, (3, -3, 1), True), (27, 31.59, (1, -1, 5), True), (27, 148.41, (5, -5, 2), True),
    (33, 20.05, (1, -1, 8), True), (33, 58.99, (2, -2, 5), False), (33, 121.01, (5, -5, 4), False),
    (33, 159.95, (4, -4, 1), True), (41, 55.88, (3, -3, 8), True), (41, 124.12, (4, -4, 3), True),
    (43, 80.63, (3, -3, 5), True), (43, 99.37, (5, -5, 6), True), (51, 16.10, (1, -1, 10), True),
    (51, 22.84, (1, -1, 7), False), (51, 157.16, (7, -7, 2), False), (51, 163.90, (5, -5, 1), True),
    (57, 44.00, (2, -2, 7), True), (57, 82.95, (5, -5, 8), False), (57, 97.05, (4, -4, 5), False),
    (57, 136.00, (7, -7, 4), True), (59, 45.98, (3, -3, 10), True), (59, 134.02, (5, -5, 3), True),
    (67, 62.44, (3, -3, 7), True), (67, 117.56, (7, -7, 6), True), (73, 13.44, (1, -1, 12), True),
    (73, 166.56, (6, -6, 1), True), (81, 77.88, (4, -4, 7), True), (81, 102.12, (7, -7, 8), True),
    (83, 17.86, (1, -1, 9), True), (83, 162.14, (9, -9, 2), True), (89, 34.89, (2, -2, 9), True),
    (89, 145.11, (9, -9, 4), True), (97, 61.02, (5, -5, 12), True), (97, 118.98, (6, -6, 5), True),
    (99, 11.54, (1, -1, 14), True), (99, 89.42, (7, -7, 10), False), (99, 90.58, (5, -5, 7), False),
    (99, 168.46, (7, -7, 1), True),
)  # fmt: skip
"""Symmetric [110] tilt boundaries of cubic crystals up to Sigma 99: Sigma, twice the angle of the plane with (001), the
plane, and whether it is one of the 38. Four Sigma have two pairs of supplementary angles; which of them were published
is not known, and their cells are of the same sizes, so the pair with the smallest angle stands for it."""


def boundary_library() -> tuple[Boundary, ...]:
    """The boundaries that are there without any configuration."""
    presets = (
        Boundary(name="S3_1-12", plane=(1, -1, 2), sigma=3),
        Boundary(name="S3_-111", plane=(-1, 1, 1), sigma=3),
        Boundary(name="S5_001", axis=(0, 0, 1), plane=(0, 0, 1), sigma=5),
    )
    tilts = (
        Boundary(
            name=f"S{sigma}_{angle:.2f}",
            plane=plane,
            sigma=sigma,
            groups=("tilt_110", "published") if published else ("tilt_110",),
        )
        for sigma, angle, plane, published in TILT_PLANES
    )
    return *presets, *tilts


class BicrystalsConfig(Section):
    """Periodic bicrystals."""

    build: tuple[Name, ...] = ()
    """Boundaries that are built of every material, by their names or those of groups: tilt_110 (46), published (38)."""
    min_grain_angstrom: PositiveFloat = 50.0
    """Thickness of each grain, at least: the distance of boundaries."""
    min_width_angstrom: NonNegativeFloat = 0.0
    """Edges along the boundary, at least; a boundary's own cell may be as narrow as 7 angstrom."""
    translation_step_angstrom: PositiveFloat = 1.0
    """Distance, along the plane, of the rigid translations that are tried."""
    candidates: PositiveInt = 1
    """How many stackings (terminations, translations) of a boundary are built: those of the smallest excess volume."""
    boundaries: tuple[Boundary, ...] = Field(default_factory=boundary_library)
    """All boundaries that can be built."""

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        names = [boundary.name for boundary in self.boundaries]
        groups = sorted({group for boundary in self.boundaries for group in boundary.groups})
        if twice := [name for name in names if names.count(name) > 1 or name in groups]:
            raise ValueError(f"the name '{twice[0]}' is given to several boundaries, or to a group as well")
        for name in self.build:
            if name not in names and name not in groups:
                close = get_close_matches(name, [*groups, *names], n=3) or [*groups, *names[:3], "..."]
                raise ValueError(f"build: there is no boundary or group '{name}'; there are {', '.join(close)}")
        return self

    @property
    def chosen(self) -> list[Boundary]:
        """Boundaries that are built, each once."""
        wanted = set(self.build)
        return [boundary for boundary in self.boundaries if wanted & {boundary.name, *boundary.groups}]


class Polycrystal(Section):
    """A periodic polycrystal."""

    name: Name
    """Name of the polycrystal in files and tables."""
    grains: PositiveInt | None = None
    """Number of grains."""
    edge_angstrom: PositiveFloat | None = None
    """Edge of the cubic cell; with columns, of its square base."""
    diameter_spread: float = Field(default=0.0, ge=0, le=1)
    """Standard deviation of the logarithm of grain diameters; zero: Voronoi cells of a Sobol sequence."""
    orientations_quaternion: tuple[tuple[float, float, float, float], ...] | None = None
    """Rotation of each grain from crystal to sample: w, x, y, z; null: uniformly random."""
    column: Indices | None = None
    """Direction of the crystals along which grains are columns, such as [1, 1, 0]; null: grains in space."""
    column_periods: PositiveInt = 1
    """Length of columns, in periods of the crystal."""
    microstructure: InputFile | None = None
    """File of a microstructure (argyro-microstructure/1), which says all of the above."""
    attempts: PositiveInt = 1
    """How many random shifts of crystals in their grains are tried for the highest density: 20 in a few nanometres."""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        drawn = ("grains", "edge_angstrom", "diameter_spread", "orientations_quaternion", "column", "column_periods")
        given = [name for name in drawn if getattr(self, name) != type(self).model_fields[name].default]
        if self.microstructure is not None and given:
            raise ValueError(f"{given[0]} is said by the file microstructure; leave one of the two out")
        if self.microstructure is None and (self.grains is None or self.edge_angstrom is None):
            raise ValueError(f"the polycrystal {self.name} needs grains and edge_angstrom, or microstructure")
        if self.orientations_quaternion is not None and self.column is not None:
            raise ValueError(
                "orientations_quaternion and column exclude each other: the column says how grains are turned"
            )
        return self


class StructuresConfig(Section):
    """Atomic structures."""

    limits: DistanceLimits = DistanceLimits()
    """How close two atoms may come."""
    bulk: BulkConfig = BulkConfig()
    """Bulk cells."""
    seeds: SeedsConfig = SeedsConfig()
    """Small cells that a potential is first trained on."""
    bicrystals: BicrystalsConfig = BicrystalsConfig()
    """Periodic bicrystals."""
    polycrystals: tuple[Polycrystal, ...] = ()
    """Periodic polycrystals that are built of every material, each with name, grains and edge_angstrom."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [polycrystal.name for polycrystal in self.polycrystals]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(
                f"polycrystals: the name '{twice[0]}' is given twice; every polycrystal needs one of its own"
            )
        return self
