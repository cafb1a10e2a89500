"""Join the ledgers of all potentials."""

from pathlib import Path

import pandas as pd

from argyro.common.files import replacing
from argyro.common.jobs import job

with job(snakemake.log[0]), replacing(Path(snakemake.output[0])) as temporary:
    pd.concat([pd.read_parquet(file) for file in snakemake.input], ignore_index=True).to_parquet(temporary, index=False)
