"""A real Slurm on this machine, from Debian's packages: a controller, two CPU nodes and a GPU node, all virtual.

Slurm is found by way of /etc/slurm/slurm.conf, as the executor takes SLURM_CONF from its jobs: the tests make a link
there, and are skipped where one is.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "munged")
SYSTEM_FOLDER = Path("/etc/slurm")
NODES = ("c1", "c2", "g1")
FIRST_PORT = 17817  # of the controller; those of the nodes follow
PATIENCE = 60.0  # seconds until everything is up
CONFIGURATION = """\
ClusterName=virtual
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
MinJobAge=3600
ReturnToService=2
KillWait=5
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=c[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{second}] CPUs=4 RealMemory=6000
NodeName=g1 NodeHostname={host} NodeAddr=127.0.0.1 Port={third} CPUs=4 RealMemory=6000 Gres=gpu:a100:2
PartitionName=cpu Nodes=c[1-2] Default=YES MaxTime=12:00:00 State=UP
PartitionName=gpu Nodes=g1 MaxTime=12:00:00 State=UP
PartitionName=night Nodes=g1 MaxTime=12:00:00 State=DOWN
"""


FORMAT = "%i|%T|%P|%N|%S|%e|%j|%k"


@dataclass(frozen=True)
class Job:
    """A job by Slurm's records.

    Attributes:
        number: Of the job.
        state: As ``COMPLETED``.
        partition: Where it was sent.
        node: Where it ran; empty if it did not.
        start: When, as ISO date; ``N/A`` before.
        end: When it ended, as ISO date.
        name: Of the job.
        comment: For Snakemake's jobs the rule and the wildcards.
    """

    number: str
    state: str
    partition: str
    node: str
    start: str
    end: str
    name: str
    comment: str

    @property
    def rule(self) -> str:
        """Name of the rule."""
        return self.comment.removeprefix("rule_").partition("_wildcards_")[0]


@dataclass(frozen=True)
class Cluster:
    """A running Slurm; its folder holds the logs of its daemons."""

    folder: Path

    def command(self, *words: str) -> str:
        """Output of one of Slurm's programs."""
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout

    def jobs(self) -> list[Job]:
        """All jobs that there were, in the order of their submission."""
        names = [field.name for field in fields(Job)]
        lines = self.command("squeue", "--noheader", "--states=all", f"--format={FORMAT}").splitlines()
        found = [Job(**dict(zip(names, line.split("|", len(names) - 1), strict=True))) for line in lines]
        return sorted(found, key=lambda job: int(job.number))

    def suspend(self, job: Job) -> None:
        """Halt a job, as a scheduler does that lets others pass."""
        self.command("scontrol", "suspend", job.number)

    def resume(self, job: Job) -> None:
        """Let a halted job go on."""
        self.command("scontrol", "resume", job.number)

    def power_off(self, node: str) -> None:
        """End a node at once, with all that runs there, and let the controller know."""
        steps = [f"slurmstepd: [{job.number}." for job in self.jobs() if job.node == node]
        daemon = int((self.folder / f"slurmd-{node}.pid").read_text())
        lost = [daemon, *(pid for pid in _processes() if _command_line(pid).startswith(tuple(steps)))]
        for pid in [*lost, *_descendants(lost)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.command("scontrol", "update", f"nodename={node}", "state=down", "reason=power")

    def power_on(self, node: str) -> None:
        """Start a node again."""
        _start(["slurmd", "-N", node], self.folder / f"slurmd-{node}.pid")

    def stop_controller(self) -> None:
        """End the controller, as in maintenance; nodes and jobs go on."""
        _end(self.folder / "slurmctld.pid")

    def start_controller(self) -> None:
        """Start the controller with the state that it had."""
        _start(["slurmctld"], self.folder / "slurmctld.pid")


def _why_not() -> str:
    """Why there can be no Slurm here; nothing if there can."""
    if os.geteuid() != 0:
        return "only root can start a Slurm"
    if missing := [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]:
        return f"no {', '.join(missing)}; apt-get install slurmctld slurmd slurm-client munge"
    if (SYSTEM_FOLDER / "slurm.conf").exists():
        return f"{SYSTEM_FOLDER}/slurm.conf is there: this machine belongs to a cluster"
    return ""


def _start(command: list[str], pid_file: Path) -> None:
    program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None
    pid_file.unlink(missing_ok=True)
    subprocess.run([program, *command[1:]], check=True, timeout=PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while not pid_file.exists():
        assert time.monotonic() < deadline, f"{command[0]} does not start"
        time.sleep(0.05)


def _end(pid_file: Path) -> None:
    """End a daemon by its own file, and nothing else."""
    with suppress(FileNotFoundError, ProcessLookupError, ValueError):
        pid = int(pid_file.read_text())
        os.kill(pid, 15)
        deadline = time.monotonic() + PATIENCE
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, 9)


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def _descendants(ancestors: list[int]) -> list[int]:
    """Children, their children, and so on."""
    parents = {}
    for pid in _processes():
        with suppress(OSError):
            parents[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    found: list[int] = []
    newest = ancestors
    while newest:
        newest = [pid for pid, parent in parents.items() if parent in newest]
        found += newest
    return found


def _kill_jobs() -> None:
    """End what still runs, as of a test that failed."""
    steps = [pid for pid in _processes() if _command_line(pid).startswith("slurmstepd: [")]
    for pid in [*steps, *_descendants(steps)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _start_daemons(folder: Path) -> None:
    munge = [f"--{name}={folder}/munge.{name.partition('-')[0]}" for name in ("socket", "pid-file", "log-file")]
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    _start(["munged", "--force", f"--key-file={key}", f"--seed-file={folder}/munge.seed", *munge], folder / "munge.pid")
    _start(["slurmctld"], folder / "slurmctld.pid")
    for node in NODES:
        _start(["slurmd", "-N", node], folder / f"slurmd-{node}.pid")


def _configure(folder: Path) -> list[Path]:
    """Write the configuration; the links to it."""
    host = socket.gethostname().partition(".")[0]
    ports = dict(zip(("port", "first", "second", "third"), range(FIRST_PORT, FIRST_PORT + 4), strict=True))
    (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, folder=folder, **ports))
    devices = [folder / f"gpu{number}" for number in range(2)]
    for device in devices:  # as good as GPUs for a scheduler
        os.mknod(device, 0o20666, os.makedev(1, 3))
    (folder / "gres.conf").write_text(f"NodeName=g1 Name=gpu Type=a100 File={folder}/gpu[0-1]\n")
    (folder / "state").mkdir()
    SYSTEM_FOLDER.mkdir(exist_ok=True)
    links = [SYSTEM_FOLDER / name for name in ("slurm.conf", "gres.conf")]
    for link in links:
        link.symlink_to(folder / link.name)
    return links


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Slurm that is up."""
    if reason := _why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slurm")
    folder.chmod(0o755)  # munge insists
    links: list[Path] = []
    try:
        links = _configure(folder)
        _start_daemons(folder)
        found = Cluster(folder)
        deadline = time.monotonic() + PATIENCE
        while set(found.command("sinfo", "--noheader", "--Node", "--format=%T").split()) != {"idle"}:
            assert time.monotonic() < deadline, "the nodes are not up"
            time.sleep(0.2)
        yield found
    finally:
        _kill_jobs()
        for name in (*(f"slurmd-{node}" for node in NODES), "slurmctld", "munge"):
            _end(folder / f"{name}.pid")
        for link in links:
            link.unlink(missing_ok=True)
