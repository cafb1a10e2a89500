"""Draw energies and excess volumes of boundaries."""

from pathlib import Path

import pandas as pd

from argyro.common.jobs import job
from argyro.figures.boundaries import boundaries_data, draw_boundaries
from argyro.figures.style import save_figure

with job(snakemake.log[0]):
    data = boundaries_data(pd.read_parquet(snakemake.input[0]))
    paths = {kind: Path(snakemake.output[kind]) for kind in ("pdf", "png", "csv")}
    save_figure(draw_boundaries(data, published=snakemake.params.published), data, paths, snakemake.params.dpi)
