"""``scripts/plan``: what a campaign would cost, before anything runs, and what it did cost, afterwards."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from argyro.common.errors import ArgyroError
from argyro.common.files import read_json, write_json
from argyro.config.load import load_files, preset_file
from argyro.config.model import Config

from .actual import calibrate, compare, format_actual
from .command_line import DEFAULT_PRESET
from .costs import SHIPPED, Cost, read_costs
from .folder import campaign_folder
from .plan import format_plan, plan

NAME = "plan.json"  # in the campaign's folder
EXIT_WRONG_INPUT = 2
DEFAULT_CORES = (16, 128, 1024)
DESCRIPTION = """\
What a campaign would cost: jobs, core-hours, GPU-hours, disk and time, by stage. Counts are exact where Snakemake's
graph shows the jobs, and estimates behind its checkpoints, where a range is given as well; hours and disk are estimates
by what jobs cost in earlier runs, and what has never run is said."""


def main(words: Sequence[str]) -> int:
    """Do what the words after ``scripts/plan`` ask for; the exit status."""
    try:
        asked = _parser().parse_args(list(words))
        config = load_files(_overlay(asked.campaign), asked.config)
        text = calibrate(config, asked.calibrate) if asked.calibrate is not None else _plan(config, asked)
    except ArgyroError as error:
        print(f"argyro: error: {error}", file=sys.stderr)  # noqa: T201  talks to the user
        return EXIT_WRONG_INPUT
    print(text)  # noqa: T201  asked for
    return 0


def _plan(config: Config, asked: argparse.Namespace) -> str:
    """Plan, and compare if asked to; what there is to say."""
    costs, cores = read_costs(asked.costs), asked.cores or DEFAULT_CORES
    file = campaign_folder(config.campaign) / NAME
    if asked.actual:
        content = _plan_before(file, config, costs, cores)
        content["actual"] = compare(config, costs, content)
        text = format_actual(content["actual"])
    else:
        content = plan(config, costs, cores)
        text = format_plan(content)
    for path in (file, *([asked.json] if asked.json else [])):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, content)
    return text


def _plan_before(file: Path, config: Config, costs: dict[str, Cost], cores: Sequence[int]) -> dict[str, Any]:
    """The plan that was made before the campaign ran, or the one that would have been."""
    content = read_json(file) if file.exists() else None
    return content if isinstance(content, dict) else plan(config, costs, cores)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/plan", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("campaign", nargs="?", default=DEFAULT_PRESET, help="a preset, or a file of settings")
    parser.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", help="single settings")
    parser.add_argument("--cores", type=_positive, action="append", help="also the time on so many; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the plan as JSON as well")
    parser.add_argument("--costs", type=Path, default=SHIPPED, metavar="FILE", help="table of costs (default: shipped)")
    parser.add_argument("--actual", action="store_true", help="after a run: plan against actual, by rule")
    parser.add_argument("--calibrate", type=Path, metavar="FILE", help="after a run: write its costs into a table")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of cores")
    return int(text)


def _overlay(campaign: str) -> Path:
    path = Path(campaign)
    return path if path.suffix in {".yaml", ".yml"} or path.exists() else preset_file(campaign)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
