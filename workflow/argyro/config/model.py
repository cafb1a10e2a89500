"""The whole configuration, and the checks that no section can do alone."""

from collections import Counter
from typing import Self

from pydantic import Field, model_validator

from .base import Name, Section
from .continuum import ContinuumConfig
from .dynamics import DynamicsConfig
from .figures import FiguresConfig
from .labels import LabelsConfig
from .learning import LearningConfig
from .materials import Material
from .reference import ReferenceConfig
from .structures import StructuresConfig
from .transport import TransportConfig

LITHIUM_CHLORIDE_ARGYRODITE = Material(id="Li6PS5Cl", formula="Li6PS5Cl", anion="Cl")


class Config(Section):
    """All settings of a campaign."""

    campaign: Name = "argyro"
    """Name of the campaign: its results are in results/<campaign>."""
    seed: int = Field(default=1, ge=0)
    """Seed of all random numbers. Same configuration, same machine, same numbers."""
    materials: tuple[Material, ...] = Field(default=(LITHIUM_CHLORIDE_ARGYRODITE,), min_length=1)
    """The materials, each with id, formula, anion, exchange_percent and, for chemistries of your own, a CIF."""
    structures: StructuresConfig = StructuresConfig()
    """Bulk cells and seeds."""
    labels: LabelsConfig = LabelsConfig()
    """Energies, forces and stresses of structures."""
    learning: LearningConfig = LearningConfig()
    """Potentials: from labelled seeds, level by level."""
    dynamics: DynamicsConfig = DynamicsConfig()
    """Molecular dynamics of bulk, bicrystals and polycrystals."""
    transport: TransportConfig = TransportConfig()
    """Diffusivities, conductivities and Arrhenius parameters from runs."""
    figures: FiguresConfig = FiguresConfig()
    """Figures, each as PDF, PNG and the CSV of its data."""
    continuum: ContinuumConfig = ContinuumConfig()
    """Effective diffusivity of polycrystals, from a table of diffusivities alone."""
    reference: ReferenceConfig = ReferenceConfig()
    """Reference labels and teacher potentials, made by the preset `reference`; other campaigns use what it made."""

    @property
    def seeds_per_label_job(self) -> int:
        """How many seeds one job labels: all where they are frames of molecular dynamics, which have their labels."""
        seeds = self.structures.seeds
        return seeds.total if seeds.kind == "md" and not seeds.contacts else self.labels.chunk_size

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        twice = [name for name, count in Counter(material.id for material in self.materials).items() if count > 1]
        if twice:
            raise ValueError(f"materials: the id '{twice[0]}' is given twice; every material needs an id of its own")
        return self

    @model_validator(mode="after")
    def _cells_hold_the_materials(self) -> Self:
        cells = {"structures.bulk": self.structures.bulk.supercell, "structures.seeds": self.structures.seeds.supercell}
        for material in self.materials:
            for section, supercell in cells.items():
                try:
                    material.check_cell(supercell)
                except ValueError as error:
                    raise ValueError(f"{section}.supercell: {error}") from None
        return self

    @model_validator(mode="after")
    def _seeds_or_ready_labels(self) -> Self:
        if self.structures.seeds.kind == "none" and not self.labels.imports:
            raise ValueError(
                "structures.seeds.kind 'none' leaves nothing to fit to: give files of ready labels in labels.import, "
                "or choose 'rattled' or 'md'"
            )
        return self

    @model_validator(mode="after")
    def _given_potentials_fit_the_materials(self) -> Self:
        systems = {material.chemical_system for material in self.materials}
        if self.learning.mode == "given" and systems != set(self.learning.potentials):
            raise ValueError(
                f"learning.potentials names {', '.join(self.learning.potentials)}; the chemical systems of the "
                f"materials are {', '.join(sorted(systems))}: give one potential for each"
            )
        return self

    @model_validator(mode="after")
    def _backend_fits_the_materials(self) -> Self:
        for material in self.materials:
            if reason := self.labels.refusal(set(material.composition)):
                raise ValueError(f"labels.backend {self.labels.backend} cannot label {material.id}: {reason}")
        return self
