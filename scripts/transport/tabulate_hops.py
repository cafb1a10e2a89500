"""The table of hops of all bulk runs."""

from pathlib import Path

import pandas as pd

from argyro.common.files import read_json
from argyro.common.jobs import job
from argyro.common.tables import write_table

with job(snakemake.log[0]):
    rows = []
    for file, table in zip(snakemake.input.hops, snakemake.input.tables, strict=True):
        if (found := read_json(Path(file))) is not None:
            first = pd.read_parquet(table).iloc[0]
            rows.append(first[["structure", "material", "repeat", "temperature_K"]].to_dict() | found)
    columns = ["structure", "material", "repeat", "temperature_K"]
    write_table(Path(snakemake.output[0]), pd.DataFrame(rows, columns=None if rows else columns))
