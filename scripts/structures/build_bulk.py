"""Build one bulk cell."""

from pathlib import Path

from argyro.common.jobs import job
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits
from argyro.structures.bulk import build_bulk
from argyro.structures.output import write_structure
from argyro.structures.validator import validate

with job(snakemake.log[0]):
    params = snakemake.params
    material, limits = Material.model_validate(params.material), DistanceLimits.model_validate(params.limits)
    atoms = build_bulk(
        material, tuple(params.supercell), lithium_sites=params.lithium_sites, limits=limits, seed=params.seed
    )
    write_structure(Path(snakemake.output.structure), atoms, validate(atoms, material, limits))
