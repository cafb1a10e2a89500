"""Energies, excess volumes and anisotropy of grain boundaries, in the order of their misorientation."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import COLORS, MARKERS, PALE, error_bars, new_figure, say, shared_legend, styled

ENERGY, VOLUME, ANISOTROPY = "energy_meV_per_angstrom2", "excess_volume_angstrom", "D_perp_over_D_par"
COLUMNS = [
    "material", "boundary", "sigma", "misorientation_degrees", "structure", "repeat", "rank", "relaxations", "held",
    ENERGY, f"{ENERGY}_lo68", f"{ENERGY}_hi68", VOLUME, f"{VOLUME}_lo68", f"{VOLUME}_hi68", "resolved",
    "temperature_K", ANISOTROPY, f"{ANISOTROPY}_lo68", f"{ANISOTROPY}_hi68", "status",
]  # fmt: skip
PUBLISHED = (3.5, 23.0)
"""Range of the energies of [110] tilt boundaries, meV/angstrom^2 (Ou et al., Nat. Commun. 17, 8726 (2026))."""
PUBLISHED_ANISOTROPY = 0.87
"""Of the same boundaries at 600 K, about, on average (the same)."""
QUANTITIES = {
    ENERGY: "energy (meV/$\\mathrm{\\AA}^2$)",
    VOLUME: "excess volume ($\\mathrm{\\AA}$)",
    ANISOTROPY: "$D_\\perp / D_\\parallel$ inside boundaries",
}
FEW = 4  # boundaries whose names are written upright


def boundaries_data(boundaries: pd.DataFrame, diffusivities: pd.DataFrame | None = None) -> pd.DataFrame:
    """What the figure shows: the best candidate of every boundary, by every potential, and anisotropies of those run.

    Args:
        boundaries: Table of the stage `dynamics`.
        diffusivities: Table of the stage `transport`; None: there is none yet.
    """
    best = boundaries[boundaries["rank"] == 0]
    degrees = boundaries.drop_duplicates("boundary").set_index("boundary")["misorientation_degrees"]
    parts = [best.reindex(columns=COLUMNS)]
    if diffusivities is not None:
        found = _anisotropies(diffusivities)
        parts.append(found.assign(misorientation_degrees=found["boundary"].map(degrees)).reindex(columns=COLUMNS))
    data = pd.concat([part for part in parts if len(part)], ignore_index=True) if len(best) else parts[0]
    return data.sort_values(["misorientation_degrees", "boundary", "material", "repeat"], ignore_index=True)


def _anisotropies(table: pd.DataFrame) -> pd.DataFrame:
    """Diffusivity across over that along boundaries, by residence times; its logarithm's errors added in squares."""
    inside = table[(table["method"] == "regions") & (table["region"] == "boundary")]
    key = ["material", "boundary", "structure", "repeat", "temperature_K"]
    along, across = (inside[inside["direction"] == name] for name in ("parallel", "perpendicular"))
    both = along.merge(across, on=key, suffixes=("_par", "_perp"))
    is_known = (both["status_par"] == "resolved") & (both["status_perp"] == "resolved")
    ratio = (both["D_cm2_per_s_perp"] / both["D_cm2_per_s_par"]).where(is_known)
    parts = [both[f"D_error_cm2_per_s_{end}"] / both[f"D_cm2_per_s_{end}"] for end in ("par", "perp")]
    factor = np.exp(np.hypot(*parts).astype(float))
    status = pd.Series(np.where(is_known, "resolved", "not resolved"), index=both.index)
    ends = {f"{ANISOTROPY}_lo68": ratio / factor, f"{ANISOTROPY}_hi68": ratio * factor}
    return both[key].assign(**{ANISOTROPY: ratio, "status": status}, **ends)


def draw_boundaries(data: pd.DataFrame, *, published: bool) -> Figure:
    """Draw energies, excess volumes and anisotropies side by side, boundaries in the order of their misorientation.

    Args:
        data: From `boundaries_data`.
        published: Show the range of published energies, and the published anisotropy.
    """
    names = data.drop_duplicates("boundary")
    degrees = zip(names["boundary"], names["misorientation_degrees"], strict=True)
    labels = [name if np.isnan(angle) else f"{name}\n{angle:.1f}\u00b0" for name, angle in degrees]
    with styled():
        figure = new_figure(columns=len(QUANTITIES), share_y=False)
        for axes, (quantity, label) in zip(figure.axes, QUANTITIES.items(), strict=True):
            rows = data.dropna(subset=[quantity])
            if rows.empty:
                say(axes, f"not resolved: {label.split(' (')[0]}; no boundary was run in which it is told apart")
                continue
            _draw_quantity(axes, rows, quantity, list(names["boundary"]), sorted(set(data["material"])))
            axes.set_xticks(range(len(names)), labels, rotation=90 if len(names) > FEW else 0)
            axes.set_xlim(-0.6, len(names) - 0.4)
            axes.set_ylabel(label)
        if published:
            energies, _, anisotropies = figure.axes
            energies.axhspan(*PUBLISHED, color="0.9", lw=0, zorder=0, label="published range, [110] tilt")
            if anisotropies.has_data():
                anisotropies.axhline(PUBLISHED_ANISOTROPY, color=PALE, ls="--", lw=0.8, label="published, 600 K")
        shared_legend(figure)
    return figure


def _draw_quantity(axes: Axes, data: pd.DataFrame, quantity: str, names: list[str], materials: list[str]) -> None:
    for number, material in enumerate(materials):
        rows = data[data["material"] == material]
        if rows.empty:
            continue
        place = np.array([names.index(name) for name in rows["boundary"]])
        shift = np.full(len(rows), 0.6 * ((number + 0.5) / len(materials) - 0.5))
        if quantity == ANISOTROPY:
            shift += _by_temperature(rows["temperature_K"]) / len(materials)
        bars = error_bars(rows[quantity], rows[f"{quantity}_lo68"], rows[f"{quantity}_hi68"])
        axes.errorbar(
            place + shift, rows[quantity], yerr=bars, fmt=MARKERS[number % len(MARKERS)],
            color=COLORS[number % len(COLORS)], capsize=2, label=material,
        )  # fmt: skip


def _by_temperature(temperatures: pd.Series) -> np.ndarray:
    """Shifts that put temperatures beside each other, colder ones to the left."""
    known = sorted(set(temperatures))
    return 0.3 * (np.array([known.index(T) for T in temperatures]) - (len(known) - 1) / 2) / max(len(known), 1)
