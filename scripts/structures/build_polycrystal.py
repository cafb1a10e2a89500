"""Build one polycrystal."""

from pathlib import Path

from argyro.common.jobs import job
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits, Polycrystal
from argyro.microstructure.model import write_microstructure
from argyro.structures.output import write_structure
from argyro.structures.polycrystal import build_polycrystal, polycrystal_details, polycrystal_microstructure
from argyro.structures.validator import validate

with job(snakemake.log[0]):
    params = snakemake.params
    material, limits = Material.model_validate(params.material), DistanceLimits.model_validate(params.limits)
    polycrystal = Polycrystal.model_validate(params.polycrystal)
    microstructure = polycrystal_microstructure(
        polycrystal, material, lithium_sites=params.lithium_sites, limits=limits, seed=params.microstructure_seed
    )
    atoms = build_polycrystal(
        material,
        microstructure,
        attempts=polycrystal.attempts,
        lithium_sites=params.lithium_sites,
        limits=limits,
        seed=params.seed,
    )
    write_microstructure(Path(snakemake.output.microstructure), microstructure)
    details = polycrystal_details(atoms, microstructure)
    write_structure(Path(snakemake.output.structure), atoms, validate(atoms, material, limits), details)
