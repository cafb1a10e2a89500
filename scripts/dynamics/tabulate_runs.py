"""The table of all runs."""

from pathlib import Path

from argyro.common.jobs import job
from argyro.common.tables import write_table
from argyro.dynamics.runs import runs_table

with job(snakemake.log[0]):
    write_table(Path(snakemake.output[0]), runs_table([Path(file) for file in snakemake.input]))
