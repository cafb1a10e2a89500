"""``scripts/run``: check the configuration, then let Snakemake do what is missing."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from itertools import pairwise
from pathlib import Path
from types import FrameType

import yaml

from argyro.common.errors import ArgyroError, ConfigError
from argyro.common.files import write_text
from argyro.config.load import ROOT, dump, load_files, preset_file
from argyro.config.model import Config

from .command_line import DEFAULT_PRESET, TARGET_PRESETS, USAGE, CommandLine, parse
from .driver import driving, require_no_driver
from .folder import RUN_VARIABLE, campaign_folder, clear_leftovers, exclusive
from .inputs import check_inputs
from .report import make_report
from .sbatch import LOG as SLURM_LOG
from .shift import Shift, submit_driver
from .slurm import (
    driver_environment,
    job_prefix,
    profile_folder,
    require_shared,
    require_slurm,
    settle_orphans,
    uses_slurm,
)
from .status import progress_table

LOOKING_ONLY = (
    *("-n", "--dry-run", "--dryrun", "--dag", "--rulegraph", "--filegraph", "--d3dag", "--summary", "-S"),
    *("--detailed-summary", "-D", "--list-rules", "-l", "--list", "--list-target-rules", "--lt", "--lint"),
    *("--list-changes", "--lc", "--version", "-v"),
)
WITHOUT_LABELS = "reference_teachers"  # a target that makes none: it needs no backend's package
EXIT_WRONG_INPUT, EXIT_INTERRUPTED = 2, 130
ENDING_SECONDS = 15.0  # that Snakemake has when the driver hands on


def main(words: Sequence[str]) -> int:
    """Run what the words after ``scripts/run`` ask for; the exit status."""
    try:
        line = parse(words)
        if line.help:
            print(USAGE, end="")  # noqa: T201  asked for
            return 0
        return _run(line, [word for word in words if word != "--submit"])
    except KeyboardInterrupt:  # while orphans are waited for
        return EXIT_INTERRUPTED
    except ArgyroError as error:
        _say(f"error: {error}")
        return EXIT_WRONG_INPUT


def _run(line: CommandLine, words: Sequence[str]) -> int:
    overlay = line.configfile or preset_file(line.preset or default_preset(line))
    config = load_files(overlay, line.assignments)
    check_inputs(config, labels=targets(line) != [WITHOUT_LABELS])
    folder = campaign_folder(config.campaign)
    if line.status or line.has(*LOOKING_ONLY):
        return _look(line, config, folder)
    on_slurm = uses_slurm(profile_folder(line.profile), line.snakemake)
    if on_slurm:
        require_slurm(_say)
        require_shared([ROOT, Path(sys.prefix), folder])
    if line.submit:
        return _submit(line, folder, words, on_slurm=on_slurm)
    prefix = job_prefix(folder) if on_slurm else ""
    with exclusive(folder), driving(folder, prefix, _teller(folder / SLURM_LOG)) as left:
        shift = Shift()
        if (prefix or left) and not settle_orphans(prefix or left, line.orphans, _say, shift.is_over):
            while not shift.hand_on(folder, _say):
                time.sleep(shift.seconds_left() or 0.0)
            return 0
        for sentence in clear_leftovers(folder):
            _say(sentence)
        file = folder / "config.yaml"
        _write_config(file, config)
        command = snakemake_command(line, folder, file)
        status = _call(command, folder, shift, on_slurm=on_slurm)
        if shift.successor:
            return 0
        if status != 0:
            _say(f"not finished (Snakemake's exit status {status}); run the same command again to go on from here")
            return status
        if line.report or not targets(line):
            _say(f"report: {make_report(command, folder, config)}")
        return 0


def _submit(line: CommandLine, folder: Path, words: Sequence[str], *, on_slurm: bool) -> int:
    """Send the driver to Slurm."""
    if not on_slurm:
        raise ConfigError("--submit sends the driver to Slurm: name a profile that does the same, --profile slurm")
    require_no_driver(folder)
    job = submit_driver(folder, profile_folder(line.profile), words)
    _say(
        f"the driver of the campaign is job {job}, its log {folder}/logs/driver-{job}.log; to see how far it is: "
        f"scripts/run --status; to stop it and its jobs: scancel --full --signal=INT {job}"
    )
    return 0


def _teller(log: Path) -> Callable[[], None]:
    """A function that tells what is new in a log."""
    known = log.stat().st_size if log.exists() else 0

    def tell() -> None:
        nonlocal known
        if log.exists():
            text = log.read_text(encoding="utf-8")
            for sentence in text[known:].splitlines():
                _say(sentence)
            known = len(text)

    return tell


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
            return _call(command, folder, Shift())


def snakemake_command(line: CommandLine, folder: Path, config_file: Path) -> list[str]:
    """Snakemake's command line for a campaign.

    Args:
        line: What the user asked for.
        folder: The campaign's folder.
        config_file: The whole configuration. It is passed with ``=``, as targets after it would be taken for files too.
    """
    command = [
        sys.executable,
        "-P",
        "-m",
        "argyro.campaign.scheduler",
        f"--snakefile={ROOT / 'Snakefile'}",
        f"--directory={folder}",
    ]
    profile = profile_folder(line.profile)
    command += [f"--configfile={config_file}", f"--profile={profile}"]
    if uses_slurm(profile, line.snakemake):
        command.append(f"--slurm-jobname-prefix={job_prefix(folder)}")
    return command + line.snakemake


def default_preset(line: CommandLine) -> str:
    """The preset where the user named none: that of the target, if it has one of its own."""
    own = [TARGET_PRESETS[word] for word in line.snakemake if word in TARGET_PRESETS]
    return own[0] if own else DEFAULT_PRESET


def targets(line: CommandLine) -> list[str]:
    """Targets that the user named, as far as words tell: values of Snakemake's options may be taken for some."""
    words = ["", *line.snakemake]
    return [
        word
        for before, word in pairwise(words)
        if not word.startswith("-") and (not before.startswith("-") or "=" in before or before == "--")
    ]


def _write_config(file: Path, config: Config) -> None:
    text = "# The whole configuration of this campaign, written by scripts/run.\n" + yaml.safe_dump(
        dump(config), sort_keys=False, allow_unicode=True
    )
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_text(file, text)


def _call(command: Sequence[str], folder: Path, shift: Shift, *, on_slurm: bool = False) -> int:
    """Run Snakemake, passing on a request to end; its exit status."""
    own = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment = (driver_environment() if on_slurm else os.environ | own) | {RUN_VARIABLE: str(folder)}
    # A group of its own: a terminal or a batch system signals whole groups, and Snakemake may hang when told twice
    process = subprocess.Popen(command, env=environment, process_group=0)  # noqa: S603  our own
    told: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        told.append(number)
        process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    while True:
        try:
            return process.wait(None if told else shift.seconds_left())
        except subprocess.TimeoutExpired:
            if not told and shift.hand_on(folder, _say):
                break
    status = _end(process)
    if told:  # in the meantime
        shift.recall()
    return status


def _end(process: subprocess.Popen[bytes]) -> int:
    """End Snakemake and what it is about to submit, but not its jobs; its exit status."""
    process.terminate()  # what has ended by now is noted, and nothing new begun
    with suppress(subprocess.TimeoutExpired):
        return process.wait(ENDING_SECONDS)
    os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _say(text: str) -> None:
    print(f"argyro: {text}", file=sys.stderr, flush=True)  # noqa: T201  talks to the user


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
