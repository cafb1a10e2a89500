"""``python -m mtpcore fit``."""

import argparse
import csv
import logging
import os
import subprocess
import sys
from pathlib import Path

from .cli import positive
from .configuration import Configuration
from .fit import FitResult, FitSettings, fit
from .fitting_problem import FitWeights
from .methods import METHODS
from .potential import Potential, new_potential, read_potential, write_potential
from .structure_files import read_configurations

UNFINISHED = 75  # exit code of a segment that leaves more to do (EX_TEMPFAIL of sysexits.h)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "training_set", nargs="+", type=Path, help="labelled structures: .cfg, or extxyz with --species"
    )
    parser.add_argument("--output", type=Path, required=True, help="the fitted potential (.mtp)")
    parser.add_argument("--species", nargs="+", help="elements in the order of the potential's species")
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument("--start", type=Path, help="potential to start from: trained (warm) or a template (cold)")
    start.add_argument("--level", type=int, help="level of a new potential (cold start)")
    parser.add_argument("--species-count", type=int, help="of a new potential (default: the number of --species)")
    parser.add_argument("--min-dist", type=float, default=1.5, help="of a new potential, angstrom (default 1.5)")
    parser.add_argument("--max-dist", type=float, default=5.0, help="of a new potential, angstrom (default 5)")
    parser.add_argument("--radial-basis-size", type=int, default=8, help="of a new potential (default 8)")
    weights, settings = FitWeights(), FitSettings()
    parser.add_argument("--energy-weight", type=float, default=weights.energy)
    parser.add_argument("--force-weight", type=float, default=weights.force, help="angstrom^2")
    parser.add_argument("--stress-weight", type=float, default=weights.stress)
    parser.add_argument(
        "--weight-scaling", type=float, default=weights.energy_scaling, help="MLIP's, for energy and stress"
    )
    parser.add_argument("--weight-scaling-forces", type=float, default=weights.force_scaling, help="MLIP's, for forces")
    parser.add_argument("--method", choices=list(METHODS), default=settings.method)
    parser.add_argument("--max-iterations", type=int, help="accepted steps (default: 300, bfgs 5000)")
    parser.add_argument("--tolerance", type=float, default=settings.tolerance)
    parser.add_argument("--seed", type=int, default=settings.seed)
    parser.add_argument("--hops", type=int, default=settings.hops, help="search of a cold start")
    parser.add_argument("--regularization", type=float, default=settings.regularization, help="of radial coefficients")
    parser.add_argument("--threads", type=positive, help="threads over configurations")
    parser.add_argument("--checkpoint", type=Path, help="state of the fit; an existing one is resumed")
    parser.add_argument(
        "--segment-iterations", type=positive, help="iterations between checkpoints (default: 25, bfgs 1000)"
    )
    parser.add_argument(
        "--one-segment", action="store_true", help=f"do one segment; exit code {UNFINISHED}: more to do"
    )
    parser.add_argument("--history", type=Path, help="table of iterations (CSV)")


def run(options: argparse.Namespace) -> int:
    """Fit; with a checkpoint, one segment after another, each in a fresh process."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.checkpoint is not None and not options.one_segment:
        return _run_segments()
    configurations = [c for path in options.training_set for c in read_configurations(path, options.species)]
    result = _fit(options, configurations)
    if sys.stderr.isatty():
        print(file=sys.stderr)  # noqa: T201  end of the progress line
    if result.reason == "segment":
        return UNFINISHED
    write_potential(options.output, result.potential)
    if options.history is not None:
        _write_history(options.history, result)
    print(  # noqa: T201  command line
        f"{options.output}: {result.reason}, loss {result.loss:.6g}, "
        f"energy {1000 * result.errors.energy_per_atom:.4g} meV/atom, force {result.errors.force:.4g} eV/angstrom"
    )
    return 0


def _run_segments() -> int:
    """This very command again with --one-segment until it is done."""
    while True:
        command = [sys.executable, "-m", "mtpcore", *sys.argv[1:], "--one-segment"]
        code = subprocess.run(command, check=False).returncode  # noqa: S603  our own command line
        if code != UNFINISHED:
            return code


def _fit(options: argparse.Namespace, configurations: list[Configuration]) -> FitResult:
    weights = FitWeights(
        options.energy_weight,
        options.force_weight,
        options.stress_weight,
        options.weight_scaling,
        options.weight_scaling_forces,
    )
    settings = FitSettings(
        weights=weights,
        method=options.method,
        max_iterations=options.max_iterations,
        tolerance=options.tolerance,
        seed=options.seed,
        hops=options.hops,
        regularization=options.regularization,
        threads=options.threads,
    )
    segment = options.segment_iterations or METHODS[settings.method].segment
    return fit(
        _start(options),
        configurations,
        settings=settings,
        checkpoint=options.checkpoint,
        segment_iterations=segment if options.one_segment else None,
    )


def _start(options: argparse.Namespace) -> Potential:
    if options.start is not None:
        return read_potential(options.start)
    count = options.species_count or len(options.species or [])
    if count == 0:
        raise ValueError("a new potential needs --species or --species-count")
    return new_potential(
        options.level,
        count,
        min_dist=options.min_dist,
        max_dist=options.max_dist,
        radial_basis_size=options.radial_basis_size,
    )


def _write_history(path: Path, result: FitResult) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(result.history)
        writer.writerows(zip(*(column.tolist() for column in result.history.values()), strict=True))
    temporary.replace(path)
