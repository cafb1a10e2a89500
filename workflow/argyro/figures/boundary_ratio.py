"""Diffusivity of boundaries over that of bulk, system by system, a panel per temperature."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from ase.units import kB
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from .style import COLORS, MARKERS, PALE, error_bars, few, in_order, message_figure, new_figure, shared_legend, styled

D = "D_cm2_per_s"
COLUMNS = [
    "source", "material", "anion", "exchange_percent", "boundary", "structure", "repeat", "temperature_K", "method",
    "direction", "width_angstrom", "over", "ratio", "ratio_lo68", "ratio_hi68", "ratio_lower95", "status",
]  # fmt: skip
SYSTEM = ["material", "anion", "exchange_percent", "boundary"]
PUBLISHED_WIDTH = 25.0  # angstrom, of published mixtures
PREFACTOR = "D0_1e-7_cm2_per_s"
MOST_PANELS = 4
SERIES = (
    ("regions", "parallel", "bulk", "along / bulk"),
    ("regions", "perpendicular", "bulk", "across / bulk"),
    ("regions", "parallel", "grain", "along / grain beside"),
    ("regions", "perpendicular", "grain", "across / grain beside"),
    ("mixture", "mean", "bulk", "mixture / bulk"),
)


def boundary_ratio_data(diffusivities: pd.DataFrame, published: pd.DataFrame | None) -> pd.DataFrame:
    """What the figure shows: ratios with intervals or lower bounds, and published ratios at the same temperatures.

    Args:
        diffusivities: Table of the stage `transport`.
        published: Arrhenius pairs; None: none are shown.
    """
    rows = [_ratio(row, *found) for row in _boundaries(diffusivities) for found in _references(row, diffusivities)]
    if published is not None:
        rows += list(_published(diffusivities, published))
    return pd.DataFrame(rows, columns=COLUMNS)


def _boundaries(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of boundaries: by residence times, and by the rule of mixtures for the width nearest to the published."""
    boundary = table[(table["region"] == "boundary") & table["method"].isin({"regions", "mixture"})]
    widths = boundary[boundary["method"] == "mixture"]["width_angstrom"].unique()
    nearest = min(widths, key=lambda width: abs(width - PUBLISHED_WIDTH), default=np.nan)
    kept = (boundary["method"] == "regions") | (boundary["width_angstrom"] == nearest)
    result: list[dict[str, Any]] = boundary[kept].to_dict("records")
    return result


def _references(row: dict[str, Any], table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """What a boundary is compared with: bulk cells, and the grains of the same cell."""
    same = (table["repeat"] == row["repeat"]) & (table["temperature_K"] == row["temperature_K"])
    tracer = (table["method"] == "tracer") & (table["direction"] == "mean") & (table["kind"] == "bulk")
    yield "bulk", table[same & tracer & (table["material"] == row["material"])]
    if row["method"] == "regions":
        grain = (table["region"] == "grain") & (table["direction"] == row["direction"])
        yield "grain", table[same & grain & (table["structure"] == row["structure"])]


def _ratio(row: dict[str, Any], over: str, reference: pd.DataFrame) -> dict[str, Any]:
    """A ratio, its logarithm's errors added in squares; a lower bound where only the denominator is bounded."""
    start = {name: row[name] for name in COLUMNS if name in row} | {"source": "this campaign", "over": over}
    if row["status"] != "resolved":
        return start | {"status": row["status"]}
    known = reference[reference["status"].isin({"diffusive", "resolved"})]
    if len(known):
        # Arrangements of anions count alike
        below = float(known[D].mean())
        error_below = float(np.sqrt((known["D_error_cm2_per_s"] ** 2).sum())) / len(known)
        spread = float(np.hypot(row["D_error_cm2_per_s"] / row[D], error_below / below))
        ratio = row[D] / below
        ends = {"ratio_lo68": ratio * np.exp(-spread), "ratio_hi68": ratio * np.exp(spread)}
        return start | {"status": "resolved", "ratio": ratio} | ends
    bounds = reference["D_cm2_per_s_upper95"].dropna()
    if len(bounds) and row["D_cm2_per_s_lo95"] > 0:
        return start | {"status": "lower bound", "ratio_lower95": row["D_cm2_per_s_lo95"] / bounds.max()}
    return start | {"status": f"not resolved: {over} does not diffuse, and has no bound"}


def _published(table: pd.DataFrame, published: pd.DataFrame) -> Iterator[dict[str, Any]]:
    wide = published.pivot_table(index=["anion", "exchange_percent"], columns="region", values=["Ea_eV", PREFACTOR])
    for row in table[["material", "anion", "exchange_percent", "temperature_K"]].drop_duplicates().to_dict("records"):
        key = (row["anion"], row["exchange_percent"])
        if key not in wide.index or wide.loc[key].isna().any():
            continue
        pair = wide.loc[key]
        difference = pair[("Ea_eV", "gb")] - pair[("Ea_eV", "bulk")]
        ratio = pair[(PREFACTOR, "gb")] / pair[(PREFACTOR, "bulk")] * np.exp(-difference / (kB * row["temperature_K"]))
        yield row | {"source": "published", "over": "bulk", "ratio": float(ratio), "status": "no interval"}


def draw_boundary_ratio(data: pd.DataFrame) -> Figure:
    """Draw ratios, systems side by side, a panel for each of at most four temperatures.

    Args:
        data: From `boundary_ratio_data`.
    """
    if data.empty:
        return message_figure("not resolved: the campaign ran no boundary, and there are no published ones")
    mine = data[data["source"] == "this campaign"]
    materials = [
        material
        for anion in in_order(data["anion"])
        for material in dict.fromkeys(
            data[data["anion"] == anion].sort_values("exchange_percent", kind="stable")["material"]
        )
    ]
    systems = [
        (material, boundary)
        for material in materials
        for boundary in (sorted(set(mine[mine["material"] == material]["boundary"])) or [""])
    ]
    temperatures = few(data["temperature_K"], MOST_PANELS)
    with styled():
        figure = new_figure(columns=len(temperatures))
        for axes, temperature in zip(figure.axes, temperatures, strict=True):
            _draw_panel(axes, data[data["temperature_K"] == temperature], systems)
            axes.set(title=f"{temperature:g} K", yscale="log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
        figure.axes[0].set_ylabel("$D_\\mathrm{boundary} / D_\\mathrm{bulk}$")
        shared_legend(figure)
    return figure


def _draw_panel(axes: Axes, rows: pd.DataFrame, systems: list[tuple[str, str]]) -> None:
    axes.axhline(1, color="0.6", lw=0.5)
    mine = rows[rows["source"] == "this campaign"]
    for place, (material, boundary) in enumerate(systems):
        theirs = rows[(rows["source"] == "published") & (rows["material"] == material)]
        axes.plot([place] * len(theirs), theirs["ratio"], "_", color=PALE, ms=14, mew=1.5, label="published")
        here = mine[(mine["material"] == material) & (mine["boundary"] == boundary)]
        if not here["ratio"].notna().any() and not here["ratio_lower95"].notna().any():
            axes.annotate(
                "not resolved" if boundary else "", (place, 0.03), xycoords=("data", "axes fraction"), rotation=90,
                ha="center", va="bottom", color=PALE, fontsize=5.5,
            )  # fmt: skip
        _draw_system(axes, here, place)
    names = [f"{material}\n{boundary or 'not run'}" for material, boundary in systems]
    axes.set_xticks(range(len(systems)), names, rotation=90)
    axes.set_xlim(-0.6, len(systems) - 0.4)


def _draw_system(axes: Axes, rows: pd.DataFrame, place: float) -> None:
    for number, (method, direction, over, label) in enumerate(SERIES):
        color = COLORS[number]
        chosen = rows[(rows["method"] == method) & (rows["direction"] == direction) & (rows["over"] == over)]
        style: dict[str, Any] = {"color": color, "capsize": 2, "mfc": "none" if over == "grain" else color}
        x = place + 0.7 * ((number + 0.5) / len(SERIES) - 0.5)
        known = chosen.dropna(subset=["ratio"])
        if len(known):
            bars = error_bars(known["ratio"], known["ratio_lo68"], known["ratio_hi68"])
            axes.errorbar([x] * len(known), known["ratio"], yerr=bars, fmt=MARKERS[number], label=label, **style)
        bound = chosen["ratio_lower95"].dropna()
        if len(bound):
            axes.errorbar(
                [x] * len(bound), bound, yerr=0.5 * bound, lolims=True, fmt=MARKERS[number], label=label, **style
            )
