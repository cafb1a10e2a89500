"""Slurm and drivers, as far as they can be tested without a cluster; tests/slurm has a real one."""

import json
import os
import signal
import socket
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from snakemake.resources import Resources

from argyro.campaign import driver, run, sbatch, shift, slurm
from argyro.campaign.attempts import let_resources_grow
from argyro.campaign.command_line import parse
from argyro.campaign.folder import RUN_VARIABLE, CampaignBusyError
from argyro.common.errors import ConfigError, MissingDependencyError
from argyro.config.load import ROOT

JOB = ["--job-name", "run_1", "--comment", "rule_run_dynamics_wildcards_a_600", "-p", "cpu", "--wrap=x"]
SINFO = "cpu|1-00:00:00|64|250000+|(null)\ncpu|1-00:00:00|128|500000|(null)\ngpu|2:00:00|32|100000|gpu:a100:4(S:0-1)\n"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that stand for Slurm's, first on the path, and a campaign's folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv(RUN_VARIABLE, str(tmp_path / "campaign"))
    monkeypatch.setattr(sbatch, "FIRST_PAUSE", 0.01)
    program(folder, "sinfo", f"printf '%s' '{SINFO}'")
    program(folder, "squeue", "true")
    return folder


def program(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


# --- resources -------------------------------------------------------------------------------------------------------


class Rule:
    """What the resources of a rule need of it."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources

    def asks(self, name: str, attempt: int) -> Any:
        known = {"input": [], "attempt": attempt, "threads": 1, "rulename": "x", "async_run": None}
        return self.resources[name].evaluate({}, **known).value


def by_material(_wildcards: Any) -> int:
    return 700


def by_attempt(_wildcards: Any, attempt: int) -> int:
    return 60 * attempt


@pytest.mark.parametrize(
    ("resources", "memory", "time_limit"),
    [
        (Resources.from_mapping({"mem_mb": 1000, "runtime": 10}), [1000, 2000, 3000], [10, 20, 30]),
        (Resources.from_mapping({"mem_mb": by_material, "runtime": by_attempt}), [700, 1400, 2100], [60, 120, 180]),
        (Resources.parse(["mem_mb=500", "runtime=7*attempt"], allow_expressions=True), [500, 1000, 1500], [7, 14, 21]),
    ],
)
def test_each_attempt_asks_for_more_memory_and_time(
    resources: Resources, memory: list[int], time_limit: list[int]
) -> None:
    rule = Rule(resources)
    let_resources_grow([rule])
    assert [rule.asks("mem_mb", attempt) for attempt in (1, 2, 3)] == memory
    assert [rule.asks("runtime", attempt) for attempt in (1, 2, 3)] == time_limit


# --- submission ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("1:30", 2), ("2:00:00", 120), ("1-00:00:00", 1440), ("2-12", 3600), ("infinite", sbatch.UNLIMITED)],
)
def test_time_limits_are_read_as_slurm_writes_them(text: str, minutes: int) -> None:
    assert sbatch.minutes_of(text) == minutes


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-p", "nope", "-t", "10"], "rule run_dynamics, slurm_partition: there is no partition nope; name one of cpu"),
        (["-t", "1441"], "rule run_dynamics, runtime: 1441 minutes are asked for, and partition cpu has at most 1440"),
        (["--mem", "500001"], "rule run_dynamics, mem_mb: 500001 MB are asked for, and partition cpu has at most"),
        (["--cpus-per-task=129"], "rule run_dynamics, threads: 129 cores are asked for"),
        (["--gpus=1"], "rule run_dynamics, gpu: 1 GPUs are asked for, and partition cpu has at most 0"),
        (["-p", "gpu", "--gres=gpu:a100:5"], "rule run_dynamics, gpu: 5 GPUs are asked for, and partition gpu has"),
    ],
)
def test_what_could_never_run_is_refused_with_rule_and_setting(
    programs: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    program(programs, "sbatch", "echo 1")
    assert sbatch.main([*JOB, *words]) == 1
    assert complaint in capsys.readouterr().err


def test_further_attempts_ask_for_no_more_than_there_is(programs: Path, tmp_path: Path) -> None:
    program(programs, "sbatch", f'echo "$@" >> {tmp_path}/calls; echo 17')
    grown = ["--job-name", "x", "-p", "cpu", "-t", "2880", "--mem", "750000"]
    assert sbatch.main([*grown, "--wrap=python -m snakemake --attempt 3 --cores all"]) == 0
    assert sbatch.main([*grown, "--wrap=python -m snakemake --attempt 1 --cores all"]) == 1
    assert (tmp_path / "calls").read_text().startswith("--job-name x -p cpu -t 1440 --mem 500000 --wrap=python")


def test_what_fits_is_submitted(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program(programs, "sbatch", "echo 17")
    assert sbatch.main([*JOB, "-p", "gpu", "--gpus=4", "-t", "120", "--mem", "100000", "--cpus-per-task=32"]) == 0
    assert capsys.readouterr().out == "17\n"


def test_refused_account_is_named_with_its_setting(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reply = "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified"
    program(programs, "sbatch", f"echo '{reply}' >&2; exit 1")
    assert sbatch.main(JOB) == 1
    assert "rule run_dynamics, slurm_account: Slurm refuses the job" in capsys.readouterr().err


def test_controller_that_is_down_is_waited_for(
    programs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    down = "echo 'sbatch: error: Batch job submission failed: Unable to contact slurm controller' >&2; exit 1"
    program(programs, "sbatch", f"if [ -e {tmp_path}/asked ]; then echo 5; else touch {tmp_path}/asked; {down}; fi")
    assert sbatch.main(JOB) == 0
    assert capsys.readouterr().out == "5\n"
    assert "not taken yet" in (tmp_path / "campaign/logs/slurm.log").read_text()


def test_job_whose_acceptance_was_lost_is_not_submitted_twice(
    programs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(
        programs, "sbatch", f"echo x >> {tmp_path}/calls; echo 'Socket timed out on send/recv operation' >&2; exit 1"
    )
    program(programs, "squeue", "echo '8|rule_run_dynamics_wildcards_b'; echo '9|rule_run_dynamics_wildcards_a_600'")
    assert sbatch.main(JOB) == 0
    assert capsys.readouterr().out == "9\n"
    assert (tmp_path / "calls").read_text() == "x\n"


# --- jobs without a driver -------------------------------------------------------------------------------------------


def test_orphans_are_those_of_the_campaigns_own_prefix(programs: Path) -> None:
    program(programs, "squeue", "echo '1|argyro-a-0_x'; echo '2|argyro-a-01_x'; echo '3|argyro-a-0-driver'")
    assert slurm.orphans("argyro-a-0") == ["1"]


def test_orphans_are_cancelled_if_asked_and_waited_for(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.01)
    program(programs, "squeue", f"[ -e {tmp_path}/cancelled ] || echo '4|p_x'")
    program(programs, "scancel", f'echo "$@" > {tmp_path}/cancelled')
    slurm.settle_orphans("p", "cancel", lambda _: None)
    assert (tmp_path / "cancelled").read_text() == "4\n"


def test_prefixes_differ_between_folders_and_suit_slurm() -> None:
    first, second = (slurm.job_prefix(Path(f"/{place}/my campaign_" + "x" * 60)) for place in "ab")
    assert first != second
    assert len(first) <= 50
    assert set(first) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")


# --- whether Slurm can be used ---------------------------------------------------------------------------------------


def test_missing_slurm_is_said_with_a_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match=r"no sbatch, .* on PATH.*--profile local"):
        slurm.require_slurm(lambda _: None)


def test_folder_on_a_disk_of_this_machine_is_refused(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs, "scontrol", "echo NodeHostName=node1")
    monkeypatch.setattr(slurm, "file_system", lambda path: "ext4" if path.name == "here" else "nfs4")
    slurm.require_shared([Path("/there")])
    with pytest.raises(slurm.SlurmError, match="/a/here lies on a disk of this machine"):
        slurm.require_shared([Path("/there"), Path("/a/here")])
    monkeypatch.setenv(slurm.SHARED_VARIABLE, "/a")
    slurm.require_shared([Path("/a/here")])


def test_file_system_is_that_of_the_innermost_mount() -> None:
    assert slurm.file_system(Path("/proc/self")) == "proc"


@pytest.mark.parametrize(
    ("profile", "words", "expected"),
    [
        ("slurm", [], True),
        ("local", [], False),
        ("local", ["--executor", "slurm"], True),
        ("slurm", ["--executor=local"], False),
    ],
)
def test_slurm_is_known_from_profile_and_arguments(profile: str, words: list[str], *, expected: bool) -> None:
    assert slurm.uses_slurm(str(ROOT / "profiles" / profile), words) is expected


def test_job_of_the_driver_asks_for_what_the_profile_says(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "default-resources: {slurm_account: mine, slurm_partition: cpu, runtime: 10}\n"
        "set-resources: {driver: {slurm_partition: long, runtime: 9000}}\n"
    )
    options = shift.driver_options(str(tmp_path), "name", Path("log"))
    assert {"--partition=long", "--account=mine", "--time=9000", "--mem=3000"} <= set(options)


def test_driver_that_asks_for_too_much_is_refused_before_it_is_sent(programs: Path, tmp_path: Path) -> None:
    program(programs, "sbatch", f"touch {tmp_path}/called")
    (tmp_path / "config.yaml").write_text("set-resources: {driver: {slurm_partition: gpu, runtime: 100000}}\n")
    with pytest.raises(slurm.SlurmError, match="rule driver, runtime: 100000 minutes are asked for"):
        shift.submit_driver(tmp_path / "campaign", str(tmp_path), [])
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("words", [["--orphans"], ["--orphans", "keep"]])
def test_wrong_words_about_orphans_are_named(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="--orphans"):
        parse(words)


# --- a driver whose time is nearly over ------------------------------------------------------------------------------


@pytest.fixture
def last_shift(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a campaign whose driver, job 20, has no time left; what sbatch is called with goes to ``calls``."""
    monkeypatch.setattr(run, "ENDING_SECONDS", 0.5)
    monkeypatch.setattr(shift, "PAUSE_SECONDS", 0.01)
    monkeypatch.setenv(shift.END_VARIABLE, str(int(time.time())))
    monkeypatch.setenv("SLURM_JOB_ID", "20")
    program(programs, "squeue", "echo 20")
    program(programs, "sbatch", f'echo "$@" >> {tmp_path}/calls; echo 21')
    return tmp_path / "campaign"


def drive(folder: Path, *command: str) -> tuple[shift.Shift, int]:
    """Run a command in place of Snakemake's."""
    own = shift.Shift()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return own, run._call(command, folder, own)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize(
    "command", ["exec sleep 60", "trap '' TERM; while :; do sleep 0.1; done"], ids=["TERM", "KILL"]
)
def test_driver_ends_itself_and_sends_one_successor(last_shift: Path, tmp_path: Path, command: str) -> None:
    own, status = drive(last_shift, "sh", "-c", command)
    assert own.successor == "21"
    assert status < 0
    assert (tmp_path / "calls").read_text() == f"--parsable --dependency=afterany:20 {last_shift}/logs/driver.sh\n"


def test_driver_that_is_done_in_time_sends_no_successor(
    last_shift: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(shift.END_VARIABLE, str(int(time.time()) + 3600))
    own, status = drive(last_shift, "true")
    assert (own.successor, status) == ("", 0)
    assert not (tmp_path / "calls").exists()


def test_successor_is_sent_when_the_controller_is_back(last_shift: Path, programs: Path, tmp_path: Path) -> None:
    down = "echo 'sbatch: error: Batch job submission failed: Unable to contact slurm controller' >&2; exit 1"
    program(programs, "sbatch", f"if [ -e {tmp_path}/asked ]; then echo 21; else touch {tmp_path}/asked; {down}; fi")
    assert drive(last_shift, "sleep", "60")[0].successor == "21"


def test_successor_whose_acceptance_was_lost_is_not_sent_again(
    last_shift: Path, programs: Path, tmp_path: Path
) -> None:
    program(programs, "squeue", "echo 20; echo 23")
    assert drive(last_shift, "sleep", "60")[0].successor == "23"
    assert not (tmp_path / "calls").exists()


def test_driver_goes_on_where_its_successor_is_refused(last_shift: Path, programs: Path) -> None:
    program(programs, "sbatch", "echo 'sbatch: error: Invalid account' >&2; exit 1")
    own, status = drive(last_shift, "sh", "-c", "sleep 0.5; exit 3")
    assert (own.successor, status) == ("", 3)


def test_campaign_that_is_stopped_recalls_the_successor(last_shift: Path, programs: Path, tmp_path: Path) -> None:
    program(programs, "scancel", f'echo "$@" > {tmp_path}/cancelled')
    program(programs, "sbatch", f"kill -INT {os.getpid()}; echo 21")
    drive(last_shift, "sh", "-c", "trap 'exit 7' INT; while :; do sleep 0.1; done")
    assert (tmp_path / "cancelled").read_text() == "21\n"


@pytest.mark.usefixtures("last_shift")
def test_driver_that_waits_for_jobs_hands_on_too(programs: Path) -> None:
    program(programs, "squeue", "echo '4|p_x'")
    assert not slurm.settle_orphans("p", "wait", lambda _: None, shift.Shift().is_over)


@pytest.mark.parametrize(
    ("runtime", "seconds"), [("2880", 172620), ("2-00:00:00", 172620), ("10", 420), ("4", 120), ("1", 30)]
)
def test_driver_hands_on_minutes_before_its_limit(programs: Path, tmp_path: Path, runtime: str, seconds: int) -> None:
    program(programs, "sbatch", "echo 20")
    program(programs, "sinfo", "echo 'cpu|infinite|64|250000|(null)'")
    (tmp_path / "config.yaml").write_text(f"set-resources: {{driver: {{slurm_partition: cpu, runtime: {runtime}}}}}\n")
    assert shift.submit_driver(tmp_path / "campaign", str(tmp_path), ["-n"]) == "20"
    assert f"$(date +%s) + {seconds}))" in (tmp_path / "campaign" / shift.SCRIPT).read_text()


# --- drivers ---------------------------------------------------------------------------------------------------------


def leave_driver(folder: Path, age: float, **description: object) -> None:
    """What a driver that was killed leaves behind."""
    file = folder / driver.NAME
    file.parent.mkdir(parents=True)
    file.write_text(
        json.dumps({"host": "login2", "pid": 7, "slurm_job": None, "job_prefix": "p", "token": "x"} | description)
    )
    moment = time.time() - age
    os.utime(file, (moment, moment))


def test_driver_on_another_machine_is_named_and_respected(tmp_path: Path) -> None:
    leave_driver(tmp_path, age=30)
    with pytest.raises(CampaignBusyError, match="by process 7 on login2"), driver.driving(tmp_path, "p"):
        pass
    assert json.loads((tmp_path / driver.NAME).read_text())["host"] == "login2"


@pytest.mark.parametrize(
    ("age", "description"), [(3600, {}), (5, {"host": socket.gethostname()})], ids=["silent", "same machine, no lock"]
)
def test_driver_that_is_gone_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: float, description: dict[str, object]
) -> None:
    monkeypatch.setattr(driver, "SETTLING", 0.0)
    leave_driver(tmp_path, age, **description)
    with driver.driving(tmp_path, "q") as left:
        assert left == "p"
        assert json.loads((tmp_path / driver.NAME).read_text())["pid"] == os.getpid()
    assert not (tmp_path / driver.NAME).exists()


def test_driver_that_ran_its_jobs_here_leaves_none_on_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "SETTLING", 0.0)
    leave_driver(tmp_path, age=5, host=socket.gethostname(), job_prefix="")
    with driver.driving(tmp_path, "") as left:
        assert left == ""


def test_driver_whose_job_has_ended_is_gone(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "SETTLING", 0.0)
    leave_driver(tmp_path / "c", age=5, slurm_job="12")
    program(programs, "squeue", "echo RUNNING")
    with pytest.raises(CampaignBusyError), driver.driving(tmp_path / "c", "p"):
        pass
    program(programs, "squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    with driver.driving(tmp_path / "c", "p") as left:
        assert left == "p"


def test_driver_that_slurm_starts_again_on_another_node_takes_over(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "SETTLING", 0.0)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    leave_driver(tmp_path / "c", age=5, slurm_job="12")
    program(programs, "squeue", "echo RUNNING")
    with driver.driving(tmp_path / "c", "p") as left:
        assert left == "p"


def test_driver_beats_while_it_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "HEARTBEAT", 0.01)
    heard: list[int] = []
    with driver.driving(tmp_path, "p", lambda: heard.append(1)) as left:
        assert left == ""
        deadline = time.monotonic() + 30
        while not heard and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "heartbeat" in json.loads((tmp_path / driver.NAME).read_text())
    assert heard
