"""Active learning as a campaign: closed by checkpoints, and none the worse for being killed."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mtpcore
from argyro.common.extxyz import read_structures
from argyro.common.files import read_json

TIMEOUT = 900  # seconds; far more than any run here takes
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
  ladder:
    - {{level: 4, temperatures_K: [300], duration_ps: 0.1, max_labels: 4, max_rounds: {rounds}, on_limit: {policy}}}
    - {{level: 6, temperatures_K: [300], duration_ps: 0.1, max_labels: 4, max_rounds: {rounds}, on_limit: {policy}}}
  exploration: {{grade_every: 2, max_snapshots: 4}}
  fit: {{hops: 0, max_iterations: 15, tolerance: 0.01, min_dist_angstrom: 1.4}}
"""


class Campaign:
    """A small campaign with a teacher of no physics: soft forces that hold nothing together."""

    def __init__(self, folder: Path, rounds: int = 3, policy: str = "continue") -> None:
        self.results = folder / "results"
        self.folder = self.results / "test"
        self.file = folder / "settings.yaml"
        teacher = folder / "teacher.mtp"
        bare = mtpcore.new_potential(4, 4, min_dist=1.0, max_dist=5.0)
        parameters = np.random.default_rng(1).normal(scale=0.01, size=bare.parameter_count)
        mtpcore.write_potential(teacher, mtpcore.set_parameters(bare, parameters))
        self.file.write_text(SETTINGS.format(teacher=teacher, rounds=rounds, policy=policy))

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*RUN, "--configfile", str(self.file), *words],
            env=os.environ | {"ARGYRO_RESULTS": str(self.results)},
            stdout=subprocess.PIPE,
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
        return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in self.folder.glob("labels/*.extxyz")}

    def potential(self) -> bytes:
        """The final potential."""
        return (self.folder / "learning/LiPSCl/r0/potential.almtp").read_bytes()


def test_plan_shows_the_next_round(tmp_path: Path) -> None:
    planned = Campaign(tmp_path).planned("learning")
    assert planned["fit_potential"] == planned["explore"] == planned["select_environments"] == 1
    assert {"write_ledger", "join_ledgers", "finish_potential"} <= set(planned)


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
def test_round_limit_stops_the_campaign_and_leaves_the_ledger(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, rounds=1, policy="fail")
    output = campaign.run("learning", status=1)
    assert "learning stopped in learning/LiPSCl/r0/l4/0" in output
    ledger = pd.read_parquet(campaign.folder / "learning/LiPSCl/r0/ledger.parquet")
    assert ledger["next"].tolist() == ["failed"]
    assert not (campaign.folder / "learning/LiPSCl/r0/potential.almtp").exists()


@pytest.mark.long
def test_kill_and_resume_ends_at_the_same_potential_and_labels_nothing_twice(tmp_path: Path) -> None:
    undisturbed = Campaign(tmp_path)
    undisturbed.run("learning")
    killed = Campaign(tmp_path)
    killed.results = tmp_path / "killed"
    killed.folder = killed.results / "test"
    rng, seen = random.Random(1), {}
    for _ in range(10):
        process = killed.start("learning")
        time.sleep(rng.uniform(5, 20))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        for pid in [process.pid, *map(int, children.read_text().split() if children.exists() else [])]:
            os.kill(pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        seen |= killed.labels()
    killed.run("learning")
    final = killed.labels()
    assert {name: final[name] for name in seen} == seen
    assert killed.potential() == undisturbed.potential()
