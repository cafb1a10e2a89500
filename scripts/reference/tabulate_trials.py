"""Tabulate the trials of a teacher, and barriers from their diffusivities."""

from pathlib import Path

from argyro.common.files import read_json, replacing
from argyro.common.jobs import job
from argyro.reference.dynamics import barrier_table, trial_table

with job(snakemake.log[0]):
    reports = [read_json(Path(file)) for file in snakemake.input.trials]
    tables = {
        snakemake.output.trials: trial_table(reports),
        snakemake.output.barriers: barrier_table(reports, Path(snakemake.input.published), snakemake.params.seed),
    }
    for file, table in tables.items():
        with replacing(Path(file)) as temporary:
            table.to_csv(temporary, index=False, float_format="%.5g")
