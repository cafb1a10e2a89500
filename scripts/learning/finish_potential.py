"""Publish the potential that a ladder ended with, or say why it did not end."""

from pathlib import Path

from argyro.common.extxyz import read_structures, write_structures
from argyro.common.files import read_json, replacing
from argyro.common.jobs import job
from argyro.learning.decide import require_done
from argyro.learning.potential_file import read_card, read_potential_file, write_potential
from mtpcore.cfg import write_cfg
from mtpcore.configuration import Configuration

with job(snakemake.log[0]):
    source = Path(snakemake.input.potential)
    require_done(read_json(Path(snakemake.input.decision)), source.parent, Path(snakemake.input.ledger))
    training, card = read_structures(Path(snakemake.input.training)), read_card(source)
    write_structures(Path(snakemake.output.training), training)
    with replacing(Path(snakemake.output.cfg)) as temporary:
        write_cfg(temporary, [Configuration.from_atoms(atoms, card.species) for atoms in training])
    potential = read_potential_file(source)
    write_potential(Path(snakemake.output.potential), potential, card.species, level=card.level, training=training)
