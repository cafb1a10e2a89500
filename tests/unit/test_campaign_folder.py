"""The folder of a campaign after a run that was killed."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from argyro.campaign.folder import RUN_VARIABLE, clear_leftovers


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that a test starts, ended afterwards."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def sleeper(mark: str, **variables: str) -> subprocess.Popen[bytes]:
    """A process with the mark of a campaign."""
    return subprocess.Popen(["sleep", "100"], env=os.environ | {RUN_VARIABLE: mark} | variables)


def test_jobs_left_over_are_ended_and_no_others(tmp_path: Path, sleepers: list[subprocess.Popen[bytes]]) -> None:
    sleepers += [
        sleeper(str(tmp_path)),
        sleeper(str(tmp_path)),
        sleeper(str(tmp_path / "other")),
        sleeper(str(tmp_path), SLURM_JOB_ID="7"),
    ]
    time.sleep(0.2)  # until all have their own environment
    assert clear_leftovers(tmp_path) == ["ended 2 processes left over by a run that was killed"]
    assert [process.poll() is None for process in sleepers] == [False, False, True, True]


def test_process_that_ignores_the_request_is_killed(
    tmp_path: Path, sleepers: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("argyro.campaign.folder.GRACE", 0.5)
    program = ["bash", "-c", "trap '' TERM; while true; do sleep 0.1; done"]
    sleepers.append(subprocess.Popen(program, env=os.environ | {RUN_VARIABLE: str(tmp_path)}))
    time.sleep(0.5)
    clear_leftovers(tmp_path)
    assert sleepers[0].wait(timeout=5) != 0


def test_lock_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    lock = tmp_path / ".snakemake/locks/0.input.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("")
    assert clear_leftovers(tmp_path) == ["removed the lock of a run that was killed"]
    assert clear_leftovers(tmp_path) == []
