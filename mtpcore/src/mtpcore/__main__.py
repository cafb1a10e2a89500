"""Command line: ``python -m mtpcore COMMAND ...``."""

import argparse
import importlib
import sys

# Command: the module with its add_arguments(parser) and run(options), and what it does
COMMANDS = {
    "doctor": ("mtpcore.doctor", "check what is installed and run known answers"),
    "bench": ("mtpcore.bench", "print the speed by level, side by side with motep"),
}


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
        print(f"unknown command {name!r}\n\n{usage()}", file=sys.stderr)  # noqa: T201
        return 2
    module = importlib.import_module(COMMANDS[name][0])
    parser = argparse.ArgumentParser(prog=f"python -m mtpcore {name}", description=module.__doc__)
    module.add_arguments(parser)
    code: int = module.run(parser.parse_args(arguments[1:]))
    return code


if __name__ == "__main__":
    sys.exit(main())
