"""Tabulate the temperatures at which grains and boundaries contribute alike to the effective diffusivity."""

from pathlib import Path

import pandas as pd

from argyro.common.jobs import job
from argyro.common.tables import write_table
from argyro.config.continuum import ContinuumConfig
from argyro.continuum.contrast_map import crossover_table
from argyro.continuum.pairs import read_pairs, read_samples

with job(snakemake.log[0]):
    files = snakemake.input
    settings = ContinuumConfig.model_validate(snakemake.params.settings)
    pairs = read_pairs(Path(files.pairs))[0]
    samples = read_samples(Path(files.samples)) if files.samples else {}
    tables = []
    for cell, file in zip(snakemake.params.cells, files.maps, strict=True):
        table = crossover_table(settings, pd.read_parquet(file), pairs, samples)
        tables.append(table.assign(microstructure=cell))
    write_table(Path(snakemake.output[0]), pd.concat(tables, ignore_index=True))
