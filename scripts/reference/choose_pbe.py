"""Choose the structures that are labelled by PBE as well."""

from pathlib import Path

from argyro.common.extxyz import read_structures, write_structures
from argyro.common.jobs import job
from argyro.config.reference import PbeConfig
from argyro.reference.choice import choose

with job(snakemake.log[0]):
    params = snakemake.params
    structures = read_structures(Path(snakemake.input[0]))
    chosen = choose(structures, PbeConfig.model_validate(params.pbe), params.seed)
    write_structures(Path(snakemake.output[0]), chosen)
