"""Map the effective diffusivity of one tessellation over the contrast of boundaries and the grain size."""

from pathlib import Path

from argyro.common.jobs import job
from argyro.common.tables import write_table
from argyro.config.continuum import ContinuumConfig
from argyro.continuum.contrast_map import make_map
from argyro.microstructure.model import read_microstructure

with job(snakemake.log[0]):
    settings = ContinuumConfig.model_validate(snakemake.params.settings)
    microstructure = read_microstructure(Path(snakemake.input[0]))
    table = make_map(settings, microstructure, threads=snakemake.threads, gpu=bool(snakemake.resources.gpu))
    write_table(Path(snakemake.output[0]), table)
