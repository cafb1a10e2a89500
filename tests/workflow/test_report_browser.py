"""The report in a real browser: figures are there, the first page has its tables, and nothing goes wrong."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
TIMEOUT = 300  # seconds; far more than any run here takes
SETTINGS = """
campaign: test
continuum:
  microstructures: [{name: few, grains: 2, seed: 1}]
"""
ERROR = re.compile(r"CONSOLE.*(?:error|uncaught)", re.IGNORECASE)

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def report(run_in: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a campaign whose only figure is the picture of a polycrystal."""
    folder = tmp_path_factory.mktemp("report")
    words = ("figures/microstructure.png", "report", "--config", "dynamics.structures=[]")
    run_in(folder, *words, settings=SETTINGS)
    return folder / "results/test/report.html"


def browse(page: Path, profile: Path) -> tuple[str, str]:
    """The page's document after its scripts ran, and what the browser logged."""
    assert CHROMIUM is not None
    process = subprocess.run(
        [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
            "--enable-logging=stderr", "--v=0", "--virtual-time-budget=20000", "--dump-dom", page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )  # fmt: skip
    return process.stdout, process.stderr


def test_report_opens_without_errors_and_begins_with_the_overview(report: Path, tmp_path: Path) -> None:
    document, log = browse(report, tmp_path)
    assert not ERROR.findall(log), log
    assert "Campaign test" in document
    for heading in ("What ran", "Sanity", "Not resolved", "Software"):
        assert heading in document, heading


def test_report_holds_the_figure_itself(report: Path) -> None:
    """It is one file that needs no network: the picture is in it."""
    text = report.read_text(encoding="utf-8")
    assert "figures/microstructure.png" in text
    assert re.search(r"data:image/png;[^,]*base64,", text)
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']https?://", text)


def test_results_are_described_beside_the_report(report: Path) -> None:
    graph = json.loads((report.parent / "ro-crate-metadata.json").read_text())["@graph"]
    described = {entity["@id"] for entity in graph}
    assert {"./", "Snakefile", "config.yaml", "manifest.json", "report.html", "figures/microstructure.png"} <= described
    assert all((report.parent / name).exists() for name in described if re.match(r"[\w/]+\.\w+$", name))
