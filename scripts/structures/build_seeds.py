"""Build the seeds of one material."""

from pathlib import Path

from argyro.common.jobs import job
from argyro.config.materials import Material
from argyro.config.structures import StructuresConfig
from argyro.structures.output import write_seeds
from argyro.structures.seeds import build_seeds, seed_limits
from argyro.structures.validator import validate

with job(snakemake.log[0]):
    params = snakemake.params
    material, settings = Material.model_validate(params.material), StructuresConfig.model_validate(params.structures)
    seeds = build_seeds(material, settings, seed=params.seed)
    limits = seed_limits(settings)
    reports = [validate(atoms, material, limits) for atoms in seeds]
    write_seeds(Path(snakemake.output.structures), seeds, reports)
