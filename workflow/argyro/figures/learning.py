"""Learning: labels, extrapolation grades and force errors round by round, a column per chemical system.

A last column shows what local and global learning needed for one bicrystal.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import COLORS, MARKERS, new_figure, shared_legend, styled

COLUMNS = [
    "system", "repeat", "level", "round", "labels_accepted", "largest_grade_explored", "grade_after_p100",
    "force_rmse_training_eV_per_angstrom", "force_rmse_holdout_eV_per_angstrom",
]  # fmt: skip
MODES = ("local", "global")
MODE_COLUMNS = ["mode", "repeat", "level", "labels", "label_cost", "force_rmse_boundary_eV_per_angstrom"]
MODE_ROWS = ("labels at the end", "cost of labels", "force RMSE in it (eV/$\\mathrm{\\AA}$)")
ROWS = ("labels beyond the seeds", "largest grade met", "force RMSE (eV/$\\mathrm{\\AA}$)")


def learning_data(ledger: pd.DataFrame) -> pd.DataFrame:
    """What the figure shows: rounds numbered through all levels, and labels added up.

    Args:
        ledger: Table of the stage `learning`.
    """
    data = ledger.reindex(columns=COLUMNS).sort_values(["system", "repeat", "level", "round"], ignore_index=True)
    groups = data.groupby(["system", "repeat"])
    return data.assign(step=groups.cumcount() + 1, labels=groups["labels_accepted"].cumsum())


def modes_data(table: pd.DataFrame) -> pd.DataFrame:
    """What is shown of ladders that were climbed in both modes, local ones first.

    Args:
        table: One row per mode and repeat.
    """
    return table[MODE_COLUMNS].sort_values(["mode", "repeat"], ascending=[False, True], ignore_index=True)


def draw_learning(data: pd.DataFrame, modes: pd.DataFrame | None = None) -> Figure:
    """Draw a column of three panels per chemical system; shades tell levels apart.

    Args:
        data: From `learning_data`.
        modes: From `modes_data`, for a last column; None: without.
    """
    systems = sorted(set(data["system"]))
    with styled():
        columns = len(systems) + (modes is not None)
        figure = new_figure(columns=columns, rows=len(ROWS), height=1.6, share_y=False)
        panels = np.array(figure.axes).reshape(len(ROWS), columns)
        if modes is not None:
            _draw_modes(list(panels[:, -1]), modes)
        for column, system in enumerate(systems):
            for row in range(len(ROWS)) if column else ():
                panels[row, column].sharey(panels[row, 0])
                panels[row, column].tick_params(which="both", labelleft=False)
            _draw_column(list(panels[:, column]), data[data["system"] == system])
            panels[0, column].set_title(system)
            panels[-1, column].set_xlabel("round, all levels")
        for row, label in enumerate(ROWS):
            panels[row, 0].set_ylabel(label)
        shared_legend(figure)
    return figure


def _draw_modes(panels: list[Axes], modes: pd.DataFrame) -> None:
    """A point per repeat and a line at the mean of each mode."""
    panels[0].set_title("one bicrystal, two modes")
    for axes, name, label in zip(panels, MODE_COLUMNS[3:], MODE_ROWS, strict=True):
        for place, mode in enumerate(MODES):
            values = modes.loc[modes["mode"] == mode, name]
            axes.plot(np.full(len(values), place), values, MARKERS[place], color=COLORS[5], mfc="none")
            axes.plot([place - 0.2, place + 0.2], [values.mean()] * 2, color=COLORS[5])
        axes.set_xticks(range(len(MODES)), MODES)
        axes.set_xlim(-0.6, len(MODES) - 0.4)
        axes.margins(y=0.1)
        axes.set_ylim(bottom=0)
        axes.set_ylabel(label)


def _draw_column(panels: list[Axes], data: pd.DataFrame) -> None:
    for level, (_, rows) in enumerate(data[data["repeat"] == data["repeat"].min()].groupby("level")):
        for axes in panels:
            axes.axvspan(rows["step"].min() - 0.5, rows["step"].max() + 0.5, color=str(0.97 - 0.05 * (level % 2)), lw=0)
    lines = (
        (0, "labels", COLORS[0], "labels"),
        (1, "largest_grade_explored", COLORS[1], "grade met while exploring"),
        (1, "grade_after_p100", COLORS[4], "of the same snapshots after the next fit"),
        (2, "force_rmse_training_eV_per_angstrom", COLORS[2], "error on the training set"),
        (2, "force_rmse_holdout_eV_per_angstrom", COLORS[3], "error on held-out seeds"),
    )
    for panel, name, color, label in lines:
        for _, rows in data.groupby("repeat"):
            panels[panel].plot(rows["step"], rows[name], ".-", color=color, label=label)
    panels[1].set_yscale("log")
    panels[2].set_yscale("log")
