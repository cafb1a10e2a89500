"""Put the labels of a chemical system together as they are committed."""

from pathlib import Path

from argyro.common.extxyz import read_structures, write_structures
from argyro.common.jobs import job
from argyro.reference.dataset import shipped

with job(snakemake.log[0]):
    labelled = (read_structures(Path(file)) for file in snakemake.input)
    generations = dict(zip(snakemake.params.generations, labelled, strict=True))
    write_structures(Path(snakemake.output[0]), shipped(generations))
