"""``python -m mtpcore grade``: extrapolation grades of structures."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .active_set import grade
from .cli import add_common_arguments, say
from .configuration import Configuration
from .potential import read_potential
from .structure_files import read_configurations, write_configurations

type FloatArray = npt.NDArray[np.float64]

GRADE_FEATURE = "MV_grade"  # MLIP's name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("potential", type=Path, help=".almtp file")
    parser.add_argument("structures", type=Path, help=".cfg or .extxyz file")
    parser.add_argument("--output", type=Path, help="write the structures with their grades (nbh_grades)")
    add_common_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print the grades; returns the exit code."""
    configurations = read_configurations(options.structures, options.species)
    grades = grade(read_potential(options.potential), configurations, threads=options.threads)
    say(f"{'configuration':>13} {'atoms':>6} {'grade':>12} {'atom':>6}")
    for index, (configuration, values) in enumerate(zip(configurations, grades, strict=True)):
        atom = str(int(values.argmax())) if len(values) == len(configuration.types) else "-"
        say(f"{index:13d} {len(configuration.types):6d} {values.max():12.6g} {atom:>6}")
    if options.output is not None:
        graded = [_graded(c, values) for c, values in zip(configurations, grades, strict=True)]
        write_configurations(options.output, graded, options.species)
    return 0


def _graded(configuration: Configuration, grades: FloatArray) -> Configuration:
    features = {**configuration.features, GRADE_FEATURE: repr(float(grades.max()))}
    per_atom = grades if len(grades) == len(configuration.types) else None
    return replace(configuration, grades=per_atom, features=features)
