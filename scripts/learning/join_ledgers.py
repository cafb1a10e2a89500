"""Join the ledgers of all potentials."""

from pathlib import Path

from argyro.common.jobs import job
from argyro.common.tables import join_tables

with job(snakemake.log[0]):
    join_tables(Path(snakemake.output[0]), snakemake.input)
