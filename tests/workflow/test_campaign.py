"""Campaigns run for real: end to end, twice, with changed settings, and through kills."""

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

TIMEOUT = 300  # seconds; far more than any run here takes
RUN = [sys.executable, "-P", "-m", "argyro.campaign.run"]
SETTINGS = """
campaign: test
materials:
  - {id: Li6PS5Cl-25, formula: Li6PS5Cl, anion: Cl, exchange_percent: 25}
structures:
  bulk: {supercell: [1, 1, 1]}
  seeds: {count: 4}
labels:
  backend: BACKEND
  structures_per_job: 1
"""


class Campaign:
    """A small campaign in a folder with spaces in its name, of structures and labels if nothing else is asked for."""

    def __init__(self, folder: Path, settings: str) -> None:
        self.results = folder / "my results"
        self.folder = self.results / "test"
        self.file = folder / "my settings.yaml"
        self.file.write_text(settings)

    def start(self, *words: str) -> subprocess.Popen[str]:
        targets = () if "structures" in words else ("structures", "labels", *(() if "-n" in words else ("report",)))
        return subprocess.Popen(
            [*RUN, "--configfile", str(self.file), *targets, *words],
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
        found = {}
        for path in self.folder.glob("labels/*.extxyz"):
            found[path.name] = (path.stat().st_ino, path.stat().st_mtime_ns)
        return found


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    """Labels by a potential, milliseconds each."""
    potential = mtpcore.new_potential(4, 4, min_dist=1.0, max_dist=5.0)
    parameters = np.random.default_rng(1).normal(scale=0.01, size=potential.parameter_count)
    mtpcore.write_potential(tmp_path / "a teacher.mtp", mtpcore.set_parameters(potential, parameters))
    teacher = f'mtp\n  mtp: {{potentials: {{LiPSCl: "{tmp_path}/a teacher.mtp"}}}}'
    return Campaign(tmp_path, SETTINGS.replace("BACKEND", teacher))


@pytest.fixture
def xtb_campaign(tmp_path: Path) -> Campaign:
    """Labels by GFN1-xTB, seconds each."""
    return Campaign(tmp_path, SETTINGS.replace("BACKEND", "tblite"))


def test_structures_are_built_and_labelled_end_to_end(campaign: Campaign) -> None:
    output = campaign.run()
    assert f"report: {campaign.folder}/report.html" in output
    (bulk,) = read_structures(campaign.folder / "structures/Li6PS5Cl-25-bulk-1x1x1-a0.extxyz")
    report = read_json(campaign.folder / "structures/Li6PS5Cl-25-bulk-1x1x1-a0.json")
    assert len(bulk) == 52
    assert report["violations"] == []
    labelled = read_structures(campaign.folder / "labels/sets/Li6PS5Cl-25-seeds.extxyz")
    table = pd.read_parquet(campaign.folder / "labels/outcomes.parquet")
    assert len(labelled) == len(table) == len(campaign.labels()) == 4
    assert table["status"].tolist() == ["ok"] * 4
    assert not any(campaign.folder.glob("**/.*.extxyz"))


def test_second_run_has_nothing_to_do(campaign: Campaign) -> None:
    campaign.run()
    report = (campaign.folder / "report.html").stat().st_mtime_ns
    output = campaign.run()
    assert "Nothing to be done" in output
    assert (campaign.folder / "report.html").stat().st_mtime_ns == report
    assert campaign.planned() == {}


def test_changed_setting_reruns_exactly_what_depends_on_it(campaign: Campaign) -> None:
    campaign.run()
    everything_labelled = {"label": 4, "collect_labels": 1, "join_outcomes": 1, "labels": 1}
    new_seeds = {"build_seeds": 1, "structures": 1}
    for setting, expected in {
        "structures.bulk.arrangements=2": {"build_bulk": 1, "structures": 1},
        "structures.seeds.random_strain=0.02": new_seeds | everything_labelled,
        "structures.seeds.count=5": new_seeds | everything_labelled | {"label": 5},
        "labels.gates.max_force_eV_per_angstrom=30": {"check_backend": 1} | everything_labelled,
        "labels.max_failed_fraction=0.2": {"collect_labels": 1, "join_outcomes": 1, "labels": 1},
        "labels.gpaw.cutoff_eV=500": {},
        "labels.tblite.accuracy=0.5": {},
    }.items():
        assert campaign.planned("--config", setting) == expected, setting


def test_target_with_configfile_and_config_makes_that_target_only(campaign: Campaign) -> None:
    assert campaign.planned("structures", "--config", "seed=3") == {"build_bulk": 1, "build_seeds": 1, "structures": 1}


def test_looking_at_a_campaign_leaves_nothing_behind(campaign: Campaign) -> None:
    campaign.planned()
    assert not campaign.results.exists()


def test_status_counts_files_by_stage(campaign: Campaign) -> None:
    campaign.run("structures")
    process = subprocess.run(
        [*RUN, "--status", "--configfile", str(campaign.file)],
        env=os.environ | {"ARGYRO_RESULTS": str(campaign.results)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = process.stdout.splitlines()[1:]
    assert lines[:2] == ["structures       4 of    4", "labels           0 of    8"]
    assert [line.split()[0] for line in lines[2:]] == ["learning", "dynamics", "transport", "continuum", "figures"]
    assert all(line.split()[1] == "0" for line in lines[2:])


def test_failed_gates_stop_with_a_table_and_cost_nothing_later(campaign: Campaign) -> None:
    output = campaign.run("--config", "labels.gates.max_force_eV_per_angstrom=1e-9", status=1)
    assert "4 of 4 structures of Li6PS5Cl-25-seeds have no usable label" in output
    assert "rejected" in output
    before = campaign.labels()
    campaign.run()
    assert campaign.labels() == before


def test_one_run_at_a_time_in_a_campaign(xtb_campaign: Campaign) -> None:
    first = xtb_campaign.start()
    deadline = time.monotonic() + 60
    while not (xtb_campaign.folder / ".argyro.lock").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    output = xtb_campaign.run(status=2)
    assert f"is being run by process {first.pid}" in output
    assert xtb_campaign.run("-n")
    os.killpg(first.pid, signal.SIGTERM)
    output, _ = first.communicate(timeout=TIMEOUT)
    assert "run the same command again to go on from here" in output


def test_kill_and_resume_computes_no_label_twice(xtb_campaign: Campaign) -> None:
    """SIGKILL of launcher and Snakemake leaves their jobs as orphans; the next run ends them and goes on."""
    rng = random.Random(1)
    seen: dict[str, tuple[int, int]] = {}
    for _ in range(3):
        process = xtb_campaign.start()
        time.sleep(rng.uniform(3, 12))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        for pid in [process.pid, *map(int, children.read_text().split() if children.exists() else [])]:
            os.kill(pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        seen |= xtb_campaign.labels()
    xtb_campaign.run()
    final = xtb_campaign.labels()
    assert {name: final[name] for name in seen} == seen
    assert len(read_structures(xtb_campaign.folder / "labels/sets/Li6PS5Cl-25-seeds.extxyz")) == 4
    assert not any(xtb_campaign.folder.glob("labels/.*"))


def test_same_configuration_gives_the_same_files(campaign: Campaign, tmp_path: Path) -> None:
    campaign.run()
    files = ["structures/Li6PS5Cl-25-seeds.extxyz", "labels/sets/Li6PS5Cl-25-seeds.extxyz"]
    first = [(campaign.folder / file).read_bytes() for file in files]
    campaign.results = tmp_path / "elsewhere"
    campaign.folder = campaign.results / "test"
    campaign.run()
    assert [(campaign.folder / file).read_bytes() for file in files] == first
