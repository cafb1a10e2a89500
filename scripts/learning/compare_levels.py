"""Say whether two levels agree in their target properties."""

from pathlib import Path

from argyro.common.files import read_json, write_json
from argyro.common.jobs import job
from argyro.learning.probes import agree

with job(snakemake.log[0]):
    before, now = (
        [probe for file in files for probe in read_json(Path(file))]
        for files in (snakemake.input.before, snakemake.input.now)
    )
    found = agree(before, now, snakemake.params.tolerance)
    write_json(Path(snakemake.output[0]), {"agree": found, "before": before, "now": now})
