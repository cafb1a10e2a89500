"""Settings of every test run: a run that is told to stop says what it did not reach."""

import signal
from types import FrameType

import pytest


class UnreachedTests:
    """Ends the run on SIGTERM as an interrupted one and lists the tests without a result.

    Exit codes are pytest's: 1 if a test had failed by then, else 2.
    """

    def __init__(self) -> None:
        self._pending: dict[str, None] = {}
        self._session: pytest.Session | None = None
        self._stopped = False

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Take over SIGTERM."""
        self._session = session
        signal.signal(signal.SIGTERM, self._stop)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what is going to run."""
        self._pending = dict.fromkeys(item.nodeid for item in session.items)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Strike out a test that has its result."""
        self._pending.pop(nodeid, None)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List the tests that were cut off or never begun."""
        if not self._stopped:
            return
        terminalreporter.section(f"not reached: {len(self._pending)} tests")
        for nodeid in self._pending:
            terminalreporter.line(nodeid)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopped = True
        failed = self._session is not None and self._session.testsfailed > 0
        code = pytest.ExitCode.TESTS_FAILED if failed else pytest.ExitCode.INTERRUPTED
        pytest.exit("told to stop", returncode=code)


def pytest_configure(config: pytest.Config) -> None:
    """Register the plug-in, once per run."""
    config.pluginmanager.register(UnreachedTests(), "unreached-tests")
