"""Tabulate the errors of a teacher on its labels, held out and not, and on labels by PBE; of its labels on these."""

from pathlib import Path

import pandas as pd

from argyro.common.extxyz import read_structures
from argyro.common.files import replacing
from argyro.common.jobs import job
from argyro.config.reference import TeacherConfig
from argyro.reference.dataset import split
from argyro.reference.errors import error_table, of_labels, of_potential
from argyro.reference.fitting import usable
from mtpcore.ase import MTP

with job(snakemake.log[0]):
    params = snakemake.params
    settings = TeacherConfig.model_validate(params.teacher)
    files = snakemake.input.fitted, snakemake.input.potential
    fitted, teacher = (of_potential(MTP(file, params.species, threads=snakemake.threads)) for file in files)
    labels = read_structures(Path(snakemake.input.labels))
    training, held_out = split(labels, settings.holdout_fraction)
    tables = {
        "training": error_table(fitted, usable(training, settings), shift_energies=False),
        "hold-out": error_table(fitted, usable(held_out, settings), shift_energies=False),
    }
    if snakemake.input.pbe:
        pbe = read_structures(Path(snakemake.input.pbe))
        tables["PBE"] = error_table(teacher, pbe, shift_energies=True)
        # What the correction begins with
        tables["PBE, by the labels"] = error_table(of_labels(labels), pbe, shift_energies=True)
    joined = pd.concat([table.assign(labels=name) for name, table in tables.items()], ignore_index=True)
    with replacing(Path(snakemake.output[0])) as temporary:
        joined.to_csv(temporary, index=False, float_format="%.5g")
