"""Command line: ``python -m mtpcore COMMAND ...``."""

import sys

from .cli import COMMANDS, run_command


def usage() -> str:
    """The commands, one a line."""
    lines = ["usage: python -m mtpcore COMMAND [options]", "", "commands:"]
    lines += [f"  {name:12}{text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join([*lines, "", "python -m mtpcore COMMAND --help describes one command."])


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    name = arguments[0] if arguments else "--help"
    if name in {"-h", "--help"}:
        print(usage())  # noqa: T201  command line
        return 0 if arguments else 2
    if name not in COMMANDS:
        print(f"unknown command {name!r}\n\n{usage()}", file=sys.stderr)  # noqa: T201  command line
        return 2
    return run_command(name, arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
