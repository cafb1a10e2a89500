"""Tabulate the trials of a teacher."""

from pathlib import Path

from argyro.common.files import read_json, replacing
from argyro.common.jobs import job
from argyro.reference.dynamics import trial_table

with job(snakemake.log[0]), replacing(Path(snakemake.output[0])) as temporary:
    trial_table([read_json(Path(file)) for file in snakemake.input]).to_csv(temporary, index=False, float_format="%.5g")
