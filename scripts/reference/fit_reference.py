"""Fit the potential that samples the next generation."""

from pathlib import Path

import mtpcore
from argyro.common.extxyz import read_structures
from argyro.common.files import replacing
from argyro.common.jobs import job
from argyro.config.reference import TeacherConfig
from argyro.reference.fitting import fit_ladder

with job(snakemake.log[0]):
    params = snakemake.params
    labelled = [atoms for file in snakemake.input for atoms in read_structures(Path(file))]
    teacher = TeacherConfig.model_validate(params.teacher)
    levels = [*(level for level in teacher.levels if level < params.level), params.level]
    fitted = fit_ladder(labelled, params.species, teacher, levels=levels, seed=params.seed, threads=1)
    with replacing(Path(snakemake.output[0])) as temporary:
        mtpcore.write_potential(temporary, fitted)
