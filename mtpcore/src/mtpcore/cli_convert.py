"""``python -m mtpcore convert``: change the format of structures or potentials."""

import argparse
from pathlib import Path

from .cli import say
from .errors import MtpcoreError
from .potential import read_potential, write_potential
from .structure_files import read_configurations, write_configurations

POTENTIALS = (".mtp", ".almtp")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("source", type=Path, help=".cfg, .extxyz, .mtp or .almtp file")
    parser.add_argument("target", type=Path, help="file to write; its suffix says what")
    parser.add_argument("--species", nargs="+", metavar="ELEMENT", help="elements of the species 0, 1, ..., for extxyz")


def run(options: argparse.Namespace) -> int:
    """Convert and write; returns the exit code."""
    if options.source.suffix not in POTENTIALS:
        configurations = read_configurations(options.source, options.species)
        write_configurations(options.target, configurations, options.species)
        say(f"{options.target}: {len(configurations)} configurations")
        return 0
    potential = read_potential(options.source)
    if options.target.suffix not in POTENTIALS:
        raise MtpcoreError(f"{options.target}: the name of a potential ends in .mtp or .almtp")
    if options.target.suffix == ".mtp":
        potential.active_set = None
    elif potential.active_set is None:
        raise MtpcoreError(f"{options.source} holds no active set, which makes an .almtp file: use 'select'")
    write_potential(options.target, potential)
    say(f"{options.target}: {potential.parameter_count} parameters")
    return 0
