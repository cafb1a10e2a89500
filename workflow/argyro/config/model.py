"""The whole configuration, and the checks that no section can do alone."""

from collections import Counter
from typing import Self

from pydantic import Field, model_validator

from .base import Name, Section
from .labels import LabelsConfig
from .materials import Material
from .structures import StructuresConfig


class Config(Section):
    """All settings of a campaign."""

    campaign: Name = "argyro"
    """Name of the campaign: its results are in results/<campaign>."""
    seed: int = Field(default=1, ge=0)
    """Seed of all random numbers. Same configuration, same machine, same numbers."""
    materials: tuple[Material, ...] = Field(
        default=(Material(id="Li6PS5Cl", formula="Li6PS5Cl", anion="Cl"),), min_length=1
    )
    """The materials, each with id, formula, anion, exchange_percent and, for chemistries of your own, a CIF."""
    structures: StructuresConfig = StructuresConfig()
    """Bulk cells and seeds."""
    labels: LabelsConfig = LabelsConfig()
    """The method that gives energies, forces and stresses."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        twice = [name for name, count in Counter(material.id for material in self.materials).items() if count > 1]
        if twice:
            raise ValueError(f"materials: the id '{twice[0]}' is given twice; every material needs an id of its own")
        return self
