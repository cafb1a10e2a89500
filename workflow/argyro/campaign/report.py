"""The report of a finished run."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from argyro.common.errors import ArgyroError
from argyro.common.files import replacing

NAME = "report.html"


def make_report(command: Sequence[str], folder: Path) -> Path:
    """Make ``report.html`` anew if anything of the campaign is newer.

    Args:
        command: Snakemake's command line of the run that just ended.
        folder: The campaign's folder.

    Returns:
        Path of the report.

    Raises:
        ArgyroError: Snakemake could not make it.
    """
    report = folder / NAME
    if report.exists() and report.stat().st_mtime >= _newest(folder):
        return report
    with replacing(report) as temporary:
        done = subprocess.run(  # noqa: S603  our own
            [*command, "--report", str(temporary)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise ArgyroError(f"the report could not be made:\n{done.stderr[-2000:]}")
    return report


def _newest(folder: Path) -> float:
    """When anything but hidden files, the report and logs last changed."""
    entries = [path for path in folder.iterdir() if path.name[0] != "." and path.name not in {NAME, "logs"}]
    files = [file for entry in entries for file in ([entry] if entry.is_file() else entry.rglob("*"))]
    return max((file.stat().st_mtime for file in files), default=0.0)
