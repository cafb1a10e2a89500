"""Effective diffusivities of one tessellation by the voxel engine, all materials, temperatures and grain sizes."""

from pathlib import Path

from argyro.common.files import replacing
from argyro.common.jobs import job
from argyro.config.continuum import ContinuumConfig
from argyro.continuum.cases import cases_of, run_voxels
from argyro.continuum.pairs import read_pairs
from argyro.microstructure.model import read_microstructure

with job(snakemake.log[0]):
    settings = ContinuumConfig.model_validate(snakemake.params.settings)
    cases = cases_of(settings, read_pairs(Path(snakemake.input.pairs))[0])
    microstructure = read_microstructure(Path(snakemake.input.microstructure))
    table = run_voxels(settings, microstructure, cases, threads=snakemake.threads, gpu=bool(snakemake.resources.gpu))
    with replacing(Path(snakemake.output[0])) as temporary:
        table.to_parquet(temporary)
