"""The words after ``scripts/run``: its own options, the configuration, and what goes on to Snakemake."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from argyro.common.errors import ConfigError

DEFAULT_PRESET = "quickstart"
TARGET_PRESETS = {"published_continuum": "published"}  # targets that are meant with settings of their own
USAGE = """\
usage: scripts/run [--preset NAME] [--with EXTRA]... [--status] [--submit] [--orphans wait|cancel]
                   [Snakemake arguments and targets]

Makes the environment if it is missing or stale, then runs the campaign and says where its report is.

own options, which come first:
  --preset NAME    settings of config/NAME.yaml (default: quickstart)
  --with EXTRA     add dft (GPAW) or teacher (SevenNet) to the environment, once and for all
  --status         show how far the campaign is, by stage, and do nothing
  --submit         with a profile for Slurm: run the driver itself as a small job, so that it outlives this session
  --orphans HOW    with a profile for Slurm: wait (default) for jobs whose driver was killed, or cancel them
  --help           show this text

of Snakemake's arguments (snakemake --help) these are the ones to know:
  -n               say what would be done
  --configfile F   your own settings instead of a preset's
  --config K=V...  single settings, such as seed=2 or structures.seeds.count=5
  --profile NAME   how and where jobs run: a folder of profiles/ (default: local) or your own

targets: a stage (structures, labels, continuum), any file of the campaign's folder, or nothing for all; bulk,
boundaries or polycrystal for the diffusivities of these alone; `report` makes report.html, and is implied where no
target is given; published_continuum takes the preset published.
"""
ORPHANS = ("wait", "cancel")
WITH_CONFIGFILE = ("--configfile", "--configfiles")
WITH_CONFIG = ("--config", "-C")


@dataclass
class CommandLine:
    """What the user asked for.

    Attributes:
        preset: Name of a preset, if one was given.
        configfile: The user's own settings, if given.
        assignments: Single settings, ``KEY=VALUE``.
        profile: Snakemake's profile, if given: a name or a folder.
        status: Whether to show the progress only.
        submit: Whether the driver is to be a job of Slurm.
        orphans: What becomes of jobs whose driver is gone: ``wait`` or ``cancel``.
        help: Whether to show the usage only.
        report: Whether the report was asked for.
        snakemake: Everything else, in its order.
    """

    preset: str | None = None
    configfile: Path | None = None
    assignments: list[str] = field(default_factory=list)
    profile: str | None = None
    status: bool = False
    submit: bool = False
    orphans: str = ORPHANS[0]
    help: bool = False
    report: bool = False
    snakemake: list[str] = field(default_factory=list)

    def has(self, *options: str) -> bool:
        """Whether any of these options goes to Snakemake."""
        return any(word in options or word.partition("=")[0] in options for word in self.snakemake)


def parse(words: Sequence[str]) -> CommandLine:
    """Read the words after ``scripts/run``.

    Raises:
        ConfigError: an option lacks its value, or ``--preset`` and ``--configfile`` are given together.
    """
    line = CommandLine()
    rest = _own_options(list(words), line)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in WITH_CONFIGFILE:
            _set_configfile(line, value if equals else _value_of(name, rest))
        elif name in WITH_CONFIG:
            line.assignments += [value] if equals else _take_assignments(name, rest)
        elif name == "--profile":
            line.profile = value if equals else _value_of(name, rest)
        elif word == "report":
            line.report = True
        else:
            line.snakemake.append(word)
    if line.preset is not None and line.configfile is not None:
        raise ConfigError(
            f"--preset {line.preset} and --configfile {line.configfile} are given together, and only one can lie on "
            "top of config/default.yaml; copy what you need of the preset into your file"
        )
    return line


def _own_options(words: list[str], line: CommandLine) -> list[str]:
    """Take the leading own options; the words after them."""
    while words:
        name, equals, value = words[0].partition("=")
        if name == "--preset":
            words.pop(0)
            line.preset = value if equals else _value_of(name, words)
        elif name == "--status":
            words.pop(0)
            line.status = True
        elif name == "--submit":
            words.pop(0)
            line.submit = True
        elif name == "--orphans":
            words.pop(0)
            line.orphans = _orphans(value if equals else _value_of(name, words))
        elif name in {"--help", "-h"}:
            words.pop(0)
            line.help = True
        else:
            break
    return words


def _orphans(how: str) -> str:
    if how not in ORPHANS:
        raise ConfigError(f"--orphans {how}: allowed: {', '.join(ORPHANS)}")
    return how


def _value_of(name: str, words: list[str]) -> str:
    if not words or words[0].startswith("-"):
        raise ConfigError(f"{name} needs a value")
    return words.pop(0)


def _set_configfile(line: CommandLine, name: str) -> None:
    if line.configfile is not None:
        raise ConfigError("--configfile is given twice; a campaign has one file on top of config/default.yaml")
    line.configfile = Path(name)


def _take_assignments(name: str, words: list[str]) -> list[str]:
    """The words up to the first one that is no ``KEY=VALUE``."""
    taken = []
    while words and "=" in words[0] and not words[0].startswith("-"):
        taken.append(words.pop(0))
    if not taken:
        raise ConfigError(f"{name} {' '.join(words[:1])}: expected KEY=VALUE, such as structures.seeds.count=5")
    return taken
