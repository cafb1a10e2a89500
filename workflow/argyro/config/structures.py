"""Settings of the stage `structures`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from .base import NonNegativeFloat, PositiveFloat, PositiveInt, Section

type Supercell = tuple[PositiveInt, PositiveInt, PositiveInt]


class BulkConfig(Section):
    """Bulk cells."""

    supercell: Supercell = (2, 2, 2)
    """Repetitions of the cubic 52-atom cell, or of the cell of the CIF."""
    lithium_sites: Literal["48h", "24g"] = "48h"
    """Sites of lithium: one of each pair of 48h sites at random, or the middle of the pair, 24g."""
    arrangements: PositiveInt = 1
    """Random arrangements of anions and lithium per material."""


class SeedsConfig(Section):
    """Small cells, strained and rattled, that a potential is first trained on."""

    count: PositiveInt = 30
    """Seeds per material."""
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
    displacement_max_angstrom: NonNegativeFloat = 0.16
    """Largest one."""
    mobile_displacement_angstrom: NonNegativeFloat = 0.15
    """Standard deviation of an additional displacement of the mobile ions."""

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

    minimum_distance_angstrom: PositiveFloat = 1.6
    """No two atoms of any structure are closer."""
    bulk: BulkConfig = BulkConfig()
    """Bulk cells."""
    seeds: SeedsConfig = SeedsConfig()
    """Small cells, strained and rattled, that a potential is first trained on."""
