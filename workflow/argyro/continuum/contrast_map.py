"""The map of effective diffusivity over boundary contrast and grain size, and the crossover temperatures it implies.

For isotropic boundaries D_eff / D_bulk = F(D_gb / D_bulk, width / size). With temperature, D_eff then has the barrier
E_bulk + s (E_gb - E_bulk), where s = d ln F / d ln(D_gb / D_bulk) is the share of boundaries. Boundaries and grains
contribute alike where s = 1/2. For given grains that is at one contrast above one (fast boundaries, which carry most of
the flux beyond it), and at one below (slow boundaries, which hold up most of it).
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from ase.units import kB
from scipy.interpolate import CubicSpline

from argyro.config.continuum import ContinuumConfig
from argyro.microstructure.model import Microstructure

from .cases import DIFFUSIVITIES, grain_sizes, run_interface, run_voxels
from .material import FloatArray
from .pairs import Pair

SHARE = 0.5
ERRORS = ["discretization_error", "model_error"]
COLUMNS = ["contrast", "gb_width_nm", "grain_size_nm", "D_eff_over_D_bulk", "engine", *ERRORS]
INTERVAL = (0.16, 0.84)
FEWEST = 7  # contrasts that a spline and one through every other of them take


def contrasts(settings: ContinuumConfig) -> FloatArray:
    """Ratios of boundary to bulk diffusivity of the map, one of them 1."""
    half = int(np.ceil(np.log10(settings.map_contrast_max) * settings.map_contrasts_per_decade - 1e-9))
    values: FloatArray = settings.map_contrast_max ** (np.arange(-half, half + 1) / half)
    return values


def make_map(
    settings: ContinuumConfig, microstructure: Microstructure, *, threads: int, gpu: bool = False
) -> pd.DataFrame:
    """The map for one microstructure, by one engine at each place: they change over where only one is good.

    Args:
        settings: Of the stage.
        microstructure: The grains.
        threads: Of the voxel engine.
        gpu: Whether it runs on a GPU.

    Returns:
        Columns as `COLUMNS`, errors relative to the value.
    """
    single = settings.model_copy(update={"interface_below": settings.voxel_above})
    grid = [(contrast, size) for size in grain_sizes(settings) for contrast in contrasts(settings)]
    cases = pd.DataFrame(grid, columns=["contrast", "grain_size_nm"])
    diffusivities = {name: 1.0 if name == DIFFUSIVITIES[0] else cases["contrast"] for name in DIFFUSIVITIES}
    cases = cases.assign(gb_width_nm=settings.gb_width_nm, **diffusivities)
    by_voxels = run_voxels(single, microstructure, cases, threads=threads, gpu=gpu)
    parts = [run_interface(single, microstructure, cases), by_voxels]
    table = pd.concat([part for part in parts if len(part)]).sort_index()
    return table.rename(columns={"D_eff_cm2_per_s": "D_eff_over_D_bulk"})[COLUMNS]


class Crossing(NamedTuple):
    """Where boundaries and grains contribute alike.

    Attributes:
        contrast: Ratio of boundary to bulk diffusivity.
        error: Of its logarithm: from a spline through every other place of the map.
    """

    contrast: float
    error: float


def crossings(contrast: FloatArray, values: FloatArray) -> list[Crossing]:
    """Contrasts at which boundaries have a share of one half, for one grain size.

    Args:
        contrast: Of the map, ascending, shape (N,).
        values: D_eff / D_bulk there, shape (N,).
    """
    x, y = np.log(contrast), np.log(values)
    all_places = _crossings(x, y)
    every_other = _crossings(x[::2], y[::2]) if len(x) >= FEWEST else np.array([])
    found = []
    for place in all_places:
        near = every_other[np.sign(every_other) == np.sign(place)]
        error = float(np.abs(near - place).min()) if len(near) else np.nan
        found.append(Crossing(float(np.exp(place)), error))
    return found


def _crossings(x: FloatArray, y: FloatArray) -> FloatArray:
    roots: FloatArray = CubicSpline(x, y).derivative().solve(SHARE, extrapolate=False)
    return roots


def temperature_of(pair: Pair, contrast: float) -> float:
    """Temperature, K, at which a pair with isotropic boundaries has a contrast; NaN or negative if it never has."""
    difference = pair.along.Ea_eV - pair.bulk.Ea_eV
    logarithm = np.log(pair.along.D0_cm2_per_s / pair.bulk.D0_cm2_per_s) - np.log(contrast)
    return float(difference / (kB * logarithm)) if logarithm else np.nan


def crossover_table(
    settings: ContinuumConfig,
    contrast_map: pd.DataFrame,
    pairs: list[Pair],
    samples: dict[tuple[str, float], list[Pair]],
) -> pd.DataFrame:
    """Crossover temperatures of all pairs and grain sizes.

    Args:
        settings: Of the stage.
        contrast_map: Of one microstructure.
        pairs: Bulk and boundaries.
        samples: Draws of them, if there are any: the interval is that of their 16th to 84th percentiles.

    Returns:
        A row for each pair, grain size and crossing inside the range of temperatures; else a row with the reason.
    """
    rows = []
    for size, part in contrast_map.groupby("grain_size_nm"):
        ordered = part.sort_values("contrast")
        found = crossings(ordered["contrast"].to_numpy(), ordered["D_eff_over_D_bulk"].to_numpy())
        for pair in pairs:
            start = {"anion": pair.anion, "exchange_percent": pair.exchange_percent, "grain_size_nm": size}
            draws = samples.get((pair.anion, pair.exchange_percent), [])
            crossing_rows = [] if pair.along != pair.across else [_row(settings, pair, draws, each) for each in found]
            inside = [row for row in crossing_rows if row]
            reason = "boundaries are anisotropic" if pair.along != pair.across else "none in the range"
            rows += [start | row for row in inside or [{"reason": reason}]]
    columns = ["anion", "exchange_percent", "grain_size_nm", "contrast", "ln_contrast_error", "crossover_K"]
    return pd.DataFrame(rows, columns=[*columns, "crossover_K_lo68", "crossover_K_hi68", "samples", "reason"])


def _row(settings: ContinuumConfig, pair: Pair, draws: list[Pair], crossing: Crossing) -> dict[str, float | str]:
    """A crossover of a pair, or nothing if it is outside the range of temperatures."""
    temperature = temperature_of(pair, crossing.contrast)
    if not settings.crossover_min_K <= temperature <= settings.crossover_max_K:
        return {}
    drawn = np.array([temperature_of(draw, crossing.contrast) for draw in draws])
    # A draw that never has the contrast has it at infinite temperature
    low, high = np.quantile(np.where(drawn > 0, drawn, np.inf), INTERVAL) if len(drawn) else (np.nan, np.nan)
    return {
        "contrast": crossing.contrast,
        "ln_contrast_error": crossing.error,
        "crossover_K": temperature,
        "crossover_K_lo68": low,
        "crossover_K_hi68": high,
        "samples": len(drawn),
        "reason": "",
    }
