"""Campaigns in folders of tests: what ``scripts/run`` does once the environment is there."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

TIMEOUT = 1200  # seconds; far more than any run of these tests takes
COUNTS = re.compile(r"^job +count\n[- ]+\n(.*?)^total", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="session")
def run_in() -> Callable[..., str]:
    """A function that runs words in a folder, with settings if any are given, and returns what was said.

    Results are in ``results`` of that folder. It fails where the exit status is not the one that is given, 0 if none.
    """

    def run(folder: Path, *words: str, settings: str = "", status: int = 0) -> str:
        chosen: tuple[str, ...] = ()
        if settings:
            (folder / "settings.yaml").write_text(settings)
            chosen = ("--configfile", str(folder / "settings.yaml"))
        process = subprocess.run(
            [sys.executable, "-P", "-m", "argyro.campaign.run", *chosen, *words],
            env=os.environ | {"ARGYRO_RESULTS": str(folder / "results")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert process.returncode == status, process.stdout
        return process.stdout

    return run


@pytest.fixture
def run(run_in: Callable[..., str], tmp_path: Path) -> Callable[..., str]:
    """The same in the test's own folder."""

    def run_here(*words: str, settings: str = "", status: int = 0) -> str:
        return run_in(tmp_path, *words, settings=settings, status=status)

    return run_here


@pytest.fixture
def planned(run: Callable[..., str]) -> Callable[..., dict[str, int]]:
    """A function that returns which rules would run, and how often; none if there is nothing to do."""

    def plan(*words: str, settings: str = "") -> dict[str, int]:
        output = run("-n", *words, settings=settings)
        table = COUNTS.search(output)
        if table is None:
            assert "Nothing to be done" in output, output
            return {}
        return {rule: int(count) for rule, count in (line.split() for line in table.group(1).splitlines())}

    return plan


@pytest.fixture(scope="session")
def kill_all() -> Callable[[int], None]:
    """A function that kills every process of a session (SIGKILL), those too that are started meanwhile."""

    def kill(session: int) -> None:
        while processes := living(session):
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)

    return kill


def living(session: int) -> set[int]:
    """Processes of a session, however deep in its tree, that are more than an entry in a table."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, own = file.read_text().rpartition(")")[2].split()[:4]
            if int(own) == session and state != "Z":
                found.add(int(file.parent.name))
    return found
