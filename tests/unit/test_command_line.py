"""The words after scripts/run."""

from pathlib import Path

import pytest

from argyro.campaign.command_line import parse
from argyro.campaign.run import snakemake_command, targets
from argyro.common.errors import ConfigError


def test_own_options_come_first_and_the_rest_is_snakemakes() -> None:
    line = parse(["--preset", "xtb", "--status", "-n", "--preset"])
    assert (line.preset, line.status, line.snakemake) == ("xtb", True, ["-n", "--preset"])


@pytest.mark.parametrize(
    "words",
    [
        ["labels", "--configfile", "my.yaml", "--config", "seed=2", "labels.backend=mtp", "-n"],
        ["--configfile=my.yaml", "--config=seed=2", "--config", "labels.backend=mtp", "labels", "-n"],
        ["--configfiles", "my.yaml", "labels", "-C", "seed=2", "labels.backend=mtp", "-n"],
    ],
)
def test_target_configfile_and_config_survive_together(words: list[str]) -> None:
    line = parse(words)
    assert line.configfile == Path("my.yaml")
    assert line.assignments == ["seed=2", "labels.backend=mtp"]
    assert line.snakemake == ["labels", "-n"]


def test_config_takes_no_target() -> None:
    assert parse(["--config", "seed=2", "structures"]).snakemake == ["structures"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--preset"], "--preset needs a value"),
        (["--configfile"], "--configfile needs a value"),
        (["--configfile", "-n"], "--configfile needs a value"),
        (["--preset", "xtb", "--configfile", "my.yaml"], "are given together"),
        (["--configfile", "a.yaml", "--configfile", "b.yaml"], "given twice"),
    ],
)
def test_wrong_words_are_named(words: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse(words)


def test_report_is_a_word_of_ours() -> None:
    line = parse(["report", "labels"])
    assert line.report
    assert line.snakemake == ["labels"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], False),
        (["-n"], False),
        (["--cores", "2"], False),
        (["--cores=2", "labels"], True),
        (["labels", "-n"], True),
        (["-k", "--", "labels"], True),
    ],
)
def test_targets_are_told_from_values_of_options(words: list[str], *, expected: bool) -> None:
    assert bool(targets(parse(words))) is expected


def test_local_profile_is_the_default() -> None:
    def profiles(words: list[str]) -> list[str]:
        command = snakemake_command(parse(words), Path("/r"), Path("/r/config.yaml"))
        return [word.rpartition("/")[2] for word in command if word.startswith("--profile")]

    assert profiles([]) == ["local"]
    assert profiles(["--profile=local"]) == ["local"]
    assert profiles(["--profile", "mine/there", "labels"]) == ["there"]
