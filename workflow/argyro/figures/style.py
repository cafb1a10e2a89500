"""One style of all figures: sizes, fonts, and colours that colour-blind readers tell apart."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from argyro.common.files import replacing, write_text

COLUMN = 3.5  # inches, width of one column of a journal
ENTRY = 1.6  # inches, width of an entry of a legend
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Of Okabe and Ito (Color Universal Design, 2008)."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SETTINGS: dict[Any, Any] = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 6.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "lines.markersize": 4,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "figure.constrained_layout.use": True,
}


def styled() -> AbstractContextManager[None]:
    """The context that figures are drawn in."""
    return mpl.rc_context(SETTINGS)


def new_figure(
    columns: int = 1, rows: int = 1, height: float = 2.8, *, share_y: Literal["row", True, False] = True
) -> Figure:
    """A figure of some panels beside each other.

    Args:
        columns: Panels in a row.
        rows: Of panels.
        height: Of a row, inches.
        share_y: Whether all panels, or those of a row, have the same vertical axis.
    """
    figure = Figure(figsize=(max(COLUMN, 2.4 * columns), height * rows), layout="constrained")
    figure.subplots(rows, columns, sharey=share_y, squeeze=False)
    return figure


def shared_legend(figure: Figure) -> None:
    """One legend of all panels, below them, each entry once."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    figure.legend(
        list(found.values()), list(found), loc="outside lower center", ncols=max(1, int(figure.get_figwidth() / ENTRY))
    )


def save_figure(figure: Figure, data: pd.DataFrame, paths: dict[str, Path], dpi: int) -> None:
    """Write a figure as PDF and PNG, and its data as CSV, each in one step.

    Args:
        figure: The figure.
        data: What it shows.
        paths: Of ``pdf``, ``png`` and ``csv``.
        dpi: Resolution of the PNG.
    """
    with styled():
        for kind in ("pdf", "png"):
            metadata = {"CreationDate": None} if kind == "pdf" else {"Software": None}
            with replacing(paths[kind]) as temporary:
                figure.savefig(temporary, format=kind, dpi=dpi, metadata=metadata)
    write_text(paths["csv"], data.to_csv(index=False))
