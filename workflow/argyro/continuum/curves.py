"""Effective diffusivity against temperature, for materials with isotropic boundaries, from the map over contrasts.

D_eff(T) = D_bulk(T) F(D_gb(T) / D_bulk(T), size): the map holds F for any material, so that a curve costs no solution.
"""

import numpy as np
import pandas as pd
from scipy.interpolate import CubicSpline

from argyro.config.continuum import ContinuumConfig

from .contrast_map import ERRORS, FEWEST
from .pairs import Pair

POINTS = 60  # of a curve, evenly spaced in 1 / T
COLUMNS = [
    "anion", "exchange_percent", "grain_size_nm", "temperature_K", "contrast", "D_bulk_cm2_per_s", "D_gb_cm2_per_s",
    "D_eff_cm2_per_s", "relative_error", "boundary_share", "reason",
]  # fmt: skip


def curve_table(settings: ContinuumConfig, contrast_map: pd.DataFrame, pairs: list[Pair]) -> pd.DataFrame:
    """Curves of all materials and grain sizes over the range of temperatures that crossovers are looked for in.

    Args:
        settings: Of the stage.
        contrast_map: Of one microstructure.
        pairs: Bulk and boundaries of all materials.

    Returns:
        Rows with the columns `COLUMNS`: ``relative_error`` is of the map and of its interpolation, ``boundary_share``
        the part of the barrier that is the boundaries' (d ln F / d ln contrast). Where the contrast is outside the map,
        D_eff is missing and ``reason`` says so, as for anisotropic boundaries.
    """
    temperatures = 1 / np.linspace(1 / settings.crossover_max_K, 1 / settings.crossover_min_K, POINTS)
    parts = [
        _curve(pair, temperatures, float(size), part.sort_values("contrast"))
        for pair in pairs
        for size, part in contrast_map.groupby("grain_size_nm")
    ]
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def _curve(pair: Pair, temperatures: np.ndarray, size: float, places: pd.DataFrame) -> pd.DataFrame:
    bulk, along, _ = np.array([pair.at(float(T)) for T in temperatures]).T
    contrast = along / bulk
    curve = pd.DataFrame(
        {"temperature_K": temperatures, "contrast": contrast, "D_bulk_cm2_per_s": bulk, "D_gb_cm2_per_s": along}
    ).assign(anion=pair.anion, exchange_percent=pair.exchange_percent, grain_size_nm=size)
    names = ["D_eff_cm2_per_s", "relative_error", "boundary_share"]
    if pair.along != pair.across:
        return curve.assign(**dict.fromkeys(names, np.nan), reason="boundaries are anisotropic")
    x, y = np.log(places["contrast"].to_numpy()), np.log(places["D_eff_over_D_bulk"].to_numpy())
    at = np.log(contrast)
    inside = (at >= x[0]) & (at <= x[-1])
    spline = CubicSpline(x, y)
    # How far a spline through every other place is off
    own = np.abs(CubicSpline(x[::2], y[::2])(at) - spline(at)) if len(x) >= FEWEST else np.full(len(at), np.nan)
    error = np.interp(at, x, places[ERRORS].fillna(0).sum(axis=1).to_numpy()) + own
    values = (bulk * np.exp(spline(at)), error, spline.derivative()(at))
    columns = {name: np.where(inside, value, np.nan) for name, value in zip(names, values, strict=True)}
    return curve.assign(**columns, reason=np.where(inside, "", "contrast outside the map"))
