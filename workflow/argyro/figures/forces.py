"""Forces of potentials beside labels: parity at the last level, and errors by level and kind of structure."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from .style import COLORS, MARKERS, error_bars, message_figure, new_figure, remark, say, shared_legend, styled

LABEL, FORCE = "label_eV_per_angstrom", "force_eV_per_angstrom"
COLUMNS = [
    "system", "repeat", "shows", "level", "kind", "fitted", "structures", "force_rmse_eV_per_angstrom",
    "force_rmse_eV_per_angstrom_lo68", "force_rmse_eV_per_angstrom_hi68", LABEL, FORCE, "components",
]  # fmt: skip
ERROR = "force_rmse_eV_per_angstrom"
PARITY, ERRORS = "parity", "errors"
BINS = 60
SHARE = 0.999  # of the force components that the parity panel has room for
RESAMPLED = 300
FEWEST = 3  # structures that an interval can be told from


def forces_data(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """What the figure shows: errors by level, kind and whether fitted to, and counts of pairs of the last level.

    Args:
        table: Of forces, of the stage `learning`.
        seed: Of the structures that intervals are resampled from.
    """
    rows: list[dict[str, Any]] = []
    for (system, repeat), part in table.groupby(["system", "repeat"], sort=True):
        start = {"system": system, "repeat": repeat}
        for key, group in part.groupby(["level", "kind", "fitted"], sort=True):
            rows.append(start | {"shows": ERRORS} | dict(zip(("level", "kind", "fitted"), key, strict=True)))
            rows[-1] |= _error(group, seed)
        last = part[part["level"] == part["level"].max()]
        rows += [start | {"shows": PARITY, "level": part["level"].max()} | pair for pair in _parity(last)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _error(group: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Root-mean-square error, and its interval from structures drawn again and again."""
    squares = ((group[FORCE] - group[LABEL]) ** 2).groupby(group["structure"])
    total, count = squares.sum().to_numpy(), squares.size().to_numpy()
    row = {"structures": len(total), "components": int(count.sum()), ERROR: float(np.sqrt(total.sum() / count.sum()))}
    if len(total) < FEWEST:
        return row
    drawn = np.random.default_rng(seed).integers(len(total), size=(RESAMPLED, len(total)))
    low, high = np.quantile(np.sqrt(total[drawn].sum(axis=1) / count[drawn].sum(axis=1)), [0.16, 0.84])
    return row | {f"{ERROR}_lo68": float(low), f"{ERROR}_hi68": float(high)}


def _parity(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Counts of force components in squares of label and force; what is outside of them is counted at the edge."""
    reach = float(np.quantile(np.abs(rows[[LABEL, FORCE]].to_numpy()), SHARE))
    edges = np.linspace(-reach, reach, BINS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    labels, forces = rows[[LABEL, FORCE]].clip(-reach, reach).to_numpy().T
    counts = np.histogram2d(labels, forces, bins=(edges, edges))[0].astype(int)
    return [
        {LABEL: middles[i], FORCE: middles[j], "components": int(counts[i, j])} for i, j in np.argwhere(counts).tolist()
    ]


def draw_forces(data: pd.DataFrame) -> Figure:
    """Draw a column per chemical system: parity above, errors by level below, of the first repeat.

    Args:
        data: From `forces_data`.
    """
    systems = sorted(set(data["system"]))
    if not systems:
        return message_figure("not resolved: there are no labels")
    first = data[data["repeat"] == data["repeat"].min()]
    kinds = sorted(set(data["kind"].dropna()))
    with styled():
        figure = new_figure(columns=len(systems), rows=2, height=2.5, share_y=False)
        panels = np.array(figure.axes).reshape(2, len(systems))
        for column, system in enumerate(systems):
            mine = first[first["system"] == system]
            panels[0, column].set_title(system)
            _draw_parity(panels[0, column], mine[mine["shows"] == PARITY])
            _draw_errors(panels[1, column], mine[mine["shows"] == ERRORS], kinds)
        panels[0, 0].set_ylabel("force of the potential (eV/$\\mathrm{\\AA}$)")
        panels[1, 0].set_ylabel("force RMSE (eV/$\\mathrm{\\AA}$)")
        shared_legend(figure)
    return figure


def _draw_parity(axes: Axes, rows: pd.DataFrame) -> None:
    if rows.empty:
        say(axes, "not resolved: no label")
        return
    step = float(np.diff(np.unique(rows[[LABEL, FORCE]].to_numpy().round(9))).min())
    reach = float(rows[[LABEL, FORCE]].abs().to_numpy().max()) + step / 2
    count = round(2 * reach / step)
    edges = np.linspace(-reach, reach, count + 1)
    counts = np.histogram2d(rows[LABEL], rows[FORCE], bins=[edges, edges], weights=rows["components"])[0]
    shown = np.ma.masked_less(counts.T, 1)
    axes.pcolormesh(edges, edges, shown, norm=LogNorm(), cmap="cividis", rasterized=True)
    axes.plot([-reach, reach], [-reach, reach], color="0.5", lw=0.5)
    axes.set(aspect="equal", xlabel="label (eV/$\\mathrm{\\AA}$)")
    remark(axes, f"level {rows['level'].iloc[0]:g}, all labels")


def _draw_errors(axes: Axes, rows: pd.DataFrame, kinds: list[str]) -> None:
    levels = sorted(set(rows["level"]))
    for number, kind in enumerate(kinds):
        color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
        for fitted in (True, False):
            line = rows[(rows["kind"] == kind) & (rows["fitted"] == fitted)].sort_values("level")
            if line.empty:
                continue
            places = np.array([levels.index(level) for level in line["level"]])
            shift = 0.6 * ((number + 0.5) / len(kinds) - 0.5)
            bars = error_bars(line[ERROR], line[f"{ERROR}_lo68"], line[f"{ERROR}_hi68"])
            axes.errorbar(
                places + shift, line[ERROR], yerr=bars, fmt=marker, color=color, mfc=color if fitted else "none",
                capsize=2, label=f"{kind}, {'fitted to' if fitted else 'not fitted to'}",
            )  # fmt: skip
    axes.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
    axes.set(yscale="log", xlabel="level")
