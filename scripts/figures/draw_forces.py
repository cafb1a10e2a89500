"""Draw forces of potentials beside labels."""

from pathlib import Path

import pandas as pd

from argyro.common.jobs import job
from argyro.figures.forces import draw_forces, forces_data
from argyro.figures.style import save_figure

with job(snakemake.log[0]):
    data = forces_data(pd.read_parquet(snakemake.input[0]), snakemake.params.seed)
    figure = draw_forces(data)
    paths = {kind: Path(snakemake.output[kind]) for kind in ("pdf", "png", "csv")}
    save_figure(figure, data, paths, **snakemake.params.drawing)
