"""Label one chunk of a set of structures."""

from pathlib import Path

from argyro.common.extxyz import read_structures
from argyro.common.files import write_json
from argyro.common.jobs import job
from argyro.config.labels import LabelsConfig
from argyro.labels.backends import open_backend
from argyro.labels.collect import outcome_rows
from argyro.labels.label import label_structures
from argyro.labels.store import Store

with job(snakemake.log[0]):
    params = snakemake.params
    config = LabelsConfig.model_validate(params.labels)
    first = int(snakemake.wildcards.chunk) * params.structures_per_job
    structures = read_structures(Path(snakemake.input.structures))[first : first + params.structures_per_job]
    outcomes = label_structures(structures, open_backend(config), Store(Path(params.store)), config.gates)
    write_json(Path(snakemake.output[0]), outcome_rows(structures, outcomes))
