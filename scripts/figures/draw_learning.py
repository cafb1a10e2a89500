"""Draw what learning asked for and came to."""

from pathlib import Path

import pandas as pd

from argyro.common.jobs import job
from argyro.figures.learning import draw_learning, learning_data, modes_data
from argyro.figures.style import save_figure

with job(snakemake.log[0]):
    data = learning_data(pd.read_parquet(snakemake.input.ledger))
    modes = modes_data(pd.read_csv(snakemake.input.modes[0])) if snakemake.input.modes else None
    paths = {kind: Path(snakemake.output[kind]) for kind in ("pdf", "png", "csv")}
    save_figure(draw_learning(data, modes), pd.concat([data, modes]), paths, **snakemake.params.drawing)
