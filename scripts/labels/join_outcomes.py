"""Join the tables of outcomes of all sets."""

from pathlib import Path

from argyro.common.jobs import job
from argyro.common.tables import join_tables

with job(snakemake.log[0]):
    join_tables(Path(snakemake.output[0]), snakemake.input)
