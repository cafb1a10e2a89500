"""Put the labels of a set together, with a table of what became of every structure."""

from pathlib import Path

from argyro.common.extxyz import read_structures, write_structures
from argyro.common.files import read_json
from argyro.common.jobs import job
from argyro.common.tables import write_table
from argyro.config.labels import LabelsConfig
from argyro.labels.backends import open_backend
from argyro.labels.collect import collect, require_enough
from argyro.labels.store import Store
from argyro.labels.table import outcome_table

with job(snakemake.log[0]):
    params, name = snakemake.params, "-".join(snakemake.wildcards)
    structures = read_structures(Path(snakemake.input.structures))
    rows = [row for file in snakemake.input.outcomes for row in read_json(Path(file))]
    require_enough(rows, params.max_failed_fraction, name)
    backend = open_backend(LabelsConfig.model_validate(params.labels))
    write_structures(Path(snakemake.output.labels), collect(structures, rows, backend, Store(Path(params.store))))
    write_table(Path(snakemake.output.table), outcome_table(rows, name))
