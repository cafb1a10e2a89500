"""The table of all diffusivities, with those of boundaries by the rule of mixtures."""

from pathlib import Path

import pandas as pd

from argyro.common.jobs import job
from argyro.common.tables import write_table
from argyro.transport.table import joined, with_mixtures

with job(snakemake.log[0]):
    table = joined([pd.read_parquet(file) for file in snakemake.input])
    write_table(Path(snakemake.output[0]), with_mixtures(table, snakemake.params.widths))
