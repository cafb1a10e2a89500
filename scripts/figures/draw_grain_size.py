"""Draw effective diffusivities against grain size."""

from pathlib import Path

import pandas as pd

from argyro.common.jobs import job
from argyro.figures.grain_size import draw_grain_size, grain_size_data
from argyro.figures.style import save_figure

with job(snakemake.log[0]):
    data = grain_size_data(pd.read_parquet(snakemake.input[0]))
    paths = {kind: Path(snakemake.output[kind]) for kind in ("pdf", "png", "csv")}
    save_figure(draw_grain_size(data), data, paths, **snakemake.params.drawing)
