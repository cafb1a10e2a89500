"""The report of a finished run, and what its results came from."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from argyro.common.errors import ArgyroError
from argyro.common.files import replacing, write_json, write_text
from argyro.config.load import ROOT
from argyro.config.model import Config

from . import crate, manifest
from .overview import overview, read_campaign

NAME = "report.html"
OVERVIEW = "overview.rst"  # what the report begins with; the Snakefile looks for it
OURS = {NAME, OVERVIEW, manifest.NAME, crate.NAME, crate.WORKFLOW}


def make_report(command: Sequence[str], folder: Path, config: Config) -> Path:
    """Make ``report.html``, the manifest and the crate anew if anything of the campaign is newer.

    Args:
        command: Snakemake's command line of the run that just ended.
        folder: The campaign's folder.
        config: Its configuration.

    Returns:
        Path of the report.

    Raises:
        ArgyroError: Snakemake could not make it.
    """
    report = folder / NAME
    made = [folder / name for name in OURS]
    if all(file.exists() for file in made) and report.stat().st_mtime >= _newest(folder):
        return report
    versions = manifest.installed_versions()
    write_text(folder / OVERVIEW, overview(read_campaign(folder, config), versions))
    with replacing(report) as temporary:
        done = subprocess.run(  # noqa: S603  our own
            [*command, "--report", str(temporary)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise ArgyroError(f"the report could not be made:\n{done.stderr[-2000:]}")
    write_provenance(folder, config)
    return report


def write_provenance(folder: Path, config: Config) -> None:
    """Write ``manifest.json``, a copy of the Snakefile, and the crate that describes both and the results."""
    content = manifest.manifest(folder, config)
    write_json(folder / manifest.NAME, content)
    write_text(folder / crate.WORKFLOW, (ROOT / crate.WORKFLOW).read_text(encoding="utf-8"))
    write_json(folder / crate.NAME, crate.crate(folder, content))


def _newest(folder: Path) -> float:
    """When anything but hidden files, what is made here and logs last changed."""
    entries = [path for path in folder.iterdir() if path.name[0] != "." and path.name not in {*OURS, "logs"}]
    files = [file for entry in entries for file in ([entry] if entry.is_file() else entry.rglob("*"))]
    return max((file.stat().st_mtime for file in files), default=0.0)
