"""``python -m mtpcore upconvert``: the same potential at a higher level."""

import argparse
from pathlib import Path

from .cli import positive, say
from .potential import read_potential, write_potential
from .upconvert import upconvert


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("potential", type=Path, help=".mtp or .almtp file with coefficients")
    parser.add_argument("level", type=int, help="level of the new potential")
    parser.add_argument("--output", type=Path, required=True, help="the .mtp file to write")
    parser.add_argument("--radial-basis-size", type=positive, help="Chebyshev polynomials per radial function")
    parser.add_argument("--species-count", type=positive, help="number of species")
    parser.add_argument("--seed", type=int, default=0, help="of the new radial functions (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    """Convert and write; returns the exit code."""
    result = upconvert(
        read_potential(options.potential), options.level,
        radial_basis_size=options.radial_basis_size, species_count=options.species_count, seed=options.seed,
    )  # fmt: skip
    write_potential(options.output, result)
    say(f"{options.output}: level {options.level}, {result.parameter_count} parameters")
    return 0
