"""Draw energies, excess volumes and anisotropy of boundaries."""

from pathlib import Path

import pandas as pd

from argyro.common.jobs import job
from argyro.figures.boundaries import boundaries_data, draw_boundaries
from argyro.figures.style import save_figure

with job(snakemake.log[0]):
    files = snakemake.input
    data = boundaries_data(pd.read_parquet(files.boundaries), pd.read_parquet(files.diffusivities))
    paths = {kind: Path(snakemake.output[kind]) for kind in ("pdf", "png", "csv")}
    save_figure(draw_boundaries(data, published=snakemake.params.published), data, paths, **snakemake.params.drawing)
