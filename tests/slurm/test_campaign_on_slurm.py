"""A small campaign through profiles/slurm on a real Slurm, and what goes wrong on clusters."""

import math
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pandas as pd
import pytest
import yaml

from argyro.campaign.driver import NAME as DRIVER
from argyro.common.files import read_json
from argyro.config.load import ROOT

pytestmark = pytest.mark.slurm

TIMEOUT = 1800  # seconds; far more than any run here takes
RUN = [sys.executable, "-P", "-m", "argyro.campaign.run"]
TEACHER = ROOT / "config/reference/teacher/Cl.mtp"
TABLE = "dynamics/runs.parquet"
POTENTIAL = "learning/LiPSCl/r0/potential.almtp"
SETTINGS = f"""
campaign: test
materials:
  - {{id: Li6PS5Cl, formula: Li6PS5Cl, anion: Cl}}
structures:
  bulk: {{supercell: [1, 1, 1]}}
labels:
  backend: mtp
  mtp: {{potentials: {{LiPSCl: "{TEACHER}"}}}}
learning:
  mode: given
  potentials: {{LiPSCl: "{TEACHER}"}}
dynamics:
  ranks: 2
  temperatures_K: [600]
  equilibration_ps: 0.4
  production_ps: 2.0
  all_atoms_frame_ps: 0.1
  segment_ps: 0.4
"""
# What the profile leaves to the site: no accounting here, and nobody whom looking often would disturb
SITE = ["--slurm-status-command=squeue", "--slurm-init-seconds-before-status-checks=2", "--latency-wait=10"]


class Cluster(Protocol):
    """The fixture of conftest.py."""

    def jobs(self) -> list[dict[str, str]]: ...
    def stop_controller(self) -> None: ...
    def start_controller(self) -> None: ...
    def suspend_jobs(self) -> None: ...
    def resume_jobs(self) -> None: ...


class Campaign:
    """A campaign in a folder of its own, on Slurm or, for comparison, without."""

    def __init__(self, folder: Path) -> None:
        self.results = folder
        self.folder = folder / "test"
        self.file = folder / "settings.yaml"
        self.file.write_text(SETTINGS)

    def start(self, *words: str, profile: str = "slurm", own: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        site = [] if profile == "local" else SITE
        return subprocess.Popen(
            [*RUN, *own, "--configfile", str(self.file), "--profile", profile, *words, *site],
            env=os.environ | {"ARGYRO_RESULTS": str(self.results), "ARGYRO_ENV": sys.prefix},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, status: int = 0, profile: str = "slurm", own: tuple[str, ...] = ()) -> str:
        process = self.start(*words, profile=profile, own=own)
        output, _ = process.communicate(timeout=TIMEOUT)
        assert process.returncode == status, output
        return output

    def results_table(self) -> pd.DataFrame:
        """The table of runs without what no two runs have in common."""
        table = pd.read_parquet(self.folder / TABLE)
        return table.drop(columns=[name for name in table if name.endswith(("wall_s", "seconds"))])


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"never saw {what}"
        time.sleep(0.2)


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read what a process prints until it prints these words."""
    assert process.stdout is not None
    printed: list[str] = []
    for line in process.stdout:
        printed.append(line)
        if words in line:
            return
    pytest.fail(f"{words!r} is not in what it printed:\n{''.join(printed)}")


def kill_driver(process: subprocess.Popen[str]) -> None:
    """SIGKILL of launcher and Snakemake, as by a node that goes down; their jobs go on."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in [process.pid, *map(int, children)]:
        os.kill(pid, signal.SIGKILL)
    process.communicate()


def ranks_of_runs(folder: Path) -> set[int]:
    """On how many ranks LAMMPS says that it runs, in the logs of segments under way."""
    found: set[int] = set()
    for log in folder.glob("dynamics/**/log.lammps"):
        with suppress(FileNotFoundError):  # finished in the meantime
            grids = re.findall(r"(\d+) by (\d+) by (\d+) MPI processor grid", log.read_text())
            found |= {math.prod(map(int, grid)) for grid in grids}
    return found


def rule_of(job: dict[str, str]) -> str:
    return job["comment"].removeprefix("rule_").partition("_wildcards_")[0]


def test_killed_campaign_is_resumed_without_double_jobs_and_equals_a_local_one(
    cluster: Cluster, tmp_path: Path
) -> None:
    """A CPU and a GPU partition, two ranks, a job that needs more memory, and a driver that is killed in the middle."""
    (tmp_path / "cluster").mkdir()
    (tmp_path / "local").mkdir()
    campaign = Campaign(tmp_path / "cluster")
    words = ["--set-resources", "build_bulk:slurm_partition=gpu", "build_bulk:gpu=1", "take_potential:mem_mb=200"]
    first = campaign.start(TABLE, *words)
    wait_until(lambda: first.poll() is not None or (campaign.folder / DRIVER).exists(), "the driver's file")
    assert f"is being run by process {first.pid}" in campaign.run(TABLE, status=2)

    wait_until(lambda: first.poll() is not None or bool(ranks_of_runs(campaign.folder)), "molecular dynamics")
    assert first.poll() is None, first.communicate()[0]
    cluster.suspend_jobs()  # or it could end before it is looked for
    assert ranks_of_runs(campaign.folder) == {2}
    kill_driver(first)
    assert read_json(campaign.folder / DRIVER)["pid"] == first.pid, "what a killed driver leaves"
    second = campaign.start(TABLE, *words)
    read_until(second, "waiting for 1 jobs of a driver that is gone")
    cluster.resume_jobs()
    output, _ = second.communicate(timeout=TIMEOUT)
    assert second.returncode == 0, output
    assert not (campaign.folder / DRIVER).exists()

    jobs = cluster.jobs()
    assert Counter(map(rule_of, jobs)) == {"build_bulk": 1, "take_potential": 2, "run_dynamics": 1, "tabulate_runs": 1}
    assert {job["partition"] for job in jobs if rule_of(job) == "build_bulk"} == {"gpu"}
    states = [job["state"] for job in sorted(jobs, key=lambda job: int(job["id"])) if rule_of(job) == "take_potential"]
    assert states[0] in {"FAILED", "OUT_OF_MEMORY"}
    assert states[1] == "COMPLETED"
    assert {job["state"] for job in jobs if rule_of(job) != "take_potential"} == {"COMPLETED"}

    alone = Campaign(tmp_path / "local")
    alone.run(TABLE, "--cores", "2", profile="local")
    pd.testing.assert_frame_equal(campaign.results_table(), alone.results_table())


def test_wrong_setting_is_named_with_its_rule_and_the_rest_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    del cluster
    campaign = Campaign(tmp_path)
    wrong = ["--retries=0", "--set-resources", "build_bulk:slurm_partition=nope"]
    output = campaign.run("structures/Li6PS5Cl-bulk-1x1x1-a0.extxyz", POTENTIAL, *wrong, status=1)
    assert "rule build_bulk, slurm_partition: there is no partition nope; name one of cpu, gpu" in output
    assert (campaign.folder / POTENTIAL).exists()


def test_driver_as_a_job_waits_for_a_controller_that_is_down(cluster: Cluster, tmp_path: Path) -> None:
    campaign = Campaign(tmp_path)
    settings = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    profile = tmp_path / "profile"
    profile.mkdir()
    settings["set-resources"]["driver"]["runtime"] = 100000
    (profile / "config.yaml").write_text(yaml.safe_dump(settings))
    output = campaign.run(POTENTIAL, profile=str(profile), own=("--submit",), status=2)
    assert "rule driver, runtime: 100000 minutes are asked for" in output
    settings["set-resources"]["driver"]["runtime"] = 60
    (profile / "config.yaml").write_text(yaml.safe_dump(settings))
    cluster.stop_controller()
    submission = campaign.start(POTENTIAL, profile=str(profile), own=("--submit",))
    time.sleep(5)
    cluster.start_controller()
    output, _ = submission.communicate(timeout=TIMEOUT)
    assert submission.returncode == 0, output
    assert "the driver of the campaign is job" in output
    wait_until((campaign.folder / POTENTIAL).exists, "the potential")
    wait_until(lambda: not (campaign.folder / DRIVER).exists(), "the driver's end")
