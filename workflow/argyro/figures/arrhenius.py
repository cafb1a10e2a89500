"""Arrhenius plot: diffusivities of bulk and boundaries against temperature, a panel per anion."""

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ase.units import kB
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import COLORS, MARKERS, in_order, message_figure, new_figure, shared_legend, styled

type FloatArray = npt.NDArray[np.float64]

LINE = ["kind", "material", "exchange_percent", "boundary"]
COLUMNS = [
    "anion", *LINE, "structure", "repeat", "temperature_K", "mean_temperature_K", "D_cm2_per_s", "D_cm2_per_s_lo68",
    "D_cm2_per_s_hi68", "D_cm2_per_s_upper95", "status", "source",
]  # fmt: skip
POINTS = 50  # of a line
WARMER = 1.03  # than the hottest and cooler than the coldest run: where lines end


def arrhenius_data(diffusivities: pd.DataFrame, published: pd.DataFrame | None) -> pd.DataFrame:
    """What the figure shows: mean diffusivities of whole cells, and published lines at the same temperatures.

    Args:
        diffusivities: Table of the stage `transport`.
        published: Arrhenius pairs with anion, exchange_percent, region, Ea_eV and D0_1e-7_cm2_per_s; None: none.
    """
    tracer = diffusivities["method"] == "tracer"
    mine = diffusivities[tracer & (diffusivities["region"] == "cell") & (diffusivities["direction"] == "mean")]
    rows = mine.assign(source="this campaign").reindex(columns=COLUMNS)
    if published is None:
        return rows
    lines = published.merge(mine[["anion", "exchange_percent", "temperature_K"]].drop_duplicates())
    lines = lines[lines["region"] == "bulk"]
    thermal = kB * lines["temperature_K"]
    theirs = lines.assign(
        kind="bulk",
        mean_temperature_K=lines["temperature_K"].astype(float),
        D_cm2_per_s=1e-7 * lines["D0_1e-7_cm2_per_s"] * np.exp(-lines["Ea_eV"] / thermal),
        source="published",
    )
    return pd.concat([rows, theirs.reindex(columns=COLUMNS)], ignore_index=True)


def draw_arrhenius(data: pd.DataFrame, fits: pd.DataFrame) -> Figure:
    """Draw a panel per anion.

    Args:
        data: From `arrhenius_data`.
        fits: Table of Arrhenius parameters of the stage `transport`.
    """
    anions = in_order(data["anion"])
    if not anions:
        return message_figure("not resolved: nothing was run")
    with styled():
        figure = new_figure(columns=len(anions))
        styles = _styles(data)
        for axes, anion in zip(figure.axes, anions, strict=True):
            _draw_panel(axes, data[data["anion"] == anion], fits[fits["anion"] == anion], styles)
            axes.set_title(f"X = {anion}")
        figure.axes[0].set_ylabel("Li diffusivity (cm$^2$/s)")
        shared_legend(figure)
    return figure


def _styles(data: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Colour and marker of every label, the same in all panels."""
    lines = data[data["source"] == "this campaign"][LINE].drop_duplicates().to_dict("records")
    labels = sorted({_label(line) for line in lines}, key=lambda label: (not label.startswith("bulk"), label))
    return dict(zip(labels, cycle(zip(COLORS, MARKERS, strict=True)), strict=False))


def _draw_panel(axes: Axes, data: pd.DataFrame, fits: pd.DataFrame, styles: dict[str, tuple[str, str]]) -> None:
    for key, group in data[data["source"] == "this campaign"].groupby(LINE, dropna=False, sort=False):
        line = dict(zip(LINE, key, strict=True))
        exchange, label = line["exchange_percent"], _label(line)
        color, marker = styles[label]
        _draw_points(axes, group, color, marker, label)
        for fit in _fits_of(fits, line):
            _draw_band(axes, fit, group["mean_temperature_K"], color)
        theirs = data[(data["source"] == "published") & (data["exchange_percent"] == exchange)]
        theirs = theirs.sort_values("temperature_K")

        if key[0] == "bulk" and len(theirs) > 1:
            axes.plot(1000 / theirs["temperature_K"], theirs["D_cm2_per_s"], "--", color=color, lw=0.8)
    if (data["source"] == "published").any():
        axes.plot([], [], "--", color="0.4", lw=0.8, label="published")
    axes.set_yscale("log")
    axes.set_xlabel("1000 K / T")


def _label(line: dict[str, Any]) -> str:
    what = "bulk" if line["kind"] == "bulk" else f"{line['kind']} {line['boundary']}"
    return f"{what}, {line['exchange_percent']:g} %"


def _draw_points(axes: Axes, group: pd.DataFrame, color: str, marker: str, label: str) -> None:
    """Diffusivities with their intervals, and upper bounds as arrows."""
    known = group.dropna(subset=["D_cm2_per_s"])
    D = known["D_cm2_per_s"]
    spread = np.abs([D - known["D_cm2_per_s_lo68"], known["D_cm2_per_s_hi68"] - D])
    axes.errorbar(1000 / known["mean_temperature_K"], D, yerr=spread, fmt=marker, color=color, label=label, capsize=2)
    bounds = group[group["D_cm2_per_s"].isna() & group["D_cm2_per_s_upper95"].notna()]
    if len(bounds):
        top = bounds["D_cm2_per_s_upper95"]
        place = 1000 / bounds["mean_temperature_K"]
        axes.errorbar(place, top, yerr=0.4 * top, uplims=True, fmt="none", color=color, capsize=2)


def _fits_of(fits: pd.DataFrame, line: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The fit of a line's mean tracer diffusivity, if there is one."""
    chosen = fits[(fits["status"] == "resolved") & (fits["method"] == "tracer") & (fits["direction"] == "mean")]
    for fit in chosen.to_dict("records"):
        if all(fit[name] == line[name] for name in LINE):
            yield fit


def _draw_band(axes: Axes, fit: dict[str, Any], temperatures: pd.Series, color: str) -> None:
    """Median and 68 % of the posterior, Gaussian in ln D0 and Ea."""
    inverse = np.linspace(1 / (WARMER * temperatures.max()), WARMER / temperatures.min(), POINTS)
    middle: FloatArray = fit["ln_D0_cm2_per_s"] - fit["activation_energy_eV"] * inverse / kB
    slope = fit["activation_energy_error_eV"] * inverse / kB
    spread = np.sqrt(
        np.maximum(fit["ln_D0_error"] ** 2 + slope**2 - 2 * fit["correlation"] * fit["ln_D0_error"] * slope, 0)
    )
    axes.plot(1000 * inverse, np.exp(middle), color=color)
    axes.fill_between(1000 * inverse, np.exp(middle - spread), np.exp(middle + spread), color=color, alpha=0.2, lw=0)
