"""Join the results of both engines and all tessellations to one table, and list what was skipped."""

from pathlib import Path

import pandas as pd

from argyro.common.files import replacing
from argyro.common.jobs import job
from argyro.common.tables import write_table
from argyro.continuum.pairs import read_pairs
from argyro.continuum.tables import collect
from argyro.microstructure.model import read_microstructure

with job(snakemake.log[0]):
    files, output = snakemake.input, snakemake.output
    parts = [
        (microstructure, pd.read_parquet(interface), pd.read_parquet(voxel))
        for microstructure, interface, voxel in zip(
            [read_microstructure(Path(file)) for file in files.microstructures],
            files.interface,
            files.voxel,
            strict=True,
        )
    ]
    table, comparison = collect(snakemake.params.cells, parts)
    skipped = read_pairs(Path(files.pairs))[1]
    write_table(Path(output.table), table)
    write_table(Path(output.comparison), comparison)
    with replacing(Path(output.skipped)) as temporary:
        skipped.to_csv(temporary, index=False)
