"""Measure target properties of one structure by the potential that a level ended with."""

import shutil
from fnmatch import fnmatchcase
from pathlib import Path

from argyro.common.extxyz import read_structure
from argyro.common.files import write_json
from argyro.common.jobs import job
from argyro.config.learning import OuterStopConfig
from argyro.learning.probes import probe_boundary, probe_diffusivity
from argyro.md.lammps import PotentialFile

with job(snakemake.log[0]):
    params, output, name = snakemake.params, Path(snakemake.output[0]), snakemake.wildcards.structure
    settings = OuterStopConfig.model_validate(params.outer_stop)
    atoms, bulk = (read_structure(Path(file)) for file in (snakemake.input.structure, snakemake.input.bulk))
    potential = PotentialFile(Path(snakemake.input.potential), tuple(params.species))
    probes, folder = [], output.with_name(f"run-{name}")
    if any(fnmatchcase(name, pattern) for pattern in settings.diffusivity_of):
        probes.append(
            probe_diffusivity(name, atoms, potential, settings, params.mobile, folder=folder, seed=params.seed)
        )
    if any(fnmatchcase(name, pattern) for pattern in settings.energy_of):
        probes.append(probe_boundary(name, atoms, bulk, potential, folder=output.parent))
    write_json(output, [probe.as_dict() for probe in probes])
    shutil.rmtree(folder, ignore_errors=True)
