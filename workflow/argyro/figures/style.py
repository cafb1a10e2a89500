"""One style of all figures: sizes, fonts, and colours that colour-blind readers tell apart."""

import textwrap
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from argyro.common.files import replacing, write_text

COLUMN = 3.5  # inches, width of one column of a journal
ENTRY = 1.6  # inches, width of an entry of a legend
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Of Okabe and Ito (Color Universal Design, 2008)."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)))
HALIDES = ("Cl", "Br", "I")
PALE = "0.45"  # what stands beside the data
CHARACTERS = 36  # of a line of text in a panel
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
    """One legend of all panels, below them, each entry once; none where nothing has a label."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    if not found:
        return
    figure.legend(
        list(found.values()), list(found), loc="outside lower center", ncols=max(1, int(figure.get_figwidth() / ENTRY))
    )


def say(axes: Axes, text: str) -> None:
    """Write into a panel why it shows nothing."""
    axes.text(
        0.5, 0.5, textwrap.fill(text, CHARACTERS), transform=axes.transAxes, ha="center", va="center", color=PALE,
        fontsize=7,
    )  # fmt: skip
    axes.xaxis.set_visible(False)
    axes.yaxis.set_visible(False)


def remark(axes: Axes, text: str) -> None:
    """Write what a panel does not show into its lower left corner."""
    wrapped = "\n".join(textwrap.fill(line, CHARACTERS) for line in text.splitlines())
    axes.text(0.03, 0.03, wrapped, transform=axes.transAxes, ha="left", va="bottom", color=PALE, fontsize=5.5)


def message_figure(text: str) -> Figure:
    """A figure that says why there is nothing to be drawn."""
    with styled():
        figure = new_figure()
        say(figure.axes[0], text)
    return figure


def in_order(anions: Iterable[str]) -> list[str]:
    """Anions, each once: halides by their size, then others by name."""
    names = set(anions)
    return [name for name in HALIDES if name in names] + sorted(names.difference(HALIDES))


def few(values: Iterable[float], most: int) -> list[float]:
    """At most so many of some values, in their order, evenly spread with both ends."""
    ordered = sorted(set(values))
    if len(ordered) <= most:
        return ordered
    return [ordered[place] for place in np.linspace(0, len(ordered) - 1, most).round().astype(int)]


def error_bars(values: pd.Series, low: pd.Series, high: pd.Series) -> Any:
    """Lengths of bars down and up, shape (2, N); none where there is no interval."""
    return np.nan_to_num(np.array([values - low, high - values], dtype=float).clip(0))


def save_figure(figure: Figure, data: pd.DataFrame, paths: dict[str, Path], dpi: int, origin: str = "") -> None:
    """Write a figure as PDF and PNG, and its data as CSV, each in one step.

    Args:
        figure: The figure.
        data: What it shows.
        paths: Of ``pdf``, ``png`` and ``csv``.
        dpi: Resolution of the PNG.
        origin: Where the data are from, to be said above the figure, if not from its campaign.
    """
    with styled():
        if origin:
            figure.suptitle(origin, fontsize=6.5, color=PALE)
        for kind in ("pdf", "png"):
            metadata = {"CreationDate": None} if kind == "pdf" else {"Software": None}
            with replacing(paths[kind]) as temporary:
                figure.savefig(temporary, format=kind, dpi=dpi, metadata=metadata)
    write_text(paths["csv"], data.to_csv(index=False))
