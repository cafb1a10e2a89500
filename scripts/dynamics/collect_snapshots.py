"""Collect what runs of a chemical system met that its potential did not know."""

import logging
from pathlib import Path

from argyro.common.extxyz import write_structures
from argyro.common.jobs import job
from argyro.dynamics.snapshots import unknown_snapshots

with job(snakemake.log[0]):
    path = Path(snakemake.output[0])
    found = unknown_snapshots([Path(file) for file in snakemake.input])
    write_structures(path, found)
    if found:
        logging.getLogger(__name__).warning(
            "%d structures are beyond what the potential knows; to teach it, copy %s and name the copy in "
            "learning.snapshots",
            len(found),
            path,
        )
