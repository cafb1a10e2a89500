"""Potentials on disk: the file of MLIP's format, and the card beside it that says what the file cannot."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ase import Atoms

import mtpcore
from argyro.common.errors import FileError
from argyro.common.extxyz import format_structure
from argyro.common.files import read_json, replacing, sha256_of_file, write_json

CARD_NAME = "potential.json"
UNITS = {"length": "angstrom", "energy": "eV"}


@dataclass(frozen=True)
class PotentialCard:
    """What a file of a potential does not say: it holds no names of elements.

    Attributes:
        species: Elements in the order of the file's species.
        level: Of the moment tensor potential; None if it is not known.
        level_of_theory: Of the labels it was fitted to; None if it is not known.
        training_set_sha256: Hash of the structures and labels it was fitted to, in their order; None if not known.
        training_set_size: How many there were.
        sha256: Of the potential's file.
        units: Of lengths and energies.
    """

    species: list[str]
    level: int | None
    level_of_theory: str | None
    training_set_sha256: str | None
    training_set_size: int
    sha256: str
    units: dict[str, str]


def training_set_hash(structures: Sequence[Atoms]) -> str:
    """SHA-256 of labelled structures in their order, to the last bit."""
    digest = hashlib.sha256()
    for atoms in structures:
        digest.update(format_structure(atoms).encode())
    return digest.hexdigest()


def write_potential(
    path: Path, potential: mtpcore.Potential, species: Sequence[str], *, level: int, training: Sequence[Atoms]
) -> None:
    """Write a potential in one step, and its card beside it.

    Args:
        path: Its file; the card is ``potential.json`` in the same folder.
        potential: What to write.
        species: Elements in the order of its species.
        level: Of the moment tensor potential.
        training: What it was fitted to.
    """
    with replacing(path) as temporary:
        mtpcore.write_potential(temporary, potential)
    card = PotentialCard(
        species=list(species),
        level=level,
        level_of_theory=str(training[0].info["level_of_theory"]) if training else None,
        training_set_sha256=training_set_hash(training),
        training_set_size=len(training),
        sha256=sha256_of_file(path),
        units=UNITS,
    )
    write_json(path.with_name(CARD_NAME), asdict(card))


def write_given_potential(source: Path, path: Path, species: Sequence[str]) -> None:
    """Take over a ready potential, with a card of what is known of it.

    Raises:
        FileError: it is no potential, or of another number of species.
    """
    potential = read_potential_file(source)
    if potential.species_count != len(species):
        raise FileError(
            f"{source} has {potential.species_count} species, but the chemical system has {len(species)}: "
            f"{', '.join(species)}; give a potential of all of them, in this order"
        )
    with replacing(path) as temporary:
        temporary.write_bytes(source.read_bytes())
    card = PotentialCard(list(species), None, None, None, 0, sha256_of_file(path), UNITS)
    write_json(path.with_name(CARD_NAME), asdict(card))


def read_potential_file(path: Path) -> mtpcore.Potential:
    """A potential.

    Raises:
        FileError: missing, or not a moment tensor potential.
    """
    try:
        return mtpcore.read_potential(path)
    except (mtpcore.MtpcoreError, ValueError, OSError) as error:
        raise FileError(f"{path} is no moment tensor potential: {error}") from None


def read_card(path: Path) -> PotentialCard:
    """The card of a potential.

    Args:
        path: The potential's file.

    Raises:
        FileError: the card is missing or damaged, or belongs to another file.
    """
    content = read_json(path.with_name(CARD_NAME))
    try:
        card = PotentialCard(**content)
    except TypeError as error:
        raise FileError(f"{path.with_name(CARD_NAME)} is no card of a potential: {error}") from None
    if card.sha256 != sha256_of_file(path):
        raise FileError(f"{path.with_name(CARD_NAME)} belongs to another potential than {path.name} beside it")
    return card
