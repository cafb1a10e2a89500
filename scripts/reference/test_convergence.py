"""How far the settings of PBE are from convergence, on one structure."""

from pathlib import Path

from argyro.common.extxyz import read_structures
from argyro.common.files import replacing
from argyro.common.jobs import job
from argyro.config.labels import LabelsConfig
from argyro.labels.backends import open_backend
from argyro.labels.store import Store
from argyro.reference.convergence import convergence_table

with job(snakemake.log[0]):
    params = snakemake.params
    structure = read_structures(Path(snakemake.input[0]))[params.index]
    configs = [LabelsConfig.model_validate(labels) for labels in params.labels]
    table = convergence_table(structure, [open_backend(config) for config in configs], Store(Path(params.store)))
    with replacing(Path(snakemake.output[0])) as temporary:
        table.to_csv(temporary, index=False)
