"""Learning: labels, extrapolation grades and force errors round by round, a column per chemical system."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import COLORS, new_figure, shared_legend, styled

COLUMNS = [
    "system", "repeat", "level", "round", "labels_accepted", "largest_grade_explored", "grade_after_p100",
    "force_rmse_training_eV_per_angstrom", "force_rmse_holdout_eV_per_angstrom",
]  # fmt: skip
ROWS = ("labels beyond the seeds", "largest grade met", "force RMSE (eV/$\\mathrm{\\AA}$)")


def learning_data(ledger: pd.DataFrame) -> pd.DataFrame:
    """What the figure shows: rounds numbered through all levels, and labels added up.

    Args:
        ledger: Table of the stage `learning`.
    """
    data = ledger.reindex(columns=COLUMNS).sort_values(["system", "repeat", "level", "round"], ignore_index=True)
    groups = data.groupby(["system", "repeat"])
    return data.assign(step=groups.cumcount() + 1, labels=groups["labels_accepted"].cumsum())


def draw_learning(data: pd.DataFrame) -> Figure:
    """Draw a column of three panels per chemical system; shades tell levels apart.

    Args:
        data: From `learning_data`.
    """
    systems = sorted(set(data["system"]))
    with styled():
        figure = new_figure(columns=len(systems), rows=len(ROWS), height=1.6, share_y="row")
        panels = np.array(figure.axes).reshape(len(ROWS), len(systems))
        for column, system in enumerate(systems):
            _draw_column(list(panels[:, column]), data[data["system"] == system])
            panels[0, column].set_title(system)
            panels[-1, column].set_xlabel("round, all levels")
        for row, label in enumerate(ROWS):
            panels[row, 0].set_ylabel(label)
        shared_legend(figure)
    return figure


def _draw_column(panels: list[Axes], data: pd.DataFrame) -> None:
    for level, (_, rows) in enumerate(data[data["repeat"] == data["repeat"].min()].groupby("level")):
        for axes in panels:
            axes.axvspan(rows["step"].min() - 0.5, rows["step"].max() + 0.5, color=str(0.97 - 0.05 * (level % 2)), lw=0)
    lines = (
        (0, "labels", COLORS[0], "labels"),
        (1, "largest_grade_explored", COLORS[1], "grade met while exploring"),
        (2, "force_rmse_training_eV_per_angstrom", COLORS[2], "error on the training set"),
        (2, "force_rmse_holdout_eV_per_angstrom", COLORS[3], "error on held-out seeds"),
    )
    for panel, name, color, label in lines:
        for _, rows in data.groupby("repeat"):
            panels[panel].plot(rows["step"], rows[name], ".-", color=color, label=label)
    panels[1].set_yscale("log")
    panels[2].set_yscale("log")
