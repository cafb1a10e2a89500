"""Tables that ship with the project: there, with all that figures need, and what keeps them so."""

import re
from pathlib import Path
from shutil import copytree
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from argyro.campaign.manifest import manifest
from argyro.campaign.ship import FORCES, draw_picture, ship
from argyro.common.errors import FileError
from argyro.common.files import read_json, sha256_of_file, write_json
from argyro.config.load import ROOT
from argyro.config.model import Config
from argyro.figures import (
    arrhenius,
    barriers,
    boundaries,
    contrast_map,
    crossover,
    forces,
    grain_size,
    learning,
    profile,
)
from argyro.figures.shipped import INDEX, SHIPPED, TABLES, pictured, read_index

MADE = {  # columns that the data of figures have beyond those of the tables, and those of other tables
    "arrhenius": {"source"},
    "barriers": {"source", "anion_radius_angstrom"},
    "boundaries": {"temperature_K", "status", *(n for n in boundaries.COLUMNS if n.startswith(boundaries.ANISOTROPY))},
    "forces": {"shows", "structures", "components", *(n for n in forces.COLUMNS if n.startswith(forces.ERROR))},
    "crossover": {"source", "crossover_K_lo68", "crossover_K_hi68"},
    "contrast_map": {"source", "microstructure", "anion", "exchange_percent", "temperature_K"},
}
READ = [
    ("transport/diffusivity.parquet", arrhenius),
    ("transport/arrhenius.parquet", barriers),
    ("transport/diffusivity.parquet", profile),
    ("dynamics/boundaries.parquet", boundaries),
    ("learning/ledger.parquet", learning),
    ("learning/forces.parquet", forces),
    ("continuum/effective_diffusivity.parquet", grain_size),
    ("continuum/curves.parquet", crossover),
    (f"continuum/{read_index(SHIPPED).cells[0]}/map.parquet", contrast_map),
]


@pytest.mark.parametrize(("table", "figure"), READ, ids=lambda each: getattr(each, "__name__", None))
def test_shipped_tables_have_the_columns_that_figures_show(table: str, figure: Any) -> None:
    """And rows."""
    rows = pd.read_parquet(SHIPPED / table)
    needed = set(figure.COLUMNS) - MADE.get(figure.__name__.rpartition(".")[2], set())
    assert needed <= set(rows)
    assert len(rows)


def test_all_joined_tables_that_rules_of_figures_read_are_shipped() -> None:
    rules = (ROOT / "workflow/rules/figures.smk").read_text()
    read = set(re.findall(r'of_tables\("(\w+/\w+\.parquet)"\)', rules))
    assert read == set(TABLES)
    assert not re.findall(r'^\s+(?:\w+=)?"\w+/\w+\.parquet"', rules, re.MULTILINE), "nothing is read past of_tables"


def test_shipped_files_are_those_that_their_readme_knows() -> None:
    text = (SHIPPED / "README.md").read_text()
    files = [path for path in SHIPPED.rglob("*.*") if path.parent != SHIPPED]
    assert {path.relative_to(SHIPPED).as_posix() for path in files} >= set(TABLES)
    for path in files:
        assert f"`{path.relative_to(SHIPPED).as_posix()}` |" in text
        assert sha256_of_file(path) in text
    assert sum(path.stat().st_size for path in files) < 1.5e6, "bytes; the repository holds them for ever"


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """A finished campaign with all that figures read, as the shipped tables have it."""
    folder = copytree(SHIPPED, tmp_path / "campaign")
    (folder / INDEX).unlink()
    forces_table = pd.read_parquet(folder / FORCES).head(100)
    forces_table.assign(element="Li", axis="x", force_eV_per_angstrom=1.23456).to_parquet(folder / FORCES)
    write_json(folder / "manifest.json", manifest(folder, Config(campaign="mine", seed=7)))
    return folder


def test_what_is_shipped_is_copied_with_its_provenance(campaign: Path, tmp_path: Path) -> None:
    target = tmp_path / "shipped"
    (target / "dynamics").mkdir(parents=True)
    (target / "dynamics/old.parquet").write_text("of an earlier campaign")
    files = ship(campaign, target)
    assert read_index(target) == read_index(SHIPPED), "the rules draw the same of a campaign and of its tables"
    assert not (target / "dynamics/old.parquet").exists()
    assert {path.relative_to(target).as_posix() for path in files} >= {*TABLES, INDEX, "README.md"}
    table = "transport/diffusivity.parquet"
    assert (target / table).read_bytes() == (campaign / table).read_bytes()
    assert set(pd.read_parquet(target / FORCES)["force_eV_per_angstrom"]) == {1.23}
    text = (target / "README.md").read_text()
    assert "mine, 7" in text
    assert read_json(campaign / "manifest.json")["config_sha256"] in text


def test_unfinished_campaign_is_not_shipped(campaign: Path, tmp_path: Path) -> None:
    (campaign / "continuum/curves.parquet").unlink()
    with pytest.raises(FileError, match=r"curves.parquet is missing"):
        ship(campaign, tmp_path / "shipped")
    (campaign / "manifest.json").unlink()
    with pytest.raises(FileError, match=r"it has no manifest.json; run scripts/run first"):
        ship(campaign, tmp_path / "shipped")
    assert not (tmp_path / "shipped").exists()


def test_tables_that_are_newer_than_the_manifest_are_not_shipped(campaign: Path, tmp_path: Path) -> None:
    table = campaign / "learning/ledger.parquet"
    pd.read_parquet(table).assign(round=1).to_parquet(table)
    with pytest.raises(FileError, match=r"ledger.parquet is not the one that manifest.json knows"):
        ship(campaign, tmp_path / "shipped")


def test_polycrystals_are_pictured_before_bicrystals() -> None:
    assert pictured(["p"], [("b", 0), ("b", 1), ("c", 0)]) == ["p", "b"]
    assert pictured([], [("b", 0), ("b", 1), ("c", 0)]) == ["b", "c"]


def test_picture_of_the_first_page_is_small_and_shows_both_figures(tmp_path: Path) -> None:
    draw_picture(SHIPPED, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size < 200_000
    image = Image.open(tmp_path / "picture.png").convert("RGB")
    halves = image.crop((0, 0, image.width // 2, image.height)), image.crop((3 * image.width // 4, 0, *image.size))
    assert all(len(half.getcolors(image.width * image.height)) > 10 for half in halves)


@pytest.mark.parametrize("anion", ["Cl", "Br", "I"])
def test_shipped_teacher_has_no_wells_and_the_lattice_of_its_labels(anion: str) -> None:
    found = pd.read_csv(ROOT / f"config/reference/teacher/{anion}-properties.csv", index_col="property")
    assert found.loc["short_range_wells", "teacher"] == 0
    for temperature in ("0K", "300K"):
        edges = found.loc[f"lattice_constant_{temperature}_angstrom"]
        assert edges["teacher"] == pytest.approx(edges["labels"], rel=0.005)
