"""Measure properties of the ordered cell by the method that labels the large set."""

from pathlib import Path

from argyro.common.files import write_json
from argyro.common.jobs import job
from argyro.config.labels import LabelsConfig
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits
from argyro.labels.backends import open_backend
from argyro.reference.properties import BackendCalculator, ground_state_properties

with job(snakemake.log[0]):
    params = snakemake.params
    backend = open_backend(LabelsConfig.model_validate(params.labels))
    material, limits = Material.model_validate(params.material), DistanceLimits.model_validate(params.limits)
    measured = ground_state_properties(material, limits, BackendCalculator(backend), params.seed)
    write_json(Path(snakemake.output[0]), measured | {"level_of_theory": backend.level_of_theory})
