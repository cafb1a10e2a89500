"""Arrhenius parameters of every line of diffusivities."""

from pathlib import Path

import pandas as pd

from argyro.common.jobs import job
from argyro.common.tables import write_table
from argyro.transport.table import arrhenius_table

with job(snakemake.log[0]):
    table = pd.read_parquet(snakemake.input[0])
    write_table(
        Path(snakemake.output[0]), arrhenius_table(table, snakemake.params.extrapolation_K, snakemake.params.seed)
    )
