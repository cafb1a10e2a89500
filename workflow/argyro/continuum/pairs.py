"""Tables of Arrhenius pairs: what bulk and boundaries of a material conduct at any temperature."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from ase.units import kB

from argyro.common.errors import ContinuumError, FileError

KEY = ["anion", "exchange_percent"]
REGIONS = ("bulk", "gb", "gb_par", "gb_perp")
PREFACTORS = {"D0_cm2_per_s": 1.0, "D0_1e-7_cm2_per_s": 1e-7}


class Arrhenius(NamedTuple):
    """D = D0 exp(-Ea / kT): Ea in eV, D0 in cm^2/s."""

    Ea_eV: float
    D0_cm2_per_s: float

    def at(self, temperature_K: float) -> float:
        """Diffusivity, cm^2/s."""
        return self.D0_cm2_per_s * float(np.exp(-self.Ea_eV / (kB * temperature_K)))


@dataclass(frozen=True)
class Pair:
    """Bulk and boundaries of one material.

    Attributes:
        anion: Halide.
        exchange_percent: Its exchange with sulfur.
        bulk: Of grains.
        along: Of boundaries, along them.
        across: Of boundaries, across them.
    """

    anion: str
    exchange_percent: float
    bulk: Arrhenius
    along: Arrhenius
    across: Arrhenius

    def at(self, temperature_K: float) -> tuple[float, float, float]:
        """D_bulk, D_par and D_perp at a temperature, cm^2/s."""
        return self.bulk.at(temperature_K), self.along.at(temperature_K), self.across.at(temperature_K)


def read_pairs(path: Path) -> tuple[list[Pair], pd.DataFrame]:
    """Pairs of a table, and the materials that are skipped as they lack bulk or boundaries.

    Args:
        path: CSV, with comments after ``#``, or parquet; columns as ``continuum.diffusivity`` describes them.

    Returns:
        Pairs in the order of the table, and a table of anion, exchange_percent and reason.

    Raises:
        FileError: the file or a column is missing.
        ContinuumError: a value is no number or not positive, or a region is unknown or given twice.
    """
    table = read_table(path)
    pairs, skipped = [], []
    for (anion, exchange), rows in table.groupby(KEY, sort=False):
        regions = _regions(path, anion, exchange, rows)
        missing = _missing(regions)
        if missing:
            skipped.append({"anion": anion, "exchange_percent": float(exchange), "reason": f"no row of {missing}"})
            continue
        along, across = (regions.get(name) or regions["gb"] for name in ("gb_par", "gb_perp"))
        pairs.append(Pair(anion, float(exchange), regions["bulk"], along, across))
    return pairs, pd.DataFrame(skipped, columns=[*KEY, "reason"])


def read_samples(path: Path) -> dict[tuple[str, float], list[Pair]]:
    """Draws of pairs, by anion and exchange: a table as for `read_pairs` with a column ``sample``.

    Raises:
        FileError: the file or a column is missing.
        ContinuumError: as `read_pairs`.
    """
    table = read_table(path)
    if "sample" not in table:
        raise FileError(f"{path} has no column sample; give each draw of the pairs a number there")
    samples: dict[tuple[str, float], list[Pair]] = {}
    for (anion, exchange, _), rows in table.groupby([*KEY, "sample"], sort=True):
        regions = _regions(path, anion, exchange, rows)
        if not _missing(regions):
            along, across = (regions.get(name) or regions["gb"] for name in ("gb_par", "gb_perp"))
            pair = Pair(anion, float(exchange), regions["bulk"], along, across)
            samples.setdefault((anion, float(exchange)), []).append(pair)
    return samples


def read_table(path: Path) -> pd.DataFrame:
    """Rows with anion, exchange_percent, region, Ea_eV and D0_cm2_per_s.

    Raises:
        FileError: the file or a column is missing.
        ContinuumError: a value is no number or not positive, or a region is unknown.
    """
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, comment="#")
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read as a table: {error}") from None
    prefactor = next((name for name in PREFACTORS if name in table), None)
    lacking = [name for name in (*KEY, "region", "Ea_eV") if name not in table]
    if lacking or prefactor is None:
        raise FileError(f"{path} has no column {(lacking or [' or '.join(PREFACTORS)])[0]}")
    values = table[["Ea_eV", prefactor]].apply(pd.to_numeric, errors="coerce")
    table = table.assign(Ea_eV=values["Ea_eV"], D0_cm2_per_s=values[prefactor] * PREFACTORS[prefactor])
    for row in table.to_dict("records"):
        _check(path, row)
    return table


def _check(path: Path, row: dict[str, Any]) -> None:
    where = f"{path}: {row['anion']} {row['exchange_percent']} % {row['region']}"
    if row["region"] not in REGIONS:
        raise ContinuumError(f"{where}: the region is unknown; allowed: {', '.join(REGIONS)}")
    if not np.isfinite(row["Ea_eV"]):
        raise ContinuumError(f"{where}: Ea_eV must be a number")
    if not (np.isfinite(row["D0_cm2_per_s"]) and row["D0_cm2_per_s"] > 0):
        raise ContinuumError(f"{where}: D0 is {row['D0_cm2_per_s']:g} cm^2/s; it must be a positive number")


def _regions(path: Path, anion: str, exchange: float, rows: pd.DataFrame) -> dict[str, Arrhenius]:
    if rows["region"].duplicated().any():
        twice = rows["region"][rows["region"].duplicated()].iloc[0]
        raise ContinuumError(f"{path}: {anion} {exchange} % has two rows of {twice}; give one")
    return {row.region: Arrhenius(float(row.Ea_eV), float(row.D0_cm2_per_s)) for row in rows.itertuples()}


def _missing(regions: dict[str, Arrhenius]) -> str:
    """The region that a pair cannot do without, or nothing."""
    if "bulk" not in regions:
        return "bulk"
    return "" if "gb" in regions or {"gb_par", "gb_perp"} <= set(regions) else "gb"
