"""Effective over bulk diffusivity against the contrast of boundaries and the grain size."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure

from .style import MARKERS, PALE, few, in_order, message_figure, new_figure, shared_legend, styled

RATIO = "D_eff_over_D_bulk"
COLUMNS = [
    "source", "microstructure", "anion", "exchange_percent", "temperature_K", "contrast", "grain_size_nm", RATIO,
    "discretization_error", "model_error", "engine",
]  # fmt: skip
MAP, MATERIAL = "map", "material"
LEVELS = 21
MOST_PANELS = 3


def contrast_map_data(maps: dict[str, pd.DataFrame], table: pd.DataFrame) -> pd.DataFrame:
    """What the figure shows: the maps, and where materials of the table are on them.

    Args:
        maps: Of each microstructure, of the stage `continuum`.
        table: Of effective diffusivities; of materials with isotropic boundaries the contrast is shown.
    """
    parts = [each.assign(source=MAP, microstructure=name) for name, each in maps.items()]
    isotropic = table[table["D_gb_par_cm2_per_s"] == table["D_gb_perp_cm2_per_s"]]
    contrast = isotropic["D_gb_par_cm2_per_s"] / isotropic["D_bulk_cm2_per_s"]
    places = isotropic.assign(source=MATERIAL, contrast=contrast)
    names = ["source", "microstructure", "anion", "exchange_percent", "temperature_K", "contrast"]
    parts.append(places[names].drop_duplicates())
    return pd.concat([part.reindex(columns=COLUMNS) for part in parts], ignore_index=True)


def draw_contrast_map(data: pd.DataFrame) -> Figure:
    """Draw a panel per microstructure, lines of equal ratio in black; marks above it are materials.

    Args:
        data: From `contrast_map_data`.
    """
    maps = data[data["source"] == MAP]
    cells = list(dict.fromkeys(maps["microstructure"]))[:MOST_PANELS]
    if not cells:
        return message_figure("not resolved: there is no map")
    logarithm = np.log10(maps[RATIO])
    low, high = min(float(logarithm.min()), -1e-3), max(float(logarithm.max()), 1e-3)
    norm = TwoSlopeNorm(0, low, high)
    with styled():
        figure = new_figure(columns=len(cells), height=3.2)
        for axes, cell in zip(list(figure.axes), cells, strict=True):
            here = data[data["microstructure"] == cell]
            drawn = _draw_map(axes, here[here["source"] == MAP], norm)
            _draw_materials(axes, here[here["source"] == MATERIAL])
            axes.set(xscale="log", yscale="log", xlabel="$D_\\mathrm{boundary} / D_\\mathrm{bulk}$", title="")
            axes.set_title(cell, pad=16)
        ticks = list(range(int(np.ceil(low)), int(np.floor(high)) + 1))
        label = "$\\log_{10}(D_\\mathrm{eff} / D_\\mathrm{bulk})$"
        figure.colorbar(drawn, ax=figure.axes, label=label, ticks=ticks if len(ticks) > 2 else None)  # noqa: PLR2004
        figure.axes[0].set_ylabel("grain size (nm)")
        shared_legend(figure)
    return figure


def _draw_map(axes: Axes, rows: pd.DataFrame, norm: Normalize) -> QuadMesh:
    wide = rows.pivot_table(index="grain_size_nm", columns="contrast", values=RATIO)
    values = np.log10(wide.to_numpy())
    # PuOr is one of ColorBrewer's maps for colour-blind readers
    drawn = axes.pcolormesh(
        wide.columns, wide.index, values, norm=norm, cmap="PuOr", shading="gouraud", rasterized=True
    )
    if min(values.shape) > 1:
        lines = axes.contour(wide.columns, wide.index, values, levels=7, colors="k", linewidths=0.4, linestyles="-")
        axes.clabel(lines, fmt="%.1f", fontsize=5.5)
    return drawn


def _draw_materials(axes: Axes, rows: pd.DataFrame) -> None:
    """Materials above the map, at the lowest and highest temperature of the table."""
    anions = in_order(rows["anion"])
    low, high = axes.get_xlim()
    temperatures = few(rows["temperature_K"], 2)
    for row in rows[rows["temperature_K"].isin(temperatures)].to_dict("records"):
        height = 1.03 + 0.05 * temperatures.index(row["temperature_K"])
        if low <= row["contrast"] <= high:
            fill = "k" if row["exchange_percent"] == 0 else "none"
            axes.plot(
                row["contrast"], height, MARKERS[anions.index(row["anion"]) % len(MARKERS)], mfc=fill, mec="k", ms=4,
                transform=axes.get_xaxis_transform(), clip_on=False,
            )  # fmt: skip
    for number, anion in enumerate(anions):
        axes.plot([], [], MARKERS[number % len(MARKERS)], color="k", label=f"Li$_6$PS$_5${anion} (open: exchanged)")
    if temperatures:
        axes.plot([], [], color=PALE, ls="none", label=f"rows: {', '.join(f'{T:g} K' for T in temperatures)}")
