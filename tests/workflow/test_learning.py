"""Active learning as a campaign: closed by checkpoints, and none the worse for being killed."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mtpcore
from argyro.campaign.folder import _left_over
from argyro.common.extxyz import read_structures
from argyro.common.files import read_json

TIMEOUT = 900  # seconds; far more than any run here takes
KILLS = 10
TAIL = 6  # jobs at the end of a campaign that are over too soon to be killed in: those around the last fit
WELL_BEGUN = 15  # iterations of a fit: five segments, so that none of those that begin anew is taken for it
RUN = [sys.executable, "-P", "-m", "argyro.campaign.run"]
SETTINGS = """
campaign: test
materials:
  - {{id: Li6PS5Cl-25, formula: Li6PS5Cl, anion: Cl, exchange_percent: 25}}
structures:
  bulk: {{supercell: [2, 1, 1]}}
  seeds: {{count: 6}}
labels:
  backend: mtp
  mtp: {{potentials: {{LiPSCl: "{teacher}"}}}}
learning:
  ladder: [{ladder}]
  exploration: {{grade_every: 2, max_snapshots: 4}}
  fit: {{{fit}}}
"""
RUNG = (
    "{{level: {level}, temperatures_K: [300], duration_ps: 0.1, max_labels: 4, max_rounds: {rounds}, "
    "on_limit: {policy}}}"
)
BRIEF_FIT = "hops: 0, max_iterations: 15, tolerance: 0.01, min_dist_angstrom: 1.4"
OUTER_STOP = (
    "learning.outer_stop={diffusivity_of: ['*-bulk-*'], temperature_K: 300, equilibration_ps: 0, duration_ps: 2}",
)
LONG_FIT = (
    "hops: 0, max_iterations: 150, segment_iterations: 3, tolerance: 1.0e-6, holdout_fraction: 0.2, "
    "min_dist_angstrom: 1.4"
)


def ladder(*levels: int, rounds: int, policy: str = "continue") -> str:
    """Rungs that differ in their levels only."""
    return ", ".join(RUNG.format(level=level, rounds=rounds, policy=policy) for level in levels)


class Campaign:
    """A small campaign with a teacher of no physics: soft forces that hold nothing together."""

    def __init__(
        self, folder: Path, rounds: int = 3, policy: str = "continue", *, fit: str = BRIEF_FIT, results: str = "results"
    ) -> None:
        self.results = folder / results
        self.folder = self.results / "test"
        self.file = folder / "settings.yaml"
        teacher = folder / "teacher.mtp"
        bare = mtpcore.new_potential(4, 4, min_dist=1.0, max_dist=5.0)
        parameters = np.random.default_rng(1).normal(scale=0.01, size=bare.parameter_count)
        mtpcore.write_potential(teacher, mtpcore.set_parameters(bare, parameters))
        rungs = ladder(4, 6, rounds=rounds, policy=policy)
        self.file.write_text(SETTINGS.format(teacher=teacher, ladder=rungs, fit=fit))

    def start(self, *words: str, output: int = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*RUN, "--configfile", str(self.file), *words],
            env=os.environ | {"ARGYRO_RESULTS": str(self.results)},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, status: int = 0) -> str:
        process = self.start(*words)
        output, _ = process.communicate(timeout=TIMEOUT)
        assert process.returncode == status, output
        return output

    def planned(self, *words: str) -> dict[str, int]:
        """Rules that would run, and how often."""
        output = self.run("-n", *words)
        table = re.search(r"^job +count\n[- ]+\n(.*?)^total", output, re.MULTILINE | re.DOTALL)
        if table is None:
            assert "Nothing to be done" in output
            return {}
        return {rule: int(count) for rule, count in (line.split() for line in table.group(1).splitlines())}

    def labels(self) -> dict[str, tuple[int, int]]:
        """Inode and time of every stored label: a new calculation changes both."""
        return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in self.folder.glob("labels/[!.]*.extxyz")}

    def potential(self) -> bytes:
        """The final potential."""
        return (self.folder / "learning/LiPSCl/r0/potential.almtp").read_bytes()

    def jobs_done(self) -> int:
        """How many jobs have ended."""
        return sum(1 for _ in self.folder.rglob("benchmarks/**/*.tsv"))

    def fits_under_way(self) -> dict[Path, int]:
        """Checkpoints of fits that have not ended, and how many iterations they are after."""
        found = {}
        for file in self.folder.glob("learning/*/*/*/*/fit/fit.npz"):
            with suppress(FileNotFoundError), np.load(file) as checkpoint:
                found[file] = len(checkpoint["history_loss"])
        return found


def wait_for_fit(process: subprocess.Popen[str], campaign: Campaign) -> None:
    """Wait until a fit is well begun."""
    while max(campaign.fits_under_way().values(), default=0) < WELL_BEGUN:
        assert process.poll() is None, "the campaign ended before it could be killed"
        time.sleep(0.01)


def wait_for_jobs(
    process: subprocess.Popen[str], campaign: Campaign, jobs: int, pause: float, left: dict[Path, int]
) -> int:
    """Wait until so many jobs have ended, and for a pause after that, in seconds.

    Returns how many fits that the kill before left well begun were seen to go on from their checkpoint; these, and any
    that began anew, are taken out of ``left``.
    """
    resumed, end = 0, None
    while end is None or time.monotonic() < end:
        assert process.poll() is None, "the campaign ended before it could be killed"
        for file, iterations in campaign.fits_under_way().items():
            if iterations != left.get(file, iterations):
                resumed += iterations > left.pop(file)
        if end is None and campaign.jobs_done() >= jobs:
            end = time.monotonic() + pause
        time.sleep(0.02)
    return resumed


def test_plan_shows_the_next_round(tmp_path: Path) -> None:
    planned = Campaign(tmp_path).planned("learning")
    assert planned["fit_potential"] == planned["explore"] == planned["select_environments"] == 1
    assert {"write_ledger", "join_ledgers", "finish_potential"} <= set(planned)


def test_every_repeat_has_jobs_of_its_own(tmp_path: Path) -> None:
    once, twice = (Campaign(tmp_path).planned("learning", "--config", f"learning.repeats={n}") for n in (1, 2))
    own = ("fit_potential", "explore", "select_environments", "write_ledger", "finish_potential")
    assert {rule: twice[rule] for rule in own} == {rule: 2 * once[rule] for rule in own}
    assert {rule: count for rule, count in twice.items() if rule not in own} == {
        rule: count for rule, count in once.items() if rule not in own
    }


def test_levels_are_compared_by_a_probe_of_each_structure_at_both(tmp_path: Path) -> None:
    planned = Campaign(tmp_path).planned("learning/LiPSCl/r0/l6/agreement.json", "--config", *OUTER_STOP)
    assert (planned["compare_levels"], planned["probe_structure"]) == (1, 2)


@pytest.mark.parametrize(("engine", "gpus"), [("lammps", 0), ("gpu", 1), ("kokkos", 1)])
def test_explorers_ask_for_what_their_engine_needs(tmp_path: Path, engine: str, gpus: int) -> None:
    output = Campaign(tmp_path).run("-n", "learning", "--config", f"learning.exploration.engine={engine}")
    (asked,) = re.findall(r"^(?:local)?rule explore:\n(?: +.*\n)*? +resources: (.*)", output, re.MULTILINE)
    assert f"gpu={gpus}" in asked.split(", ")


def test_given_potential_needs_neither_labels_nor_fits(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path)
    words = ("learning", "--config", f'learning={{mode: given, potentials: {{LiPSCl: "{tmp_path}/teacher.mtp"}}}}')
    assert campaign.planned(*words) == {"take_potential": 1, "learning": 1}
    campaign.run(*words)
    assert campaign.potential() == (tmp_path / "teacher.mtp").read_bytes()
    assert read_json(campaign.folder / "learning/LiPSCl/r0/potential.json")["species"] == ["Li", "P", "S", "Cl"]


@pytest.mark.long
def test_loop_climbs_the_ladder_and_has_nothing_to_do_afterwards(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path)
    campaign.run("learning")
    ledger = pd.read_parquet(campaign.folder / "learning/ledger.parquet")
    assert ledger["level"].tolist() == sorted(ledger["level"])
    assert set(ledger["level"]) == {4, 6}
    assert ledger["next"].iloc[-1] == "done"
    training = read_structures(campaign.folder / "learning/LiPSCl/r0/training.extxyz")
    assert len(training) == 6 + ledger["labels_accepted"].sum()
    card = read_json(campaign.folder / "learning/LiPSCl/r0/potential.json")
    assert (card["level"], card["training_set_size"]) == (6, len(training))
    assert mtpcore.read_potential(campaign.folder / "learning/LiPSCl/r0/potential.almtp").active_set is not None
    assert campaign.planned("learning") == {}


@pytest.mark.long
def test_ladder_that_is_given_another_level_is_climbed_further(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path)
    campaign.run("learning", "--config", f"learning.ladder=[{ladder(4, rounds=1)}]")
    potential = campaign.potential()
    campaign.run("learning", "--config", f"learning.ladder=[{ladder(4, 6, rounds=1)}]")
    assert pd.read_parquet(campaign.folder / "learning/ledger.parquet")["level"].tolist() == [4, 6]
    assert campaign.potential() != potential


@pytest.mark.long
def test_ladder_ends_before_its_last_level_where_probes_agree_and_only_there(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path)
    folder = campaign.folder / "learning/LiPSCl/r0"
    for tolerance, agree, levels in (("1e6", True, [4, 6]), ("1e-9", False, [4, 6, 8])):
        words = (f"learning.ladder=[{ladder(4, 6, 8, rounds=1)}]", f"learning.outer_stop.tolerance={tolerance}")
        campaign.run("learning", "--config", *OUTER_STOP, *words)
        agreement = read_json(folder / "l6/agreement.json")
        assert agreement["agree"] == agree
        assert [probe["structure"] for probe in agreement["now"]] == ["Li6PS5Cl-25-bulk-2x1x1-a0"]
        assert pd.read_parquet(folder / "ledger.parquet")["level"].tolist() == levels
        assert read_json(folder / "potential.json")["level"] == levels[-1]
        assert campaign.planned("learning", "--config", *OUTER_STOP, *words) == {}


@pytest.mark.long
def test_global_mode_labels_whole_structures(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path)
    campaign.run("learning", "--config", "learning.mode=global", f"learning.ladder=[{ladder(4, rounds=2)}]")
    folder = campaign.folder / "learning/LiPSCl/r0"
    ledger = pd.read_parquet(folder / "ledger.parquet")
    assert ledger["labels_accepted"].sum() > 0
    explored = read_structures(campaign.folder / "structures/Li6PS5Cl-25-bulk-2x1x1-a0.extxyz")[0]
    added = read_structures(folder / "training.extxyz")[6:]
    assert len(added) == ledger["labels_accepted"].sum()
    assert all(np.array_equal(atoms.numbers, explored.numbers) for atoms in added)
    active_set = mtpcore.read_potential(folder / "potential.almtp").active_set
    assert active_set is not None
    assert not active_set.neighborhood_mode


@pytest.mark.long
def test_round_limit_stops_the_campaign_and_leaves_the_ledger(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, rounds=1, policy="fail")
    output = campaign.run("learning", status=1)
    assert "learning stopped in learning/LiPSCl/r0/l4/0" in output
    ledger = pd.read_parquet(campaign.folder / "learning/LiPSCl/r0/ledger.parquet")
    assert ledger["next"].tolist() == ["failed"]
    assert not (campaign.folder / "learning/LiPSCl/r0/potential.almtp").exists()


@pytest.mark.long
def test_kill_and_resume_ends_at_the_same_potential_and_labels_nothing_twice(
    tmp_path: Path, kill_all: Callable[[int], None]
) -> None:
    """Launcher, Snakemake and jobs die at once, ten times: first within a fit, then at random moments."""
    undisturbed = Campaign(tmp_path, fit=LONG_FIT)
    began = time.monotonic()
    undisturbed.run("learning")
    pause = 0.1 * (time.monotonic() - began)
    killed = Campaign(tmp_path, fit=LONG_FIT, results="killed")
    rng = random.Random(1)
    moments = [0, *sorted(rng.sample(range(undisturbed.jobs_done() - TAIL), KILLS - 1))]
    labels: dict[str, tuple[int, int]] = {}
    left: dict[Path, int] = {}
    resumed = 0
    for number, jobs in enumerate(moments):
        process = killed.start("learning", output=subprocess.DEVNULL)
        try:
            if number == 0:
                wait_for_fit(process, killed)
            else:
                resumed += wait_for_jobs(process, killed, jobs, rng.uniform(0, pause), left)
        finally:
            kill_all(process.pid)
        assert process.wait() == -signal.SIGKILL, "the campaign ended before it could be killed"
        assert _left_over(killed.folder) == []
        left = {file: done for file, done in killed.fits_under_way().items() if done >= WELL_BEGUN}
        assert killed.labels() | labels == killed.labels()
        labels = killed.labels()
    killed.run("learning")
    assert killed.labels() | labels == killed.labels()
    assert set(killed.labels()) == set(undisturbed.labels())
    assert killed.potential() == undisturbed.potential()
    assert resumed >= 1
