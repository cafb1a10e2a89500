"""Compare forces of the potentials that the levels of a ladder ended with to all labels there are."""

from pathlib import Path

import pandas as pd

from argyro.common.extxyz import read_structures
from argyro.common.jobs import job
from argyro.common.tables import write_table
from argyro.learning.forces import all_structures, force_table, identities
from argyro.learning.potential_file import read_potential_file
from argyro.learning.training import seeds_of_system

with job(snakemake.log[0]):
    params, files = snakemake.params, snakemake.input
    seeds = [atoms for file in files.seeds for atoms in read_structures(Path(file))]
    trainings = [read_structures(Path(file)) for file in files.training]
    structures = all_structures(trainings[-1], seeds_of_system(seeds, params.species))
    tables = [
        force_table(
            read_potential_file(Path(file)), structures, identities(training), params.species, params.kinds
        ).assign(system=snakemake.wildcards.system, repeat=int(snakemake.wildcards.repeat), level=level)
        for file, training, level in zip(files.potentials, trainings, params.levels, strict=True)
    ]
    write_table(Path(snakemake.output[0]), pd.concat(tables, ignore_index=True))
