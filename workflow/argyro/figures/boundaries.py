"""Energies and excess volumes of grain boundaries."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .style import COLORS, MARKERS, new_figure, shared_legend, styled

COLUMNS = [
    "material", "boundary", "sigma", "misorientation_degrees", "structure", "repeat", "rank", "relaxations", "held",
    "energy_meV_per_angstrom2", "energy_meV_per_angstrom2_lo68", "energy_meV_per_angstrom2_hi68",
    "excess_volume_angstrom", "excess_volume_angstrom_lo68", "excess_volume_angstrom_hi68", "resolved",
]  # fmt: skip
PUBLISHED = (3.5, 23.0)
"""Range of the energies of [110] tilt boundaries, meV/angstrom^2 (Ou et al., Nat. Commun. 17, 8726 (2026))."""
QUANTITIES = {
    "energy_meV_per_angstrom2": "energy (meV/$\\mathrm{\\AA}^2$)",
    "excess_volume_angstrom": "excess volume ($\\mathrm{\\AA}$)",
}


def boundaries_data(boundaries: pd.DataFrame) -> pd.DataFrame:
    """What the figure shows: the best candidate of every boundary, by every potential.

    Args:
        boundaries: Table of the stage `dynamics`.
    """
    best = boundaries[boundaries["rank"] == 0].reindex(columns=COLUMNS)
    return best.sort_values(["misorientation_degrees", "boundary", "material", "repeat"], ignore_index=True)


def draw_boundaries(data: pd.DataFrame, *, published: bool) -> Figure:
    """Draw energies and excess volumes, side by side, boundaries in the order of their misorientation.

    Args:
        data: From `boundaries_data`.
        published: Show the range of published energies.
    """
    names = list(dict.fromkeys(data["boundary"]))
    materials = sorted(set(data["material"]))
    with styled():
        figure = new_figure(columns=2, share_y=False)
        for axes, (quantity, label) in zip(figure.axes, QUANTITIES.items(), strict=True):
            for number, material in enumerate(materials):
                rows = data[data["material"] == material]
                place = np.array([names.index(name) for name in rows["boundary"]]) + 0.6 * (
                    (number + 0.5) / len(materials) - 0.5
                )
                value = rows[quantity]
                spread = np.abs([value - rows[f"{quantity}_lo68"], rows[f"{quantity}_hi68"] - value])
                axes.errorbar(
                    place, value, yerr=np.nan_to_num(spread), fmt=MARKERS[number % len(MARKERS)],
                    color=COLORS[number % len(COLORS)], capsize=2, label=material,
                )  # fmt: skip
            axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 4 else 0)  # noqa: PLR2004
            axes.set_ylabel(label)
        if published:
            figure.axes[0].axhspan(*PUBLISHED, color="0.9", lw=0, zorder=0, label="published range, [110] tilt")
        shared_legend(figure)
    return figure
