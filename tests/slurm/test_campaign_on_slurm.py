"""A small campaign through profiles/slurm on a real Slurm, and what goes wrong on clusters."""

import math
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from itertools import pairwise
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
TEACHER = ROOT / "config/reference/teacher/Cl-12.mtp"
TABLES = ("dynamics/runs.parquet", "learning/LiPSCl/r0/ledger.parquet")
FIRST_FIT = "learning/LiPSCl/r0/l4/0/potential.almtp"
POTENTIAL = "learning/LiPSCl/r0/potential.almtp"
DRIVER_SCRIPT = "logs/driver.sh"
SETTINGS = f"""
campaign: test
materials:
  - {{id: Li6PS5Cl, formula: Li6PS5Cl, anion: Cl}}
structures:
  bulk: {{supercell: [1, 1, 1]}}
  seeds: {{count: 4}}
labels:
  backend: mtp
  mtp: {{potentials: {{LiPSCl: "{TEACHER}"}}}}
learning:
  ladder:
    - {{level: 4, temperatures_K: [300], duration_ps: 0.1, max_labels: 3, max_rounds: 2, on_limit: continue}}
  exploration: {{grade_every: 2, max_snapshots: 4}}
  fit: {{hops: 0, max_iterations: 15, tolerance: 0.01, min_dist_angstrom: 1.4}}
dynamics:
  ranks: 2
  temperatures_K: [300]
  equilibration_ps: 0.2
  production_ps: 300  # ten seconds: time to see it and to halt it
  all_atoms_frame_ps: 1
  segment_ps: 50
  select_grade: 1.0e+8  # so little was learned that nothing is known
  stop_grade: 1.0e+9
"""
# What the profile leaves to the site: no accounting here, and nobody whom looking often would disturb
SITE = [
    "--slurm-status-command=squeue",
    "--slurm-init-seconds-before-status-checks=2",
    "--latency-wait=10",
    "--slurm-keep-successful-logs",
]
RIGHT = ["build_bulk:slurm_partition=gpu", "build_bulk:gpu=1", "finish_potential:mem_mb=200"]
WRONG = ["build_bulk:slurm_partition=nope"]


class Job(Protocol):
    """Of conftest.py."""

    number: str
    state: str
    partition: str
    node: str
    start: str
    end: str
    name: str
    comment: str

    @property
    def rule(self) -> str: ...


class Cluster(Protocol):
    """The fixture of conftest.py."""

    def jobs(self) -> list[Job]: ...
    def stop_controller(self) -> None: ...
    def start_controller(self) -> None: ...
    def suspend(self, job: Job) -> None: ...
    def resume(self, job: Job) -> None: ...
    def power_off(self, node: str) -> None: ...
    def power_on(self, node: str) -> None: ...


class Campaign:
    """A campaign in a folder of its own, on Slurm or, for comparison, without."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.folder = folder / "test"
        self.file = folder / "settings.yaml"
        self.file.write_text(SETTINGS)
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *words: str, profile: str = "slurm", own: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        site = [] if profile == "local" else SITE
        process = subprocess.Popen(
            [*RUN, *own, "--configfile", str(self.file), "--profile", profile, *words, *site],
            env=os.environ | {"ARGYRO_RESULTS": str(self.root), "ARGYRO_ENV": sys.prefix},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def end(self) -> None:
        """End what was started and still runs, as of a test that failed."""
        for process in self.processes:
            if process.poll() is None:
                kill_with_children(process.pid)
                process.communicate()

    def run(self, *words: str, status: int = 0, profile: str = "slurm", own: tuple[str, ...] = ()) -> str:
        process = self.start(*words, profile=profile, own=own)
        output, _ = process.communicate(timeout=TIMEOUT)
        assert process.returncode == status, output
        return output

    def results(self) -> list[pd.DataFrame]:
        """The tables without what no two runs have in common."""
        tables = [pd.read_parquet(self.folder / name) for name in TABLES]
        return [table.drop(columns=[name for name in table if name.endswith(("_s", "seconds"))]) for table in tables]


def wait_until(condition: Callable[[], bool], what: str, pause: float = 1.0) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"never saw {what}"
        time.sleep(pause)


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read what a process prints until it prints these words."""
    assert process.stdout is not None
    printed: list[str] = []
    for line in process.stdout:
        printed.append(line)
        if words in line:
            return
    pytest.fail(f"{words!r} is not in what it printed:\n{''.join(printed)}")


def kill_with_children(pid: int) -> None:
    """SIGKILL of a launcher and its Snakemake, as by a node that goes down; their jobs go on."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for each in [pid, *map(int, children)]:
        os.kill(each, signal.SIGKILL)


def ranks_of_runs(folder: Path) -> set[int]:
    """On how many ranks LAMMPS says that it runs, in the logs of segments under way."""
    found: set[int] = set()
    for log in folder.glob("dynamics/**/log.lammps"):
        with suppress(FileNotFoundError):  # finished in the meantime
            grids = re.findall(r"(\d+) by (\d+) by (\d+) MPI processor grid", log.read_text())
            found |= {math.prod(map(int, grid)) for grid in grids}
    return found


def has_written(folder: Path, since: float) -> bool:
    """Whether a run wrote anything since then."""
    for file in folder.glob("dynamics/**/*"):
        with suppress(FileNotFoundError):
            if file.is_file() and file.stat().st_mtime > since:
                return True
    return False


# --- the faults, in their order --------------------------------------------------------------------------------------


def set_wrongly(campaign: Campaign) -> None:
    """A partition that does not exist fails the jobs of its rule; all that does not need them goes on."""
    output = campaign.run(*TABLES, "--retries=0", "--set-resources", *WRONG, status=1)
    assert "rule build_bulk, slurm_partition: there is no partition nope; name one of cpu, gpu, night" in output
    assert (campaign.folder / FIRST_FIT).exists()
    assert not (campaign.folder / DRIVER).exists()


def submit_without_controller(cluster: Cluster, campaign: Campaign) -> None:
    """A driver, of one minute, that is sent while there is no controller waits for it."""
    settings = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    profile = campaign.root / "profile"
    profile.mkdir()

    settings["set-resources"]["driver"] |= {"slurm_partition": "gpu", "runtime": 1}
    (profile / "config.yaml").write_text(yaml.safe_dump(settings))
    cluster.stop_controller()
    submission = campaign.start(*TABLES, "--set-resources", *RIGHT, profile=str(profile), own=("--submit",))
    read_until(submission, "controller does not answer")
    cluster.start_controller()
    output, _ = submission.communicate(timeout=TIMEOUT)
    assert submission.returncode == 0, output
    assert "the driver of the campaign is job" in output


def reach_the_time_limit(cluster: Cluster, campaign: Campaign) -> None:
    """The driver, which has a minute, ends itself in time; its one successor, which has more, goes on."""
    script = campaign.folder / DRIVER_SCRIPT
    script.write_text(script.read_text().replace("--time=1 ", "--time=60 ").replace("+ 30)", "+ 3000)"))

    def drivers() -> list[Job]:
        return [job for job in cluster.jobs() if job.rule == "driver"]

    wait_until(lambda: len(drivers()) > 1 and drivers()[1].state == "RUNNING", "the driver's successor")
    first, second = drivers()
    assert first.state == "COMPLETED", (campaign.folder / f"logs/driver-{first.number}.log").read_text()
    wait_until(
        lambda: (
            (campaign.folder / DRIVER).exists() and read_json(campaign.folder / DRIVER)["slurm_job"] == second.number
        ),
        "the successor at work",
    )


def halt_dynamics(cluster: Cluster, is_under_way: Callable[[], object]) -> Job:
    """Halt the job of molecular dynamics once it is under way, or it could end before anything happens to it."""

    def running() -> list[Job]:
        jobs = [job for job in cluster.jobs() if job.rule == "run_dynamics"]
        assert all(job.state != "COMPLETED" for job in jobs), "molecular dynamics was over before it was seen"
        return [job for job in jobs if job.state == "RUNNING"]

    wait_until(lambda: bool(is_under_way() and running()), "molecular dynamics", pause=0.2)
    (job,) = running()
    cluster.suspend(job)
    return job


def lose_a_node(cluster: Cluster, campaign: Campaign) -> Job:
    """The node of a job goes down; the job, now on another node."""
    ranks: set[int] = set()

    def any_ranks() -> set[int]:
        ranks.update(ranks_of_runs(campaign.folder))
        return ranks

    lost = halt_dynamics(cluster, any_ranks)
    assert ranks == {2}
    cluster.power_off(lost.node)
    moment = time.time()
    again = halt_dynamics(cluster, lambda: has_written(campaign.folder, moment))
    cluster.power_on(lost.node)
    assert again.node != lost.node
    assert {job.number: job.state for job in cluster.jobs()}[lost.number] == "NODE_FAIL"
    return again


def lose_the_driver(cluster: Cluster, campaign: Campaign, orphan: Job) -> None:
    """A driver is killed while a job runs; the next one waits for the job, and a third is refused meanwhile."""
    kill_with_children(read_json(campaign.folder / DRIVER)["pid"])
    wait_until(lambda: all(job.state != "RUNNING" for job in cluster.jobs() if job.rule == "driver"), "the driver gone")
    second = campaign.start(*TABLES, "--set-resources", *RIGHT)
    read_until(second, "waiting for 1 jobs of a driver that is gone")
    assert f"is being run by process {second.pid}" in campaign.run(*TABLES, status=2)
    cluster.resume(orphan)
    output, _ = second.communicate(timeout=TIMEOUT)
    assert second.returncode == 0, output
    assert not (campaign.folder / DRIVER).exists()


# --- what must hold afterwards ---------------------------------------------------------------------------------------


def check_jobs(jobs: list[Job]) -> None:
    """Every job of the campaign was completed once; only those that were disturbed ran a second time."""
    ran = [job for job in jobs if job.rule != "driver"]
    counts = Counter(job.comment for job in ran if job.state == "COMPLETED")
    assert set(counts) == {job.comment for job in ran}
    assert set(counts.values()) == {1}
    states = {rule: [job.state for job in ran if job.rule == rule] for rule in ("run_dynamics", "finish_potential")}
    assert states["run_dynamics"] == ["NODE_FAIL", "COMPLETED"]
    # Slurm looks once a second: on a fast processor the job that asks for too little memory is over before
    *too_small, last = states["finish_potential"]
    assert last == "COMPLETED"
    assert set(too_small) <= {"FAILED", "OUT_OF_MEMORY"}
    assert len(too_small) <= 1
    assert sum(job.state != "COMPLETED" for job in ran) == 1 + len(too_small)
    assert {job.partition for job in ran if job.rule == "build_bulk"} == {"gpu"}
    assert {job.partition for job in ran if job.rule != "build_bulk"} == {"cpu"}
    rounds = {"fit_potential": 2, "explore": 2, "select_environments": 2, "label_candidates": 1}
    assert {rule: sum(job.rule == rule for job in ran) for rule in rounds} == rounds


def check_outputs(folder: Path, jobs: list[Job]) -> None:
    """By the logs of the jobs, no two wrote the same file at the same time, and one job finished each."""
    records = {job.number: job for job in jobs}
    writers: dict[str, list[tuple[str, str, bool]]] = defaultdict(list)
    for log in folder.glob(".snakemake/slurm_logs/**/*.log"):
        text = log.read_text()
        job = records[log.stem]
        for outputs in set(re.findall(r"^ +output: (.+)", text, re.MULTILINE)):
            for name in re.sub(r" \(.*?\)", "", outputs).split(", "):
                writers[name].append((job.start, job.end, "(100%) done" in text))
    for name, intervals in writers.items():
        assert sum(finished for *_, finished in intervals) == 1, (name, intervals)
        assert all(end <= start for (_, end, _), (start, *_) in pairwise(sorted(intervals))), (name, intervals)
    assert len(writers["dynamics/Li6PS5Cl-bulk-1x1x1-a0/r0/300K/0/report.json"]) == 2
    assert {*TABLES, POTENTIAL, FIRST_FIT} <= set(writers)


def test_disturbed_campaign_runs_nothing_twice_and_equals_an_undisturbed_one(cluster: Cluster, tmp_path: Path) -> None:
    """Learning by rounds, dynamics on two ranks, a CPU and a GPU partition, and all the faults, one after another."""
    (tmp_path / "cluster").mkdir()
    (tmp_path / "local").mkdir()
    campaign = Campaign(tmp_path / "cluster")
    try:
        set_wrongly(campaign)
        submit_without_controller(cluster, campaign)
        reach_the_time_limit(cluster, campaign)
        orphan = lose_a_node(cluster, campaign)
        lose_the_driver(cluster, campaign, orphan)
    finally:
        campaign.end()
    check_jobs(cluster.jobs())
    check_outputs(campaign.folder, cluster.jobs())

    alone = Campaign(tmp_path / "local")
    alone.run(*TABLES, "--cores", "2", profile="local")
    assert (campaign.folder / POTENTIAL).read_bytes() == (alone.folder / POTENTIAL).read_bytes()
    for disturbed, undisturbed in zip(campaign.results(), alone.results(), strict=True):
        pd.testing.assert_frame_equal(disturbed, undisturbed)


@pytest.mark.usefixtures("cluster")
def test_doctor_tries_every_partition_of_a_profile(tmp_path: Path) -> None:
    """One that is as it should be, one whose GPUs are none, one that starts nothing, and one that does not exist."""
    asked = {"rule": {"slurm_partition": "gpu", "gpu": 1}}
    asked |= {name: {"slurm_partition": name} for name in ("night", "nope")}
    settings = {"executor": "slurm", "default-resources": {"slurm_partition": "cpu"}, "set-resources": asked}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-P", "-m", "argyro.campaign.doctor", "--profile", str(tmp_path), "--wait", "0.2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    assert done.returncode == 1, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    states = {row[0]: row[1] for row in rows if len(row) > len(asked) and row[1] in {"ok", "broken"}}
    assert states == {"cpu": "ok", "gpu": "broken", "night": "broken", "nope": "broken"}, done.stdout
    assert version("mtpcore") in rows[1], "the versions of the node"
    assert "partition gpu: 1 GPUs were asked for, and nvidia-smi shows 0" in done.stdout
    assert "partition night: the job did not start within 0.2 minutes (Slurm says: PartitionDown)" in done.stdout
    assert "there is no partition nope; name one of cpu, gpu, night" in done.stdout
