"""The doctor's jobs in partitions, as far as they can be tested without a cluster; tests/slurm has a real one."""

import json
import os
import stat
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from argyro.campaign import doctor, partitions
from argyro.campaign.partitions import Verdict, format_verdicts, judge, partitions_of
from argyro.campaign.probe import Node, visible_gpus
from argyro.common import mpi
from argyro.common.errors import MissingDependencyError

SINFO = "cpu|1-00:00:00|64|250000|(null)\ngpu|2:00:00|32|100000|gpu:a100:4\n"
PROFILE = """\
executor: slurm
default-resources: {slurm_partition: cpu, slurm_account: mine}
set-resources:
  solve_voxels: {slurm_partition: gpu, gpu: 2}
  map_contrasts: {slurm_partition: gpu, gpu: 1}
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that stand for Slurm's; a job is done as soon as it is submitted, by what ``job`` does."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("ARGYRO_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("ARGYRO_SHARED", "/")
    for name in ("POLL_SECONDS", "SEEN_SECONDS"):
        monkeypatch.setattr(partitions, name, 0.01)
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile/config.yaml").write_text(PROFILE)
    program(folder, "sinfo", f"printf '%s' '{SINFO}'")
    program(folder, "squeue", "echo 'COMPLETED|None'")
    program(folder, "scancel", f'echo "$@" > {tmp_path}/cancelled')
    program(folder, "sbatch", f'echo "$@" >> {tmp_path}/calls; echo 7')
    return folder


def program(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def test_partitions_are_those_of_the_profile_with_their_most_gpus(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(PROFILE)
    found = partitions_of(str(tmp_path))
    assert {name: partitions.gpus_of(asked) for name, asked in found.items()} == {"cpu": 0, "gpu": 2}
    assert found["gpu"]["slurm_account"] == "mine"


def test_each_partition_gets_one_job_with_its_gpus(cluster: Path, tmp_path: Path) -> None:
    assert cluster.exists()
    assert doctor.main(["--profile", str(tmp_path / "profile")]) == 1  # these jobs write nothing
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [("--partition=cpu" in call, "--gpus=2" in call) for call in calls] == [(True, False), (False, True)]
    assert all("--ntasks=2" in call and "--account=mine" in call for call in calls)
    assert not list((tmp_path / "results").iterdir()), "nothing is left behind"


def test_job_that_never_starts_is_cancelled_and_its_reason_named(
    cluster: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(cluster, "squeue", "echo 'PENDING|Priority'")
    assert doctor.main(["--profile", str(tmp_path / "profile"), "--wait", "0.001"]) == 1
    shown = capsys.readouterr().out
    assert "partition cpu: the job did not start within 0.001 minutes (Slurm says: Priority)" in shown
    assert (tmp_path / "cancelled").read_text() == "--quiet 7 7\n"


def test_partition_that_does_not_exist_is_named(
    cluster: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(cluster, "sinfo", "echo 'cpu|infinite|64|250000|(null)'")
    assert doctor.main(["--profile", str(tmp_path / "profile")]) == 1
    assert "slurm_partition: there is no partition gpu; name one of cpu" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "names no slurm_partition"),
        ("set-resources: {driver: {slurm_partition: x}}", "does not send jobs to Slurm"),
    ],
)
def test_profile_of_no_partition_or_no_slurm_is_refused(
    cluster: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, complaint: str
) -> None:
    assert cluster.exists()
    (tmp_path / "profile/config.yaml").write_text(text or "executor: slurm\n")
    assert doctor.main(["--profile", str(tmp_path / "profile")]) == 2
    assert complaint in capsys.readouterr().err


def test_job_that_fails_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "cpu.log").write_text("slurm's prolog\nbash: /home/x/python: No such file or directory\n")
    assert judge("cpu", 0, tmp_path).problems == ("the job failed: bash: /home/x/python: No such file or directory",)


def test_missing_gpus_are_a_problem_and_found_ones_none(tmp_path: Path) -> None:
    (tmp_path / "gpu.json").write_text(json.dumps(asdict(Node(host="g1", gpus=["A100"]))))
    assert judge("gpu", 1, tmp_path).problems == ()
    assert judge("gpu", 2, tmp_path).problems == ("2 GPUs were asked for, and nvidia-smi shows 1 on g1",)


def test_gpus_are_those_that_the_job_may_use(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(cluster, "nvidia-smi", "printf '0, GPU-a, A100\\n1, GPU-b, H100\\n2, GPU-c, L40\\n'")
    for given, expected in (("1", ["H100"]), ("GPU-a,GPU-c", ["A100", "L40"]), ("", [])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        assert visible_gpus() == expected
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_gpus() == ["A100", "H100", "L40"]


def test_table_shows_what_was_found_and_what_does_not_work() -> None:
    node = Node("n1", "avx512", "2 ranks see each other", [], {"python": "3.12.1"}, [])
    lines = format_verdicts([Verdict("cpu", node, ()), Verdict("gpu", None, ("it broke",))]).splitlines()
    assert lines[1].split()[:5] == ["cpu", "ok", "n1", "avx512", "2"]
    assert lines[2].split()[:3] == ["gpu", "broken", "-"]
    assert lines[-1] == "partition gpu: it broke"


@pytest.mark.parametrize(
    ("text", "complaint"), [("print(1)", "see a world of 1, 1"), ("import none", "fail with exit")]
)
def test_ranks_that_do_not_see_each_other_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, complaint: str
) -> None:
    (tmp_path / "launch").write_text(f'#!/bin/sh\n"{sys.executable}" -c "{text}" && "{sys.executable}" -c "{text}"\n')
    (tmp_path / "launch").chmod(0o755)
    monkeypatch.setenv(mpi.LAUNCHER_VARIABLE, str(tmp_path / "launch"))
    with pytest.raises(MissingDependencyError, match=complaint):
        mpi.try_ranks()
