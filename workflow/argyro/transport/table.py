"""Tables of the stage: diffusivities of all runs, boundaries by the rule of mixtures, Arrhenius parameters."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from argyro.common.errors import DynamicsError
from argyro.common.statistics import student_interval

from .arrhenius import Arrhenius, Measurement, curvature, fit_arrhenius
from .regions import mixture_diffusivity

FAMILY = [
    "kind",
    "material",
    "anion",
    "exchange_percent",
    "boundary",
    "region",
    "direction",
    "method",
    "width_angstrom",
]
"""What diffusivities of one Arrhenius line have in common; arrangements, candidates and potentials differ."""
LINES = {"tracer", "regions", "mixture", "collective"}  # methods that are fitted
FITTED = [
    "curvature", "bic_gain_of_two", "activation_energy_eV", "activation_energy_error_eV", "activation_energy_eV_lo68",
    "activation_energy_eV_hi68", "activation_energy_eV_lo95", "activation_energy_eV_hi95", "ln_D0_cm2_per_s",
    "ln_D0_error", "correlation", "group_scatter", "fit_probability", "extrapolation_K", "D_extrapolated_cm2_per_s",
    "D_extrapolated_cm2_per_s_lo68", "D_extrapolated_cm2_per_s_hi68", "D_extrapolated_cm2_per_s_lo95",
    "D_extrapolated_cm2_per_s_hi95",
]  # fmt: skip
"""What a line has that was fitted; nothing there for one that was not."""
NUMBERS = [
    "D_cm2_per_s", "D_error_cm2_per_s", "D_cm2_per_s_lo68", "D_cm2_per_s_hi68", "D_cm2_per_s_lo95", "D_cm2_per_s_hi95",
    "D_cm2_per_s_upper95", "conductivity_mS_per_cm", "haven_ratio", "width_angstrom", "z_angstrom",
    "boundary_area_per_volume_per_angstrom",
]  # fmt: skip
"""Columns that are there even if no row has a number."""
type Row = dict[str, Any]


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of all runs in one table."""
    table = pd.concat(tables, ignore_index=True)
    return table.assign(**{name: np.nan for name in NUMBERS if name not in table})


def with_mixtures(table: pd.DataFrame, widths: Sequence[float]) -> pd.DataFrame:
    """Add rows of the boundary's diffusivity by the rule of mixtures, for several widths.

    Bulk is that of the same material, potential and temperature, its arrangements averaged.

    Args:
        table: Rows of all runs; those of bicrystals and polycrystals hold ``boundary_area_per_volume_per_angstrom``.
        widths: Angstrom.
    """
    whole = table[(table["method"] == "tracer") & (table["region"] == "cell") & (table["direction"] == "mean")]
    rows = [row for _, cell in whole[whole["kind"] != "bulk"].iterrows() for row in _mixtures(cell, whole, widths)]
    return pd.concat([table, pd.DataFrame(rows)], ignore_index=True) if rows else table


def _mixtures(cell: pd.Series, whole: pd.DataFrame, widths: Sequence[float]) -> Iterator[Row]:
    keys = ["material", "repeat", "temperature_K"]
    bulk = whole[(whole["kind"] == "bulk") & (whole[keys] == cell[keys]).all(axis=1)].dropna(subset=["D_cm2_per_s"])
    common = cell[[name for name in cell.index if not name.startswith(("D_", "conductivity"))]].to_dict()
    for width in widths:
        row = common | {"method": "mixture", "region": "boundary", "width_angstrom": width}
        if bulk.empty or pd.isna(cell["D_cm2_per_s"]):
            yield row | {"status": "not resolved: the cell or bulk does not diffuse"}
            continue
        values, errors = bulk["D_cm2_per_s"], bulk["D_error_cm2_per_s"]
        spread = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
        error = max(float(np.sqrt((errors**2).sum())) / len(values), float(spread))
        fraction = cell["boundary_area_per_volume_per_angstrom"] * width
        try:
            found = mixture_diffusivity(
                (cell["D_cm2_per_s"], cell["D_error_cm2_per_s"]), (float(values.mean()), error), fraction, width
            )
        except DynamicsError as problem:
            yield row | {"status": f"not resolved: {problem}"}
            continue
        low, high = found.D_cm2_per_s - found.error_cm2_per_s, found.D_cm2_per_s + found.error_cm2_per_s
        yield row | {
            "status": "resolved" if found.D_cm2_per_s > 2 * found.error_cm2_per_s else "not resolved: reaches 0",
            "D_cm2_per_s": found.D_cm2_per_s,
            "D_error_cm2_per_s": found.error_cm2_per_s,
            "D_cm2_per_s_lo68": low,
            "D_cm2_per_s_hi68": high,
        }


def with_arrangements(table: pd.DataFrame) -> pd.DataFrame:
    """Add rows of the mean over arrangements of anions, candidates and potentials, at each temperature.

    Their scatter is in the interval: the standard error of the mean by Student's distribution, but no less than the
    single errors give. Of fewer than two resolved ones there is no such row.
    """
    line = [*FAMILY, "temperature_K"]
    chosen = table[(table["method"] == "tracer") & (table["status"] == "diffusive")]
    rows = [
        dict(zip(line, key, strict=True)) | _mean_of_arrangements(group)
        for key, group in chosen.groupby(line, dropna=False, sort=True)
        if len(group) > 1
    ]
    return pd.concat([table, pd.DataFrame(rows)], ignore_index=True) if rows else table


def _mean_of_arrangements(group: pd.DataFrame) -> Row:
    values, count = group["D_cm2_per_s"], len(group)
    scatter = float(values.std(ddof=1)) / np.sqrt(count)
    single = float(np.sqrt((group["D_error_cm2_per_s"] ** 2).sum())) / count
    mean, error = float(values.mean()), max(scatter, single)
    row: Row = {
        "structure": f"mean of {count}",
        "method": "arrangements",
        "status": "resolved",
        "replicas": int(group["replicas"].sum()),
        "mean_temperature_K": float(group["mean_temperature_K"].mean()),
        "D_cm2_per_s": mean,
        "D_error_cm2_per_s": error,
    }
    for percent in (68, 95):
        low, high = student_interval(mean, error, count - 1, percent / 100)
        row |= {f"D_cm2_per_s_lo{percent}": low, f"D_cm2_per_s_hi{percent}": high}
    return row


def arrhenius_table(table: pd.DataFrame, extrapolation_K: float, seed: int) -> pd.DataFrame:
    """Arrhenius parameters of every line of diffusivities, or why there are none.

    Args:
        table: Of diffusivities.
        extrapolation_K: Temperature that the fits are extrapolated to.
        seed: Of the samples.
    """
    chosen = table[table["method"].isin(LINES)]
    lines = pd.DataFrame(
        [
            dict(zip(FAMILY, key, strict=True)) | _line(group, extrapolation_K, seed)
            for key, group in chosen.groupby(FAMILY, dropna=False, sort=True)
        ]
    )
    return lines.assign(**{name: np.nan for name in FITTED if name not in lines})  # where no line at all was fitted


def _line(group: pd.DataFrame, extrapolation_K: float, seed: int) -> Row:
    sound = group[group["status"].isin({"diffusive", "resolved"})]
    measurements = [
        Measurement(
            row["mean_temperature_K"], row["D_cm2_per_s"], row["D_error"], f"{row['structure']} {row['repeat']}"
        )
        for row in sound.assign(D_error=_errors(sound)).to_dict("records")
    ]
    counts = {
        "diffusivities": len(measurements),
        "unresolved": len(group) - len(sound),
        "temperatures_K": " ".join(f"{t:g}" for t in sorted(set(sound["temperature_K"]))),
        "groups": len({m.group for m in measurements}),
    }
    try:
        fit = fit_arrhenius(measurements, seed)
    except DynamicsError as problem:
        return counts | {"status": f"not resolved: {problem}"}
    kind, difference = curvature(measurements)
    return (
        counts | {"status": "resolved", "curvature": kind, "bic_gain_of_two": difference} | _fit(fit, extrapolation_K)
    )


def _errors(rows: pd.DataFrame) -> pd.Series:
    """Standard errors; of those that have an interval only half of that of 68 %."""
    half = (rows["D_cm2_per_s_hi68"] - rows["D_cm2_per_s_lo68"]) / 2
    return rows["D_error_cm2_per_s"].fillna(half)


def _fit(fit: Arrhenius, extrapolation_K: float) -> Row:
    median, low, high = fit.diffusivity(extrapolation_K, 0.68)
    _, low95, high95 = fit.diffusivity(extrapolation_K, 0.95)
    return {
        "activation_energy_eV": fit.activation_energy_eV,
        "activation_energy_error_eV": fit.activation_energy_error_eV,
        "activation_energy_eV_lo68": fit.activation_energy_interval68_eV[0],
        "activation_energy_eV_hi68": fit.activation_energy_interval68_eV[1],
        "activation_energy_eV_lo95": fit.activation_energy_interval95_eV[0],
        "activation_energy_eV_hi95": fit.activation_energy_interval95_eV[1],
        "ln_D0_cm2_per_s": fit.ln_D0,
        "ln_D0_error": fit.ln_D0_error,
        "correlation": fit.correlation,
        "group_scatter": fit.group_scatter,
        "fit_probability": fit.fit_probability,
        "extrapolation_K": extrapolation_K,
        "D_extrapolated_cm2_per_s": median,
        "D_extrapolated_cm2_per_s_lo68": low,
        "D_extrapolated_cm2_per_s_hi68": high,
        "D_extrapolated_cm2_per_s_lo95": low95,
        "D_extrapolated_cm2_per_s_hi95": high95,
    }
