"""Effective diffusivity of polycrystals against temperature, with the crossover from boundaries to grains."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import COLORS, PALE, few, message_figure, new_figure, remark, say, shared_legend, styled

D = "D_eff_cm2_per_s"
KEY = ["microstructure", "anion", "exchange_percent", "grain_size_nm"]
COLUMNS = [
    "source", *KEY, "temperature_K", "D_bulk_cm2_per_s", "D_gb_cm2_per_s", D, "relative_error", "crossover_K_lo68",
    "crossover_K_hi68", "reason",
]  # fmt: skip
NUMBERS = [name for name in COLUMNS if name not in {"source", "microstructure", "anion", "reason"}]
MOST_SIZES = 4
COLDEST = 250.0  # K, that is drawn
MOST_PANELS = 3
FAVOURITE = "I"  # the anion whose polycrystals are not Arrhenius (Ou et al., Nat. Commun. 17, 8726 (2026))
CURVE, SOLVED, CROSSOVER, EXPERIMENT = "curve from the map", "solved", "crossover", "experiment"


def crossover_data(
    curves: pd.DataFrame, table: pd.DataFrame, crossovers: pd.DataFrame, experiments: pd.DataFrame | None
) -> pd.DataFrame:
    """What the figure shows, of one microstructure, one anion and at most four grain sizes.

    Args:
        curves: D_eff against temperature, of the stage `continuum`.
        table: Of effective diffusivities; those of its first tessellations are shown as points.
        crossovers: Crossover temperatures.
        experiments: Rows of material, quantity, value, temperature_K and source; None: none are shown.
    """
    if curves.empty:
        return pd.DataFrame(columns=COLUMNS)
    cell = curves["microstructure"].iloc[0]
    anion = FAVOURITE if FAVOURITE in set(curves["anion"]) else curves["anion"].iloc[0]
    crossed = crossovers[(crossovers["anion"] == anion) & (crossovers["reason"] == "")]["grain_size_nm"]
    # Those with a crossover, and the largest
    sizes = [*few(crossed, MOST_SIZES - 1), curves["grain_size_nm"].max()]
    if crossed.empty:
        sizes = few(curves["grain_size_nm"], MOST_SIZES)

    def chosen(rows: pd.DataFrame) -> pd.DataFrame:
        return rows[(rows["microstructure"] == cell) & (rows["anion"] == anion) & rows["grain_size_nm"].isin(sizes)]

    solved = chosen(table[table["tessellation"] == 0]).rename(columns={"D_gb_par_cm2_per_s": "D_gb_cm2_per_s"})
    found = chosen(crossovers[crossovers["reason"] == ""]).rename(columns={"crossover_K": "temperature_K"})
    parts = [
        chosen(curves).assign(source=CURVE),
        solved.assign(source=SOLVED, relative_error=solved[["discretization_error", "model_error"]].sum(axis=1)),
        _with_diffusivities(found, chosen(curves)).assign(source=CROSSOVER),
    ]
    if experiments is not None:
        is_ours = (experiments["quantity"] == "diffusion_coefficient") & (experiments["material"] == f"Li6PS5{anion}")
        measured = experiments[is_ours].assign(anion=anion, exchange_percent=0.0, source=EXPERIMENT)
        parts.append(measured.assign(reason=measured["source"]).rename(columns={"value": D}))
    data = pd.concat([part.reindex(columns=COLUMNS) for part in parts], ignore_index=True)
    # Columns of a part without rows are of no type
    return data.astype(dict.fromkeys(NUMBERS, float))


def _with_diffusivities(crossovers: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Crossovers with the effective diffusivity of their curve there."""
    values = []
    for row in crossovers.to_dict("records"):
        curve = curves[(curves[KEY] == pd.Series(row)[KEY]).all(axis=1)].dropna(subset=[D]).sort_values("temperature_K")
        logarithm = np.interp(1 / row["temperature_K"], 1 / curve["temperature_K"][::-1], np.log(curve[D][::-1]))
        values.append(float(np.exp(logarithm)) if len(curve) else np.nan)
    return crossovers.assign(**{D: values})


def draw_crossover(data: pd.DataFrame) -> Figure:
    """Draw a panel per exchange of the anion, grain sizes in colours.

    Args:
        data: From `crossover_data`.
    """
    if data.empty:
        return message_figure("not resolved: the table of diffusivities has no material with bulk and boundaries")
    anion = data["anion"].iloc[0]
    exchanges = sorted(set(data["exchange_percent"]))[:MOST_PANELS]
    with styled():
        figure = new_figure(columns=len(exchanges), share_y=False, height=3.2)
        for axes, exchange in zip(figure.axes, exchanges, strict=True):
            _draw_panel(axes, data[data["exchange_percent"] == exchange])
            axes.set_title(f"Li$_6$PS$_5${anion}, {exchange:g} % exchange")
        figure.axes[0].set_ylabel("Li diffusivity (cm$^2$/s)")
        shared_legend(figure)
    return figure


def _draw_panel(axes: Axes, rows: pd.DataFrame) -> None:
    curves = rows[rows["source"] == CURVE]
    sizes = sorted(set(curves["grain_size_nm"]))
    if not curves[D].notna().any():
        say(axes, "not resolved: " + "; ".join(sorted(set(curves["reason"]))))
        return
    whole = curves[curves["grain_size_nm"] == sizes[0]].sort_values("temperature_K")
    for name, line, label in (("D_bulk_cm2_per_s", "--", "bulk"), ("D_gb_cm2_per_s", ":", "boundaries")):
        axes.plot(1000 / whole["temperature_K"], whole[name], line, color=PALE, lw=0.8, label=label)
    for number, size in enumerate(sizes):
        _draw_size(axes, rows[rows["grain_size_nm"] == size], size, COLORS[number])
    measured = rows[rows["source"] == EXPERIMENT]
    axes.plot(1000 / measured["temperature_K"], measured[D], "kx", label="experiment (NMR)")
    if not (rows["source"] == CROSSOVER).any():
        remark(axes, "no crossover in this range of temperatures")
    elif (curves["reason"] != "").any():
        remark(axes, "lines end where the contrast of boundaries leaves the map")
    axes.set(yscale="log", xlabel="1000 K / T")
    shown = whole[whole["temperature_K"] >= COLDEST]
    ends = shown[["D_bulk_cm2_per_s", "D_gb_cm2_per_s"]].to_numpy()
    axes.set_ylim(ends.min() / 30, 3 * ends.max())
    axes.set_xlim(1000 / shown["temperature_K"].max() - 0.1, 1000 / COLDEST)


def _draw_size(axes: Axes, rows: pd.DataFrame, size: float, color: str) -> None:
    curve = rows[rows["source"] == CURVE].sort_values("temperature_K")
    x = 1000 / curve["temperature_K"]
    axes.plot(x, curve[D], color=color, label=f"grains of {size:.0f} nm")
    error = curve["relative_error"].fillna(0)
    axes.fill_between(x, curve[D] / (1 + error), curve[D] * (1 + error), color=color, alpha=0.2, lw=0)
    solved = rows[rows["source"] == SOLVED]
    bars = solved[D] * solved["relative_error"].fillna(0)
    axes.errorbar(1000 / solved["temperature_K"], solved[D], yerr=bars, fmt=".", color=color, capsize=2, label=SOLVED)
    crossings = rows[rows["source"] == CROSSOVER]
    ends = [1000 / crossings[f"crossover_K_{end}"] for end in ("hi68", "lo68")]
    place = 1000 / crossings["temperature_K"]
    bars = np.nan_to_num(np.array([place - ends[0], ends[1] - place], dtype=float).clip(0))
    axes.errorbar(
        place, crossings[D], xerr=bars, fmt="*", ms=8, color=color, mec="k", mew=0.4, capsize=2, label=CROSSOVER
    )
