"""Effective diffusivity of polycrystals against grain size, a panel per temperature."""

import pandas as pd
from matplotlib.figure import Figure

from .style import COLORS, LINES, few, in_order, message_figure, new_figure, shared_legend, styled

COLUMNS = [
    "anion", "exchange_percent", "temperature_K", "gb_width_nm", "grain_size_nm", "D_bulk_cm2_per_s",
    "D_gb_par_cm2_per_s", "D_eff_cm2_per_s", "engine", "discretization_error", "model_error",
]  # fmt: skip
MOST_PANELS = 4


def grain_size_data(table: pd.DataFrame) -> pd.DataFrame:
    """What the figure shows.

    Args:
        table: Of effective diffusivities, of the stage `continuum`.
    """
    return table.reindex(columns=COLUMNS).sort_values(COLUMNS[:5], ignore_index=True)


def draw_grain_size(data: pd.DataFrame) -> Figure:
    """Draw D_eff over D_bulk with its error, lines of a system in one colour.

    Args:
        data: From `grain_size_data`.
    """
    temperatures = few(data["temperature_K"], MOST_PANELS)
    if not temperatures:
        return message_figure("not resolved: the table of diffusivities has no material with bulk and boundaries")
    anions = in_order(data["anion"])
    exchanges = sorted(set(data["exchange_percent"]))
    with styled():
        figure = new_figure(columns=len(temperatures))
        for axes, temperature in zip(figure.axes, temperatures, strict=True):
            rows = data[data["temperature_K"] == temperature]
            for (anion, exchange), line in rows.groupby(["anion", "exchange_percent"]):
                color = COLORS[anions.index(anion) % len(COLORS)]
                style = LINES[exchanges.index(exchange) % len(LINES)]
                ratio = line["D_eff_cm2_per_s"] / line["D_bulk_cm2_per_s"]
                error = ratio * (line["discretization_error"] + line["model_error"]).fillna(0)
                axes.plot(line["grain_size_nm"], ratio, ls=style, color=color, label=f"{anion}, {exchange:g} %")
                axes.fill_between(line["grain_size_nm"], ratio - error, ratio + error, color=color, alpha=0.2, lw=0)
            axes.set(xscale="log", yscale="log", xlabel="grain size (nm)", title=f"{temperature:g} K")
            axes.axhline(1, color="0.6", lw=0.5)
        figure.axes[0].set_ylabel("$D_\\mathrm{eff} / D_\\mathrm{bulk}$")
        shared_legend(figure)
    return figure
