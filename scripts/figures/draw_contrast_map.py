"""Draw the maps of effective over bulk diffusivity."""

from pathlib import Path

import pandas as pd

from argyro.common.jobs import job
from argyro.figures.contrast_map import contrast_map_data, draw_contrast_map
from argyro.figures.style import save_figure

with job(snakemake.log[0]):
    maps = {
        cell: pd.read_parquet(file) for cell, file in zip(snakemake.params.cells, snakemake.input.maps, strict=True)
    }
    data = contrast_map_data(maps, pd.read_parquet(snakemake.input.table))
    figure = draw_contrast_map(data)
    paths = {kind: Path(snakemake.output[kind]) for kind in ("pdf", "png", "csv")}
    save_figure(figure, data, paths, **snakemake.params.drawing)
