"""``python -m mtpcore select``: choose an active set, or what to add to the training data."""

import argparse
from pathlib import Path

import numpy as np

from .active_set import SelectionResult, select, select_add
from .cli import add_common_arguments, positive, say
from .errors import MtpcoreError
from .maxvol import DEFAULT_THRESHOLD
from .potential import Potential, read_potential, write_potential
from .structure_files import read_configurations, write_configurations


def _threshold(text: str) -> float:
    value = float(text)
    if not value >= DEFAULT_THRESHOLD:
        raise argparse.ArgumentTypeError(f"must be at least {DEFAULT_THRESHOLD}, not {text}")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("potential", type=Path, help=".mtp or .almtp file")
    parser.add_argument("training", type=Path, help=".cfg or .extxyz file of the training data")
    parser.add_argument("--output", type=Path, required=True, help="the .almtp file to write")
    parser.add_argument("--candidates", type=Path, help="choose from these what to add to the training data")
    parser.add_argument("--selected", type=Path, help="write the chosen candidates there")
    parser.add_argument(
        "--threshold", type=_threshold, default=DEFAULT_THRESHOLD,
        help="grade above which a candidate is considered (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--limit", type=positive, help="most candidates to choose")
    parser.add_argument(
        "--mode", choices=("neighborhood", "configuration"),
        help="choose among these (default: as the active set of the potential does, else neighborhood)",
    )  # fmt: skip
    add_common_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Choose and write; returns the exit code."""
    if options.candidates is None and options.selected is not None:
        raise MtpcoreError("--selected needs --candidates")
    _check_almtp(options.output)
    potential = read_potential(options.potential)
    training = read_configurations(options.training, options.species)
    if options.candidates is None:
        selected = select(potential, training, mode=options.mode or "neighborhood", threads=options.threads)
        _write_selection(options.output, selected)
        return 0
    candidates = read_configurations(options.candidates, options.species)
    result = select_add(
        potential, training, candidates,
        threshold=options.threshold, limit=options.limit, mode=options.mode, threads=options.threads,
    )  # fmt: skip
    _print_result(result)
    if options.selected is not None:
        write_configurations(options.selected, [candidates[index] for index in result.selected], options.species)
    _write_selection(options.output, result.potential)
    return 0


def _check_almtp(path: Path) -> None:
    if path.suffix != ".almtp":
        raise MtpcoreError(f"{path}: the name of a potential with an active set ends in .almtp")


def _write_selection(path: Path, potential: Potential) -> None:
    write_potential(path, potential)
    active_set = potential.active_set
    links = active_set.configuration_index if active_set is not None else np.empty(0)
    real = links[links >= 0]
    say(f"{path}: {len(real)} of {len(links)} rows from {len(np.unique(real))} configurations")


def _print_result(result: SelectionResult) -> None:
    table = result.table
    say(f"{'candidate':>9} {'selected':>8} {'rows':>5} {'grade before':>13} {'grade after':>12}")
    for index, rows in enumerate(table["selected_atoms"]):
        before, after = table["grade_before"][index], table["grade_after"][index]
        word = "yes" if table["selected"][index] else "no"
        say(f"{index:9d} {word:>8} {rows:5d} {before:13.6g} {after:12.6g}")
