"""The table of all diffusivities, with boundaries by the rule of mixtures and means over arrangements."""

from pathlib import Path

import pandas as pd

from argyro.common.jobs import job
from argyro.common.tables import write_table
from argyro.transport.table import joined, with_arrangements, with_mixtures

with job(snakemake.log[0]):
    table = joined([pd.read_parquet(file) for file in snakemake.input])
    write_table(Path(snakemake.output[0]), with_arrangements(with_mixtures(table, snakemake.params.widths)))
