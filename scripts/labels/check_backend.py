"""Test the labelling backend on a lightly rattled cell of one chemical system."""

from pathlib import Path

from argyro.common.files import write_json
from argyro.common.jobs import job
from argyro.config.labels import LabelsConfig
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits
from argyro.labels.backends import open_backend
from argyro.labels.sanity import examine, require_sane
from argyro.labels.store import Store
from argyro.structures.bulk import build_bulk

RATTLE = 0.05  # angstrom
CELL = (1, 1, 1)

with job(snakemake.log[0]):
    params = snakemake.params
    material = Material.model_validate(params.material)
    limits = DistanceLimits.model_validate(params.limits)
    atoms = build_bulk(material, CELL, lithium_sites="48h", limits=limits, seed=params.seed)
    atoms.rattle(RATTLE, seed=params.seed % 2**32)
    backend = open_backend(LabelsConfig.model_validate(params.labels))
    result = examine(backend, atoms, Store(Path(params.store) / "sanity"))
    require_sane(result)
    write_json(Path(snakemake.output[0]), result.as_dict())
