"""Settings of the stage `structures`."""

from typing import Literal, Self

from ase.data import atomic_numbers, covalent_radii
from pydantic import Field, field_validator, model_validator

from .base import NonNegativeFloat, PositiveFloat, PositiveInt, Section

type Supercell = tuple[PositiveInt, PositiveInt, PositiveInt]
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


class SeedsConfig(Section):
    """Small cells, strained and rattled, that a potential is first trained on."""

    count: PositiveInt = 30
    """Seeds per material, each with its own random arrangement of anions and lithium."""
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

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> Self:
        if self.displacement_min_angstrom > self.displacement_max_angstrom:
            raise ValueError(
                f"displacement_min_angstrom {self.displacement_min_angstrom} is above displacement_max_angstrom "
                f"{self.displacement_max_angstrom}"
            )
        return self


class StructuresConfig(Section):
    """Atomic structures."""

    limits: DistanceLimits = DistanceLimits()
    """How close two atoms may come."""
    bulk: BulkConfig = BulkConfig()
    """Bulk cells."""
    seeds: SeedsConfig = SeedsConfig()
    """Small cells, strained and rattled, that a potential is first trained on."""
