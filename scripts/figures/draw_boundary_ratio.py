"""Draw diffusivities of boundaries over those of bulk."""

from pathlib import Path

import pandas as pd

from argyro.common.jobs import job
from argyro.figures.boundary_ratio import boundary_ratio_data, draw_boundary_ratio
from argyro.figures.style import save_figure

with job(snakemake.log[0]):
    published = pd.read_csv(snakemake.input.published[0], comment="#") if snakemake.input.published else None
    data = boundary_ratio_data(pd.read_parquet(snakemake.input.diffusivities), published)
    figure = draw_boundary_ratio(data)
    paths = {kind: Path(snakemake.output[kind]) for kind in ("pdf", "png", "csv")}
    save_figure(figure, data, paths, **snakemake.params.drawing)
