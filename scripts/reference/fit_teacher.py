"""Fit the teacher of one chemical system."""

from pathlib import Path

import mtpcore
from argyro.common.extxyz import read_structures
from argyro.common.files import replacing, sha256_of_file, write_json
from argyro.common.jobs import job
from argyro.config.reference import TeacherConfig
from argyro.reference.dataset import split
from argyro.reference.fitting import fit_ladder, sidecar

with job(snakemake.log[0]):
    params, potential_file = snakemake.params, Path(snakemake.output.potential)
    settings = TeacherConfig.model_validate(params.teacher)
    training, _ = split(read_structures(Path(snakemake.input[0])), settings.holdout_fraction)
    fitted = fit_ladder(
        training, params.species, settings, levels=settings.levels, seed=params.seed, threads=snakemake.threads
    )
    with replacing(potential_file) as temporary:
        mtpcore.write_potential(temporary, fitted)
    levels_of_theory = str(training[0].info["level_of_theory"])
    content = sidecar(settings, params.species, levels_of_theory, Path(snakemake.input[0]))
    write_json(Path(snakemake.output.sidecar), content | {"sha256": sha256_of_file(potential_file)})
