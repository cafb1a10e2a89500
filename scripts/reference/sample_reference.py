"""Sample one generation of structures of one chemical system."""

from pathlib import Path

from argyro.common.extxyz import write_structures
from argyro.common.files import write_json
from argyro.common.jobs import job
from argyro.config.materials import Material
from argyro.config.reference import GenerationConfig, SamplingConfig
from argyro.config.structures import DistanceLimits
from argyro.reference.sampling import Sampler
from mtpcore.ase import MTP

with job(snakemake.log[0]):
    params = snakemake.params
    materials = [Material.model_validate(material) for material in params.materials]
    calculator = MTP(snakemake.input[0], materials[0].elements, threads=1) if snakemake.input else None
    sampler = Sampler(
        materials,
        SamplingConfig.model_validate(params.sampling),
        DistanceLimits.model_validate(params.limits),
        calculator,
        params.seed,
    )
    sample = sampler.sample(GenerationConfig.model_validate(params.generation))
    write_json(Path(snakemake.output.report), sample.table())
    write_structures(Path(snakemake.output.structures), sample.structures)
