"""Check a file of ready labels and take it over."""

from pathlib import Path

from argyro.common.extxyz import write_structures
from argyro.common.jobs import job
from argyro.labels.collect import read_labelled, require_one_level

with job(snakemake.log[0]):
    structures = read_labelled(Path(snakemake.input[0]))
    require_one_level(structures)
    write_structures(Path(snakemake.output[0]), structures)
