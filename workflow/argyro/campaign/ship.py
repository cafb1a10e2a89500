"""``scripts/ship``: put tables and a picture of a finished quickstart where they are committed."""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from argyro.common.errors import ArgyroError, FileError
from argyro.common.files import read_json, replacing, sha256_of_file, write_json, write_text
from argyro.common.tables import write_table
from argyro.config.load import ROOT
from argyro.figures.arrhenius import arrhenius_data, draw_arrhenius
from argyro.figures.forces import FORCE, LABEL
from argyro.figures.microstructure import Picture, draw_microstructure
from argyro.figures.shipped import INDEX, SHIPPED, TABLES, Drawn, pictured, read_index
from argyro.figures.style import styled
from argyro.microstructure.model import read_microstructure

from . import manifest
from .command_line import DEFAULT_PRESET
from .folder import campaign_folder

EXIT_WRONG_INPUT = 2
PICTURE = ROOT / "docs/quickstart.png"
PUBLISHED = ROOT / "config/reference/published_diffusivity.csv"
FORCES = "learning/forces.parquet"
NOT_DRAWN = ["element", "axis"]  # columns of forces
DECIMALS = 2  # of forces in eV/angstrom: the table would take five times the space with all of them
PICTURE_DPI = 130
README = """\
# Tables of a quickstart

What figures read, of one finished quickstart: `scripts/run figures --config figures.tables=shipped` draws them without
a simulation. Numbers are those of teacher potentials and runs of a hundred picoseconds: they show what the project
does, and are no predictions.

Made by `scripts/run` and then `scripts/ship`, which copies them as they are; in `{forces}` alone forces are rounded to
{step} eV/angstrom. `{index}` names what is drawn besides joined tables.

| | |
|---|---|
{facts}

| file | rows | SHA-256 |
|---|---|---|
{files}
"""


def main(words: Sequence[str]) -> int:
    """Ship what the words after ``scripts/ship`` name; the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/ship",
        description="Copies what figures read from a finished quickstart to config/reference/quickstart, from where "
        "`scripts/run figures --config figures.tables=shipped` draws it, and draws docs/quickstart.png.",
    )
    parser.add_argument("folder", nargs="?", type=Path, help="of the campaign (default: that of the quickstart)")
    folder = parser.parse_args(list(words)).folder or campaign_folder(DEFAULT_PRESET)
    try:
        files = ship(folder, SHIPPED)
        draw_picture(SHIPPED, PICTURE)
    except ArgyroError as error:
        print(f"argyro: error: {error}", file=sys.stderr)  # noqa: T201  talks to the user
        return EXIT_WRONG_INPUT
    size = sum(file.stat().st_size for file in files) / 1000
    print(f"argyro: {len(files)} files, {size:.0f} kB, in {SHIPPED}; {PICTURE}: look at it, then commit both")  # noqa: T201
    return 0


def ship(campaign: Path, folder: Path) -> list[Path]:
    """Copy all that figures read.

    Args:
        campaign: Folder of a finished campaign.
        folder: Where it goes; what else is in its subfolders is removed.

    Returns:
        The files.

    Raises:
        FileError: a file is missing, or not the one that the campaign's manifest knows.
    """
    record = _manifest(campaign)
    drawn = _what_is_drawn(campaign)
    names = [*TABLES, *_pieces(drawn)]
    for name in names:
        if not (campaign / name).is_file():
            raise FileError(f"{campaign / name} is missing; let the campaign finish first: scripts/run")
    _require_recorded(campaign, record)
    for name in names:
        _copy(campaign / name, folder / name, is_forces=name == FORCES)
    write_json(folder / INDEX, drawn._asdict())
    for old in {path for part in folder.iterdir() if part.is_dir() for path in part.rglob("*") if path.is_file()}:
        if old.relative_to(folder).as_posix() not in names:
            old.unlink()
    files = [folder / name for name in names]
    write_text(folder / "README.md", _readme(folder, files, record))
    return [*files, folder / INDEX, folder / "README.md"]


def _manifest(campaign: Path) -> dict[str, Any]:
    file = campaign / manifest.NAME
    if not file.exists():
        raise FileError(f"{campaign} is no finished campaign: it has no {manifest.NAME}; run scripts/run first")
    content: dict[str, Any] = read_json(file)
    return content


def _require_recorded(campaign: Path, record: dict[str, Any]) -> None:
    """See that the manifest, which provenance is taken from, is of these tables."""
    known = {entry["path"]: entry["sha256"] for entry in record["tables"]}
    for name in TABLES:
        if known.get(name) != sha256_of_file(campaign / name):
            raise FileError(f"{campaign / name} is not the one that {manifest.NAME} knows; run scripts/run to the end")


def _what_is_drawn(campaign: Path) -> Drawn:
    """As the rules of the figures know it from the configuration."""
    table = pd.read_parquet(campaign / "transport/diffusivity.parquet")
    runs = table[["kind", "structure", "repeat"]].drop_duplicates()
    bicrystals, polycrystals = (_runs(runs[runs["kind"] == kind]) for kind in ("bicrystal", "polycrystal"))
    cells = sorted(path.parent.name for path in campaign.glob("continuum/*/map.parquet"))
    return Drawn(cells, bicrystals, pictured(dict.fromkeys(name for name, _ in polycrystals), bicrystals))


def _runs(rows: pd.DataFrame) -> list[tuple[str, int]]:
    return list(zip(rows["structure"].astype(str), rows["repeat"].astype(int).tolist(), strict=True))


def _pieces(drawn: Drawn) -> list[str]:
    """Files besides joined tables."""
    cells = [f"continuum/{cell}/{file}" for cell in drawn.cells for file in ("map.parquet", "t0/microstructure.json")]
    grains = [f"dynamics/{name}/r{repeat}/microstructure.json" for name, repeat in drawn.bicrystals]
    atoms = [
        f"dynamics/{name}/r0/{file}" for name in drawn.pictured for file in ("microstructure.json", "start.extxyz")
    ]
    return list(dict.fromkeys([*cells, *grains, *atoms]))


def _copy(source: Path, target: Path, *, is_forces: bool) -> None:
    if is_forces:
        table = pd.read_parquet(source).drop(columns=NOT_DRAWN)
        write_table(target, table.assign(**{name: table[name].round(DECIMALS) for name in (LABEL, FORCE)}))
    else:
        with replacing(target) as temporary:
            temporary.write_bytes(source.read_bytes())


def _readme(folder: Path, files: Sequence[Path], record: dict[str, Any]) -> str:
    facts = {"campaign, seed": f"{record['campaign']}, {record['seed']}", "configuration": record["config_sha256"]}
    facts |= {f"potential {entry['path']}": entry["sha256"] for entry in record["potentials"]}
    software = record["software"]
    facts["software"] = ", ".join(f"{name} {software[name]}" for name in sorted(software))
    rows = [
        f"| `{file.relative_to(folder).as_posix()}` | "
        f"{len(pd.read_parquet(file)) if file.suffix == '.parquet' else ''} | `{sha256_of_file(file)}` |"
        for file in files
    ]
    return README.format(
        forces=FORCES,
        step=10**-DECIMALS,
        index=INDEX,
        facts="\n".join(f"| {name} | {value} |" for name, value in facts.items()),
        files="\n".join(rows),
    )


def draw_picture(folder: Path, file: Path) -> None:
    """Draw diffusivities, and beside them the grains of the continuum stage.

    Args:
        folder: Of shipped tables.
        file: The PNG.
    """
    tables = [pd.read_parquet(folder / f"transport/{name}.parquet") for name in ("diffusivity", "arrhenius")]
    cell = read_index(folder).cells[0]
    picture = Picture(cell, read_microstructure(folder / f"continuum/{cell}/t0/microstructure.json"))
    figures = [
        draw_arrhenius(arrhenius_data(tables[0], pd.read_csv(PUBLISHED, comment="#")), tables[1]),
        draw_microstructure([picture]),
    ]
    images = []
    for figure in figures:
        with styled(), io.BytesIO() as buffer:
            figure.savefig(buffer, format="png", dpi=PICTURE_DPI)
            images.append(Image.open(buffer).convert("RGB"))
    height = images[0].height
    images = [image.resize((image.width * height // image.height, height)) for image in images]
    whole = Image.new("RGB", (sum(image.width for image in images), height), "white")
    place = 0
    for image in images:
        whole.paste(image, (place, 0))
        place += image.width
    with replacing(file) as temporary:
        whole.quantize(256).save(temporary, format="PNG", optimize=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
