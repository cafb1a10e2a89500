"""Activation energies of bulk against the radius of the anion, with the linear law of ordered phases."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import COLORS, MARKERS, PALE, error_bars, in_order, new_figure, remark, say, shared_legend, styled

ENERGY = "activation_energy_eV"
COLUMNS = [
    "source", "material", "anion", "exchange_percent", "anion_radius_angstrom", ENERGY, f"{ENERGY}_lo68",
    f"{ENERGY}_hi68", "status",
]  # fmt: skip
CAMPAIGN, PUBLISHED, EXPERIMENT = "this campaign", "published", "experiment"
FEWEST = 3  # radii that a law is fitted to


class Law(NamedTuple):
    """E = slope * radius + intercept.

    Attributes:
        slope: eV/angstrom.
        error: Its standard error; NaN where points have none.
        intercept: eV.
    """

    slope: float
    error: float
    intercept: float


def barriers_data(fits: pd.DataFrame, published: pd.DataFrame, experiments: pd.DataFrame | None) -> pd.DataFrame:
    """What the figure shows: activation energies of this campaign, published ones, and those of experiments.

    Args:
        fits: Table of Arrhenius parameters of the stage `transport`.
        published: Arrhenius pairs with anion_radius_angstrom; those of bulk are shown.
        experiments: Rows of material, quantity, value and source; None: none are shown.
    """
    radius = published.drop_duplicates("anion").set_index("anion")["anion_radius_angstrom"]
    is_bulk = (fits["kind"] == "bulk") & (fits["method"] == "tracer") & (fits["direction"] == "mean")
    parts = [fits[is_bulk].assign(source=CAMPAIGN)]
    theirs = published[published["region"] == "bulk"].rename(columns={"Ea_eV": ENERGY})
    parts.append(theirs.assign(source=PUBLISHED, status="resolved"))
    if experiments is not None:
        measured = experiments[experiments["quantity"] == "activation_energy"].rename(columns={"value": ENERGY})
        anion = measured["material"].str.removeprefix("Li6PS5")
        parts.append(measured.assign(anion=anion, status=measured["source"], source=EXPERIMENT))
    data = pd.concat([part.reindex(columns=COLUMNS) for part in parts], ignore_index=True)
    return data.assign(anion_radius_angstrom=data["anion"].map(radius))


def linear_law(radius: pd.Series, energy: pd.Series, error: pd.Series | None = None) -> Law | None:
    """Least squares through activation energies; None where there are fewer than three radii.

    Args:
        radius: Of anions, angstrom.
        energy: eV.
        error: Standard errors, eV; None: all weigh alike, and the law has no error.
    """
    if radius.nunique() < FEWEST:
        return None
    weights = None if error is None else 1 / error.to_numpy(dtype=float)
    points = radius.to_numpy(dtype=float), energy.to_numpy(dtype=float)
    if weights is None:
        slope, intercept = np.polyfit(*points, 1)
        return Law(float(slope), float("nan"), float(intercept))
    (slope, intercept), covariance = np.polyfit(*points, 1, w=weights, cov="unscaled")
    return Law(float(slope), float(np.sqrt(covariance[0, 0])), float(intercept))


def draw_barriers(data: pd.DataFrame, *, published: bool) -> Figure:
    """Draw a panel of ordered phases and one of phases with exchanged anions.

    Args:
        data: From `barriers_data`.
        published: Show published values; they are in the data for the radii in any case.
    """
    with styled():
        figure = new_figure(columns=2)
        parts = data["exchange_percent"] == 0, data["exchange_percent"] > 0
        for axes, title, part in zip(figure.axes, ("ordered", "with exchange"), parts, strict=True):
            _draw_panel(axes, data[part], published=published, has_law=title == "ordered")
            _draw_experiments(axes, data[data["source"] == EXPERIMENT])
            axes.set(title=title, xlabel="radius of the anion ($\\mathrm{\\AA}$)")
            if not axes.has_data():
                say(axes, "not resolved: no material of this kind has an activation energy")
        figure.axes[0].set_ylabel("activation energy (eV)")
        figure.axes[0].set_ylim(bottom=0)
        shared_legend(figure)
    return figure


def _draw_panel(axes: Axes, rows: pd.DataFrame, *, published: bool, has_law: bool) -> None:
    mine = rows[rows["source"] == CAMPAIGN]
    theirs = rows[rows["source"] == PUBLISHED]
    exchanges = sorted(set(rows["exchange_percent"]))
    for number, exchange in enumerate(exchanges, start=0 if has_law else 1):
        style: dict[str, Any] = {
            "marker": MARKERS[number % len(MARKERS)],
            "color": COLORS[number % len(COLORS)],
            "ls": "none",
        }
        if published:
            at = theirs[theirs["exchange_percent"] == exchange]
            axes.plot(at["anion_radius_angstrom"], at[ENERGY], mfc="none", label=f"published, {exchange:g} %", **style)
        at = mine[(mine["exchange_percent"] == exchange) & (mine["status"] == "resolved")].dropna(
            subset=["anion_radius_angstrom"]
        )
        if len(at):
            bars = error_bars(at[ENERGY], at[f"{ENERGY}_lo68"], at[f"{ENERGY}_hi68"])
            label = f"this campaign, {exchange:g} %"
            axes.errorbar(at["anion_radius_angstrom"], at[ENERGY], yerr=bars, capsize=2, label=label, **style)
    missing = in_order(mine[mine["status"] != "resolved"]["anion"])
    notes = [f"not resolved here: {', '.join(missing)}"] if missing else []
    if has_law:
        notes += _draw_laws(axes, mine[mine["status"] == "resolved"], theirs if published else theirs.head(0))
    if notes:
        remark(axes, "\n".join(notes))


def _draw_laws(axes: Axes, mine: pd.DataFrame, theirs: pd.DataFrame) -> list[str]:
    """Lines of both laws where there are three radii, and a remark where there are not."""
    known = mine.dropna(subset=["anion_radius_angstrom"])
    half = (known[f"{ENERGY}_hi68"] - known[f"{ENERGY}_lo68"]) / 2
    laws = {
        "published": (linear_law(theirs["anion_radius_angstrom"], theirs[ENERGY]), "--", PALE),
        "this campaign": (linear_law(known["anion_radius_angstrom"], known[ENERGY], half), "-", COLORS[0]),
    }
    for name, (law, line, color) in laws.items():
        if law is not None:
            x = np.array([1.75, 2.25])
            spread = "" if np.isnan(law.error) else f" $\\pm$ {law.error:.2f}"
            label = f"{name}: {law.slope:.2f}{spread} eV/$\\mathrm{{\\AA}}$"
            axes.plot(x, law.slope * x + law.intercept, line, color=color, lw=0.8, label=label)
    return [] if laws["this campaign"][0] else ["linear law not resolved here: it needs three anions"]


def _draw_experiments(axes: Axes, rows: pd.DataFrame) -> None:
    """Experiments in both panels: their samples have the exchange that synthesis gave them."""
    known = rows.dropna(subset=["anion_radius_angstrom"])
    if len(known):
        label = "experiment, exchange as synthesised"
        axes.plot(known["anion_radius_angstrom"], known[ENERGY], "x", color=PALE, label=label)
