"""Draw activation energies against the radius of the anion."""

from pathlib import Path

import pandas as pd

from argyro.common.jobs import job
from argyro.figures.barriers import barriers_data, draw_barriers
from argyro.figures.style import save_figure

with job(snakemake.log[0]):
    files = snakemake.input
    experiments = pd.read_csv(files.experiments[0]) if files.experiments else None
    data = barriers_data(pd.read_parquet(files.fits), pd.read_csv(files.published, comment="#"), experiments)
    figure = draw_barriers(data, published=snakemake.params.published)
    paths = {kind: Path(snakemake.output[kind]) for kind in ("pdf", "png", "csv")}
    save_figure(figure, data, paths, **snakemake.params.drawing)
