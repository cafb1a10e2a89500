"""What the commands of ``python -m mtpcore`` share."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from .errors import MtpcoreError

# Command: the module with its add_arguments(parser) and run(options), and what it does
COMMANDS: dict[str, tuple[str, str]] = {
    "fit": ("mtpcore.cli_fit", "fit a potential to labelled structures"),
    "grade": ("mtpcore.cli_grade", "extrapolation grades of structures"),
    "select": ("mtpcore.cli_select", "choose an active set, or what to add to the training data"),
    "upconvert": ("mtpcore.cli_upconvert", "the same potential at a higher level"),
    "convert": ("mtpcore.cli_convert", "change the format of structures or potentials"),
    "doctor": ("mtpcore.doctor", "check what is installed and run known answers"),
    "bench": ("mtpcore.bench", "print the speed by level, side by side with motep"),
}


def run_command(name: str, arguments: Sequence[str]) -> int:
    """Run one of the commands; errors are one line on stderr.

    Args:
        name: A key of ``COMMANDS``.
        arguments: The rest of the command line.

    Returns:
        The command's exit code, 1 after an error; wrong usage exits with 2.
    """
    module = importlib.import_module(COMMANDS[name][0])
    parser = argparse.ArgumentParser(prog=f"python -m mtpcore {name}", description=module.__doc__)
    module.add_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        code: int = module.run(options)
    except (MtpcoreError, OSError, ValueError, RuntimeError) as error:
        print(f"mtpcore: error: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201  command line
        return 1
    return code


def say(line: str) -> None:
    """A line on stdout."""
    print(line)  # noqa: T201  command line


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what all commands on structures take."""
    parser.add_argument(
        "--species", nargs="+", metavar="ELEMENT", help="elements in the order of the potential's species, for extxyz"
    )
    parser.add_argument("--threads", type=positive, help="threads over atoms")


def positive(text: str) -> int:
    """A whole number above 0 given as an argument."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return value
