"""Build one bicrystal."""

from pathlib import Path

from argyro.common.jobs import job
from argyro.config.materials import Material
from argyro.config.structures import Boundary, DistanceLimits
from argyro.microstructure.model import write_microstructure
from argyro.structures.bicrystal import bicrystal_microstructure, build_bicrystal
from argyro.structures.output import write_structure
from argyro.structures.validator import validate

with job(snakemake.log[0]):
    params = snakemake.params
    material, limits = Material.model_validate(params.material), DistanceLimits.model_validate(params.limits)
    boundary = Boundary.model_validate(params.boundary)
    atoms = build_bicrystal(
        material,
        boundary,
        min_grain_angstrom=params.min_grain_angstrom,
        min_width_angstrom=params.min_width_angstrom,
        translation_step_angstrom=params.translation_step_angstrom,
        candidate=int(snakemake.wildcards.candidate),
        lithium_sites=params.lithium_sites,
        limits=limits,
        seed=params.seed,
    )
    microstructure = bicrystal_microstructure(atoms, boundary.name, params.seed)
    write_microstructure(Path(snakemake.output.microstructure), microstructure)
    write_structure(Path(snakemake.output.structure), atoms, validate(atoms, material, limits), atoms.info)
