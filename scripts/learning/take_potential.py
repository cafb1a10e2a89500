"""Take over a ready potential."""

from pathlib import Path

from argyro.common.jobs import job
from argyro.learning.potential_file import write_given_potential

with job(snakemake.log[0]):
    write_given_potential(Path(snakemake.input[0]), Path(snakemake.output.potential), snakemake.params.species)
