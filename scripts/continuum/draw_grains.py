"""Draw one tessellation of a microstructure, or take it from a file."""

from pathlib import Path

from argyro.common.jobs import job
from argyro.config.continuum import Grains
from argyro.continuum.grains import draw_grains
from argyro.microstructure.model import write_microstructure

with job(snakemake.log[0]):
    params = snakemake.params
    grains = Grains.model_validate(params.grains)
    write_microstructure(Path(snakemake.output[0]), draw_grains(grains, params.tessellation, params.seed))
