"""``scripts/run``: check the configuration, then let Snakemake do what is missing."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from types import FrameType

import yaml

from argyro.common.errors import ArgyroError
from argyro.common.files import write_text
from argyro.config.load import ROOT, dump, load_files, preset_file
from argyro.config.model import Config

from .command_line import DEFAULT_PRESET, TARGET_PRESETS, USAGE, CommandLine, parse
from .folder import RUN_VARIABLE, campaign_folder, clear_leftovers, exclusive
from .inputs import check_inputs
from .report import make_report
from .status import progress_table

LOOKING_ONLY = (
    *("-n", "--dry-run", "--dryrun", "--dag", "--rulegraph", "--filegraph", "--d3dag", "--summary", "-S"),
    *("--detailed-summary", "-D", "--list-rules", "-l", "--list", "--list-target-rules", "--lt", "--lint"),
    *("--list-changes", "--lc", "--version", "-v"),
)
EXIT_WRONG_INPUT = 2


def main(words: Sequence[str]) -> int:
    """Run what the words after ``scripts/run`` ask for; the exit status."""
    try:
        line = parse(words)
        if line.help:
            print(USAGE, end="")  # noqa: T201  asked for
            return 0
        return _run(line)
    except ArgyroError as error:
        _say(f"error: {error}")
        return EXIT_WRONG_INPUT


def _run(line: CommandLine) -> int:
    overlay = line.configfile or preset_file(line.preset or default_preset(line))
    config = load_files(overlay, line.assignments)
    check_inputs(config)
    folder = campaign_folder(config.campaign)
    if line.status or line.has(*LOOKING_ONLY):
        return _look(line, config, folder)
    with exclusive(folder):
        for sentence in clear_leftovers(folder):
            _say(sentence)
        file = folder / "config.yaml"
        _write_config(file, config)
        command = snakemake_command(line, folder, file)
        status = _call(command, folder)
        if status != 0:
            _say(f"not finished (Snakemake's exit status {status}); run the same command again to go on from here")
            return status
        if line.report or not has_targets(line):
            _say(f"report: {make_report(command, folder)}")
        return 0


def _look(line: CommandLine, config: Config, folder: Path) -> int:
    """What only looks at a campaign runs beside it and writes nothing into its folder."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "config.yaml"
        _write_config(file, config)
        # Snakemake makes the folder it works in: a look at a campaign that was never run leaves none behind
        place = nullcontext(str(folder)) if folder.exists() else tempfile.TemporaryDirectory()
        with place as directory:
            command = snakemake_command(line, Path(directory), file)
            if line.status:
                print(progress_table([*command, "--summary"]))  # noqa: T201  asked for
                return 0
            return _call(command, folder)


def snakemake_command(line: CommandLine, folder: Path, config_file: Path) -> list[str]:
    """Snakemake's command line for a campaign.

    Args:
        line: What the user asked for.
        folder: The campaign's folder.
        config_file: The whole configuration. It is passed with ``=``, as targets after it would be taken for files too.
    """
    command = [sys.executable, "-P", "-m", "snakemake", f"--snakefile={ROOT / 'Snakefile'}", f"--directory={folder}"]
    command += [f"--configfile={config_file}", f"--profile={_profile(line.profile or 'local')}"]
    return command + line.snakemake


def default_preset(line: CommandLine) -> str:
    """The preset where the user named none: that of the target, if it has one of its own."""
    own = [TARGET_PRESETS[word] for word in line.snakemake if word in TARGET_PRESETS]
    return own[0] if own else DEFAULT_PRESET


def has_targets(line: CommandLine) -> bool:
    """Whether the user named targets, as far as words tell: values of Snakemake's options may be taken for some."""
    words = ["", *line.snakemake]
    return any(
        not word.startswith("-") and (not before.startswith("-") or "=" in before) for before, word in pairwise(words)
    )


def _profile(name: str) -> str:
    """The folder of one of this checkout's profiles, else what the user gave."""
    folder = ROOT / "profiles" / name
    return str(folder) if "/" not in name and folder.is_dir() else name


def _write_config(file: Path, config: Config) -> None:
    text = "# The whole configuration of this campaign, written by scripts/run.\n" + yaml.safe_dump(
        dump(config), sort_keys=False, allow_unicode=True
    )
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_text(file, text)


def _call(command: Sequence[str], folder: Path) -> int:
    """Run Snakemake, passing on a request to end; its exit status."""
    environment = os.environ | {
        RUN_VARIABLE: str(folder),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    # A group of its own: a terminal or a batch system signals whole groups, and Snakemake may hang when told twice
    process = subprocess.Popen(command, env=environment, process_group=0)  # noqa: S603  our own

    def pass_on(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    return process.wait()


def _say(text: str) -> None:
    print(f"argyro: {text}", file=sys.stderr, flush=True)  # noqa: T201  talks to the user


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
