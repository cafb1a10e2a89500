"""Diffusivity along the boundaries of a bicrystal, layer by layer across them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from argyro.microstructure.model import Microstructure
from argyro.microstructure.tessellation import tessellate

from .style import COLORS, PALE, message_figure, new_figure, say, shared_legend, styled

D = "D_cm2_per_s"
COLUMNS = [
    "material", "anion", "exchange_percent", "boundary", "structure", "repeat", "temperature_K", "z_angstrom",
    "width_angstrom", D, f"{D}_lo68", f"{D}_hi68", "status", "share",
]  # fmt: skip
MOST_PANELS = 6
PLANE = "boundary"  # status of rows that say where one is
FLAT = 1e-9  # of the cell: a boundary at its end is at its beginning
NOTHING = "not resolved: no bicrystal was run in which lithium diffuses within the run"


def boundary_heights(microstructure: Microstructure) -> list[float]:
    """Where the two boundaries of a bicrystal are, as fractions of the third cell vector."""
    tessellation = tessellate(microstructure)
    facets, cell = tessellation.facets, microstructure.cell
    mine = facets.is_boundary & (facets.grain == 0)
    places = microstructure.seeds[0] + facets.offset[mine, None] * facets.normal[mine]
    fractions = (places @ np.linalg.inv(cell))[:, 2]
    result: list[float] = sorted((fractions - np.floor(fractions + FLAT)).tolist())
    return result


def profile_data(diffusivities: pd.DataFrame, bicrystals: Sequence[tuple[str, int, Microstructure]]) -> pd.DataFrame:
    """What the figure shows: layers of all bicrystals, a row of each temperature without any, and of each boundary.

    Args:
        diffusivities: Table of the stage `transport`.
        bicrystals: Structure, repeat and grains of each.
    """
    data = _layers(diffusivities)
    planes = []
    for structure, repeat, microstructure in bicrystals:
        of_this = data[(data["structure"] == structure) & (data["repeat"] == repeat)]
        height = float((of_this["z_angstrom"] + of_this["width_angstrom"] / 2).max())
        start = {"structure": structure, "repeat": repeat, "status": PLANE}
        planes += [start | {"z_angstrom": height * each} for each in boundary_heights(microstructure)]
    return pd.concat([data, pd.DataFrame(planes, columns=COLUMNS)], ignore_index=True) if planes else data


def _layers(diffusivities: pd.DataFrame) -> pd.DataFrame:
    bicrystals = diffusivities[diffusivities["kind"] == "bicrystal"]
    layers = bicrystals[bicrystals["method"] == "profile"]
    key = ["structure", "repeat", "temperature_K"]
    whole = bicrystals[(bicrystals["method"] == "tracer") & (bicrystals["direction"] == "mean")]
    others = whole[~pd.MultiIndex.from_frame(whole[key]).isin(pd.MultiIndex.from_frame(layers[key]))]
    reasons = others.assign(status="not resolved: " + others["status"].astype(str))
    dropped = reasons.drop(columns=[name for name in reasons if name.startswith("D_")])
    return pd.concat([layers, dropped]).reindex(columns=COLUMNS).sort_values([*key, "z_angstrom"], ignore_index=True)


def draw_profile(data: pd.DataFrame) -> Figure:
    """Draw a panel per bicrystal, temperatures in colours, boundaries as dotted lines.

    Args:
        data: From `profile_data`.
    """
    panels = list(data.groupby(["structure", "repeat"], sort=True))[:MOST_PANELS]
    if not panels:
        return message_figure(NOTHING)
    temperatures = sorted(set(data["temperature_K"].dropna()))
    with styled():
        figure = new_figure(columns=len(panels), share_y=False)
        for axes, ((structure, repeat), rows) in zip(figure.axes, panels, strict=True):
            _draw_panel(axes, rows, temperatures)
            axes.set_title(structure if repeat == 0 else f"{structure}, potential {repeat}")
        figure.axes[0].set_ylabel("Li diffusivity along boundaries (cm$^2$/s)")
        shared_legend(figure)
    return figure


def _draw_panel(axes: Axes, rows: pd.DataFrame, temperatures: list[float]) -> None:
    known = rows.dropna(subset=["z_angstrom", D])
    if known.empty:
        say(axes, "; ".join(sorted(set(rows["status"]) - {PLANE})))
        return
    for number, temperature in enumerate(temperatures):
        layers = known[(known["temperature_K"] == temperature) & (known["status"] == "resolved")]
        color = COLORS[number % len(COLORS)]
        if layers.empty:
            axes.plot([], [], ls="none", label=f"{temperature:g} K: not resolved")
            continue
        z, value = layers["z_angstrom"], layers[D]
        axes.plot(z, value, ".-", color=color, label=f"{temperature:g} K")
        # A logarithmic axis has no room for an interval that reaches 0
        low = layers[f"{D}_lo68"].clip(lower=1e-3 * value)
        axes.fill_between(z, low, layers[f"{D}_hi68"], color=color, alpha=0.2, lw=0)
    for place in rows[rows["status"] == PLANE]["z_angstrom"]:
        axes.axvline(place, color=PALE, lw=0.6, ls=":", label="boundary")
    axes.set(yscale="log", xlabel="height across boundaries ($\\mathrm{\\AA}$)")
