"""Draw the Arrhenius plot."""

from pathlib import Path

import pandas as pd

from argyro.common.jobs import job
from argyro.figures.arrhenius import arrhenius_data, draw_arrhenius
from argyro.figures.style import save_figure

with job(snakemake.log[0]):
    published = pd.read_csv(snakemake.input.published[0], comment="#") if snakemake.input.published else None
    data = arrhenius_data(pd.read_parquet(snakemake.input.diffusivities), published)
    figure = draw_arrhenius(data, pd.read_parquet(snakemake.input.fits))
    paths = {kind: Path(snakemake.output[kind]) for kind in ("pdf", "png", "csv")}
    save_figure(figure, data, paths, **snakemake.params.drawing)
