"""Tabulate errors on labels of each part and on those by PBE, of a teacher and of what labelled for it."""

from pathlib import Path

import pandas as pd

from argyro.common.extxyz import read_structures
from argyro.common.files import replacing
from argyro.common.jobs import job
from argyro.config.reference import TeacherConfig
from argyro.reference.dataset import split
from argyro.reference.errors import error_table, of_labels, of_potential
from argyro.reference.fitting import usable, why_left_out
from mtpcore.ase import MTP

with job(snakemake.log[0]):
    params = snakemake.params
    settings = TeacherConfig.model_validate(params.teacher)
    files = snakemake.input.fitted, snakemake.input.potential
    fitted, teacher = (of_potential(MTP(file, params.species, threads=snakemake.threads)) for file in files)
    labels = read_structures(Path(snakemake.input.labels))
    mobile = params.species[0]
    training, held_out = split(labels, settings.holdout_fraction)
    parts = {
        "training": usable(training, settings, mobile),
        "hold-out": usable(held_out, settings, mobile),
        "left out": [atoms for atoms in labels if why_left_out(atoms, settings, mobile)],
    }
    tables = {name: error_table(fitted, part, shift_energies=False) for name, part in parts.items() if part}
    if snakemake.input.pbe:
        pbe = read_structures(Path(snakemake.input.pbe))
        tables["PBE"] = error_table(teacher, pbe, shift_energies=True)
        # What the correction begins with
        tables["PBE, by the labels"] = error_table(of_labels(labels), pbe, shift_energies=True)
    joined = pd.concat([table.assign(labels=name) for name, table in tables.items()], ignore_index=True)
    with replacing(Path(snakemake.output[0])) as temporary:
        joined.to_csv(temporary, index=False, float_format="%.5g")
