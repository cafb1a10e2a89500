"""Tabulate effective diffusivities against temperature, from the maps over contrasts."""

from pathlib import Path

import pandas as pd

from argyro.common.jobs import job
from argyro.common.tables import write_table
from argyro.config.continuum import ContinuumConfig
from argyro.continuum.curves import curve_table
from argyro.continuum.pairs import read_pairs

with job(snakemake.log[0]):
    settings = ContinuumConfig.model_validate(snakemake.params.settings)
    pairs = read_pairs(Path(snakemake.input.pairs))[0]
    tables = [
        curve_table(settings, pd.read_parquet(file), pairs).assign(microstructure=cell)
        for cell, file in zip(snakemake.params.cells, snakemake.input.maps, strict=True)
    ]
    write_table(Path(snakemake.output[0]), pd.concat(tables, ignore_index=True))
