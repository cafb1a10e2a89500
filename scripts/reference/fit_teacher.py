"""Fit the teacher of one chemical system."""

from pathlib import Path

import mtpcore
from argyro.common.extxyz import read_structures
from argyro.common.files import replacing
from argyro.common.jobs import job
from argyro.config.reference import TeacherConfig
from argyro.reference.dataset import split
from argyro.reference.fitting import fit_ladder

with job(snakemake.log[0]):
    params = snakemake.params
    settings = TeacherConfig.model_validate(params.teacher)
    training, _ = split(read_structures(Path(snakemake.input[0])), settings.holdout_fraction)
    fitted = fit_ladder(
        training, params.species, settings, levels=settings.levels, seed=params.seed, threads=snakemake.threads
    )
    with replacing(Path(snakemake.output[0])) as temporary:
        mtpcore.write_potential(temporary, fitted)
