"""Draw diffusivities along boundaries, layer by layer across them."""

from pathlib import Path

import pandas as pd

from argyro.common.jobs import job
from argyro.figures.profile import draw_profile, profile_data
from argyro.figures.style import save_figure
from argyro.microstructure.model import read_microstructure

with job(snakemake.log[0]):
    bicrystals = [
        (structure, repeat, read_microstructure(Path(file)))
        for (structure, repeat), file in zip(snakemake.params.bicrystals, snakemake.input.grains, strict=True)
    ]
    data = profile_data(pd.read_parquet(snakemake.input.diffusivities), bicrystals)
    figure = draw_profile(data)
    paths = {kind: Path(snakemake.output[kind]) for kind in ("pdf", "png", "csv")}
    save_figure(figure, data, paths, **snakemake.params.drawing)
