"""Settings of the stage `continuum`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from .base import InputFile, Name, NonNegativeFloat, Percent, PositiveFloat, PositiveInt, Section


class Grains(Section):
    """A microstructure, in any number of random tessellations."""

    name: Name
    """Name of the microstructure in files and tables."""
    grains: int | None = Field(default=None, ge=2, le=1000)
    """Number of grains in the periodic cell."""
    arrangement: Literal["sobol", "poisson", "lloyd"] = "sobol"
    """Of the seeds of grains: an even sequence, independent ones, or those moved to the centroids of their grains."""
    diameter_spread: float = Field(default=0.0, ge=0, le=1)
    """Standard deviation of the logarithm of grain diameters (Laguerre grains); zero: Voronoi grains, of any size."""
    tessellations: PositiveInt = 1
    """How many are drawn; from two on, tables have their scatter."""
    seed: int | None = Field(default=None, ge=0)
    """Seed of the first; null: from the campaign's seed. The next have the next numbers."""
    microstructure: InputFile | None = None
    """File of a microstructure (argyro-microstructure/1), which says all of the above; its size does not matter."""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.grains is None) == (self.microstructure is None):
            raise ValueError(f"the microstructure {self.name} needs either grains or a file microstructure")
        if self.microstructure is not None and self.tessellations > 1:
            raise ValueError(f"the microstructure {self.name} is one file; it has no further tessellations")
        return self


class FieldCase(Section):
    """A case whose concentration and flux are written for ParaView, and drawn."""

    name: Name
    """Name of the case in files."""
    microstructure: Name = "published"
    """Name of the microstructure; its first tessellation is taken."""
    anion: str
    """Halide of the material, as in the table of diffusivities."""
    exchange_percent: Percent = 0.0
    """Its exchange."""
    temperature_K: PositiveFloat = 300.0
    """Temperature."""
    grain_size_nm: PositiveFloat
    """Grain size; the grid has to have eight voxels across boundaries slower than grains, four across faster ones."""
    voxels: int = Field(default=64, ge=8, le=256)
    """Grid, along the shortest edge of the cell."""
    direction: tuple[float, float, float] = (1.0, 0.0, 0.0)
    """In which the concentration falls on average."""

    @model_validator(mode="after")
    def _has_a_direction(self) -> Self:
        if not any(self.direction):
            raise ValueError("direction [0, 0, 0] is none; give a vector, such as [1, 0, 0]")
        return self


PUBLISHED_CELL = Grains(name="published", grains=27, seed=42)


class ContinuumConfig(Section):
    """Effective diffusivity of polycrystals."""

    diffusivity: InputFile | None = None
    """Table of Arrhenius pairs (CSV or parquet): anion, exchange_percent, region (bulk and gb, or bulk, gb_par and
    gb_perp), Ea_eV, D0_cm2_per_s or D0_1e-7_cm2_per_s; null: config/reference/published_diffusivity.csv."""
    diffusivity_samples: InputFile | None = None
    """The same pairs many times, each row with the number sample of a draw; they give crossovers an interval."""
    microstructures: tuple[Grains, ...] = Field(default=(PUBLISHED_CELL,), min_length=1)
    """Grains; `published` is the 27-grain cell of Ou et al. (2026), Sobol seeds of 42."""
    temperatures_K: tuple[PositiveFloat, ...] = Field(default=(300.0,), min_length=1)
    """Temperatures."""
    gb_width_nm: PositiveFloat = 2.5
    """Width of grain boundaries."""
    size_min_nm: PositiveFloat = 20.0
    """Smallest grain size: the diameter of the sphere of the mean grain volume."""
    size_max_nm: PositiveFloat = 2000.0
    """Largest one."""
    sizes_per_decade: PositiveInt = 2
    """Grain sizes, evenly spaced in the logarithm."""
    element_size: float = Field(default=1.0, gt=0, le=2)
    """Of the coarser of two meshes of the interface engine, relative to the grain size."""
    max_voxels: int = Field(default=64, ge=16, le=512)
    """Largest grid of the voxel engine, along the shortest edge of the cell. Memory and time grow with its cube."""
    gpu: bool = False
    """Solve on a GPU, by CuPy (`scripts/run --with gpu`); jobs ask for the resource gpu: 1."""
    voxels_across_slow: PositiveFloat = 10.0
    """Voxels across boundaries slower than grains, in their width, where max_voxels allows."""
    voxels_across_fast: PositiveFloat = 5.0
    """The same for faster ones."""
    interface_below: NonNegativeFloat = 0.02
    """The interface engine alone is used up to this ratio of width to grain size."""
    voxel_above: NonNegativeFloat = 0.08
    """The voxel engine alone is used from this ratio on, if max_voxels resolves boundaries; in between, both."""
    map_contrast_max: float = Field(default=100.0, gt=1)
    """The map covers ratios of boundary to bulk diffusivity from the inverse of this to this."""
    map_contrasts_per_decade: PositiveInt = 2
    """Ratios of the map, evenly spaced in the logarithm."""
    crossover_min_K: PositiveFloat = 150.0
    """Lowest temperature at which a crossover from boundaries to grains is looked for."""
    crossover_max_K: PositiveFloat = 1000.0
    """Highest one."""
    fields: tuple[FieldCase, ...] = ()
    """Cases whose concentration and flux are written and drawn, each with name, anion and grain_size_nm."""

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> Self:
        for low, high in (("size_min_nm", "size_max_nm"), ("interface_below", "voxel_above")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} {getattr(self, low)} is above {high} {getattr(self, high)}")
        if self.crossover_min_K >= self.crossover_max_K:
            raise ValueError(f"crossover_min_K {self.crossover_min_K} is not below crossover_max_K")
        if self.gb_width_nm >= self.size_min_nm:
            raise ValueError(
                f"gb_width_nm {self.gb_width_nm} is not below size_min_nm {self.size_min_nm}: nothing would be left of "
                "grains"
            )
        return self

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for section in ("microstructures", "fields"):
            names = [member.name for member in getattr(self, section)]
            if twice := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"{section}: the name '{twice[0]}' is given twice")
        return self

    @model_validator(mode="after")
    def _fields_are_of_microstructures(self) -> Self:
        names = [microstructure.name for microstructure in self.microstructures]
        for case in self.fields:
            if case.microstructure not in names:
                raise ValueError(
                    f"fields: {case.name} is of the microstructure '{case.microstructure}'; there are "
                    f"{', '.join(names)}"
                )
        return self
