"""Draw effective diffusivities against temperature."""

from pathlib import Path

import pandas as pd

from argyro.common.jobs import job
from argyro.figures.crossover import crossover_data, draw_crossover
from argyro.figures.style import save_figure

with job(snakemake.log[0]):
    files = snakemake.input
    tables = [pd.read_parquet(file) for file in (files.curves, files.table, files.crossovers)]
    data = crossover_data(*tables, pd.read_csv(files.experiments[0]) if files.experiments else None)
    figure = draw_crossover(data)
    paths = {kind: Path(snakemake.output[kind]) for kind in ("pdf", "png", "csv")}
    save_figure(figure, data, paths, **snakemake.params.drawing)
