"""Tables of a quickstart that ship with the project: all that figures read, to draw them without a simulation."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from argyro.common.files import read_json
from argyro.config.load import ROOT

SHIPPED = ROOT / "config/reference/quickstart"
INDEX = "index.json"
ORIGIN = "this campaign: the quickstart whose tables ship with the project"  # above every figure
TABLES = (
    "learning/ledger.parquet",
    "learning/forces.parquet",
    "dynamics/boundaries.parquet",
    "transport/diffusivity.parquet",
    "transport/arrhenius.parquet",
    "continuum/effective_diffusivity.parquet",
    "continuum/curves.parquet",
    "continuum/crossover.parquet",
)
MOST_PICTURED = 2


class Drawn(NamedTuple):
    """What is drawn besides joined tables.

    Attributes:
        cells: Names of the microstructures of the continuum stage.
        bicrystals: Names and repeats of the bicrystals that were run.
        pictured: Structures whose atoms are drawn.
    """

    cells: list[str]
    bicrystals: list[tuple[str, int]]
    pictured: list[str]


def pictured(polycrystals: Iterable[str], bicrystals: Iterable[tuple[str, int]]) -> list[str]:
    """Structures whose atoms are drawn, at most two: polycrystals first, then bicrystals."""
    return [*polycrystals, *dict.fromkeys(name for name, _ in bicrystals)][:MOST_PICTURED]


def read_index(folder: Path) -> Drawn:
    """What is drawn of shipped tables.

    Raises:
        FileError: there are none.
    """
    content = read_json(folder / INDEX)
    bicrystals = [(str(name), int(repeat)) for name, repeat in content["bicrystals"]]
    return Drawn(content["cells"], bicrystals, content["pictured"])
