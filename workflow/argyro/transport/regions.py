"""Diffusivities inside regions, such as boundaries and grains, from displacements and where ions were meanwhile.

Along a boundary the squared displacement of an ion over a lag is, on average, the sum over regions of the time it spent
there times the region's diffusivity, however often it came and went; what it rattles adds an offset of the regions
where it began and ended. Both are found at once by least squares: no ion has to be assigned to a region. Across a
boundary the displacement itself decides where the ion goes, so that only ions count that begin too deep in a region to
leave it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from argyro.common.errors import DynamicsError
from argyro.common.statistics import student_interval

from .diffusivity import CM2_PER_S
from .displacements import FloatArray, IntArray

type BoolArray = npt.NDArray[np.bool_]

GROUPS = 40  # of ions that are left out in turn
ORIGINS_PER_LAG = 4  # time origins within a lag, which share most of what they tell
LAGS = 6  # between the first and the last
MARGIN = 2.0  # root mean squared displacements of its ions from the edge of a region that they have to begin
LEAST_TIME = 1e-9  # of all: a region that no ion visits has no diffusivity
FEWEST_LAGS = 2


@dataclass(frozen=True, eq=False)
class Visits:
    """Where ions are, and which region each is in.

    Attributes:
        positions: Unwrapped and free of drift, shape (F, M, 3), angstrom.
        region: Index of the region of each at every frame, shape (F, M).
        depth: How far inside its region each is, shape (F, M), angstrom.
        normal: Unit normal of the boundary next to each, shape (F, M, 3), or the same for all, shape (3,).
        interval: Between frames, ps.
    """

    positions: FloatArray
    region: IntArray
    depth: FloatArray
    normal: FloatArray
    interval: float


@dataclass(frozen=True)
class RegionDiffusivity:
    """Of one region in one direction.

    Attributes:
        D_cm2_per_s: Diffusivity.
        error_cm2_per_s: Standard error, from groups of ions left out in turn.
        interval68_cm2_per_s: Where the truth is with 68 %.
        interval95_cm2_per_s: With 95 %.
        lags_ps: First and last lag that were used.
        share: Part of all time that ions spent in the region.
    """

    D_cm2_per_s: float
    error_cm2_per_s: float
    interval68_cm2_per_s: tuple[float, float]
    interval95_cm2_per_s: tuple[float, float]
    lags_ps: tuple[float, float]
    share: float


class _Sums(NamedTuple):
    """Normal equations of every group of ions, shapes (G, P, P) and (G, P)."""

    matrix: FloatArray
    vector: FloatArray


def lag_range(frames: int, interval_ps: float, begin_ps: float, D_cm2_per_s: float, width: float) -> IntArray:
    """Lags, in frames, from one on to where ions move half the width of a region, or a fourth of the run.

    Args:
        frames: Length of the runs.
        interval_ps: Between frames.
        begin_ps: Where displacements are a straight line.
        D_cm2_per_s: About the largest diffusivity.
        width: Of the narrowest region, angstrom.

    Raises:
        DynamicsError: the region is too narrow, or the run too short, for that.
    """
    end_ps = min((width / 2) ** 2 / (2 * D_cm2_per_s / CM2_PER_S), frames * interval_ps / 4)
    begin, end = int(np.ceil(begin_ps / interval_ps - 1e-9)), int(end_ps / interval_ps)
    if begin < 1 or end <= begin:
        raise DynamicsError(
            f"regions of {width:g} angstrom are left within {end_ps:.3g} ps, before displacements are a straight line "
            f"({begin_ps:.3g} ps), or the runs are shorter than four times that"
        )
    return np.unique(np.geomspace(begin, end, LAGS).round().astype(np.int64))


def parallel_diffusivities(visits: Iterable[Visits], lags: IntArray, regions: int) -> list[RegionDiffusivity | None]:
    """Diffusivity of every region along the boundaries, by the times that ions spend in each.

    Args:
        visits: Of all runs, each cut into as many blocks of ions as memory asks for.
        lags: Frames, at least two.
        regions: How many there are.

    Returns:
        None for regions that are not visited, or not told apart.
    """
    return _solved(_collected(visits, _parallel_sums, lags, regions), lags, dimensions=2)


def perpendicular_diffusivities(
    visits: Iterable[Visits], lags: IntArray, regions: int
) -> list[RegionDiffusivity | None]:
    """Diffusivity of every region across the boundaries, of ions that begin deep inside it.

    Arguments and result as of `parallel_diffusivities`.
    """
    return _solved(_collected(visits, _perpendicular_sums, lags, regions), lags, dimensions=1)


class _Collected(NamedTuple):
    """Sums of all blocks of ions, the time spent in each region, and the interval of frames."""

    sums: _Sums
    time: FloatArray
    interval: float


def _collected(
    visits: Iterable[Visits], sums_of: Callable[[Visits, IntArray, int], _Sums], lags: IntArray, regions: int
) -> _Collected:
    """Go through all blocks once."""
    parts, time, interval = [], np.zeros(regions), 0.0
    for block in visits:
        parts.append(sums_of(block, lags, regions))
        time += np.bincount(block.region.ravel(), minlength=regions)
        interval = block.interval
    if not parts or len(lags) < FEWEST_LAGS:
        raise DynamicsError("diffusivities of regions need ions, and two lags at least")
    return _Collected(_Sums(*(np.concatenate(each) for each in zip(*parts, strict=True))), time, interval)


def _groups(ions: int) -> IntArray:
    """Group of each ion."""
    return np.arange(ions, dtype=np.int64) * min(GROUPS, ions) // ions


class _Moved(NamedTuple):
    """Time origins of a lag, shape (O,), and squared displacements along and across the boundary there, (O, M)."""

    origins: IntArray
    along: FloatArray
    across: FloatArray


def _displacements(visits: Visits, lag: int) -> _Moved:
    origins = np.arange(0, len(visits.positions) - lag, max(1, lag // ORIGINS_PER_LAG))
    moved = visits.positions[origins + lag] - visits.positions[origins]
    normal = visits.normal if visits.normal.ndim == 1 else visits.normal[origins]
    across = (moved * normal).sum(axis=-1) ** 2
    return _Moved(origins, (moved**2).sum(axis=-1) - across, across)


def _parallel_sums(visits: Visits, lags: IntArray, regions: int) -> _Sums:
    """Regress on the offsets of the regions at both ends, and on the times spent in each."""
    ions = visits.region.shape[1]
    is_in = (visits.region[None] == np.arange(regions)[:, None, None]).astype(np.float64)
    # Trapezoidal: a frame stands for half an interval on either side
    spent = np.concatenate(
        [np.zeros((regions, 1, ions)), np.cumsum((is_in[:, 1:] + is_in[:, :-1]) / 2.0, axis=1)], axis=1
    )
    sums = _empty(ions, 2 * regions)
    for lag in lags:
        origins, along, _ = _displacements(visits, int(lag))
        ends = (is_in[:, origins] + is_in[:, origins + lag]) / 2.0
        times = (spent[:, origins + lag] - spent[:, origins]) * visits.interval
        _add(sums, np.concatenate([ends, times]), along, lag * visits.interval)
    return sums


def _perpendicular_sums(visits: Visits, lags: IntArray, regions: int) -> _Sums:
    """Regress on offset and lag of each region, of ions that begin deep inside it.

    How deep is told by displacements along the boundary: by those across it themselves, chance that makes them large
    would leave out the ions that it made so.
    """
    sums = _empty(visits.region.shape[1], 2 * regions)
    for lag in lags:
        origins, along, across = _displacements(visits, int(lag))
        region = visits.region[origins]
        counts = np.bincount(region.ravel(), minlength=regions)
        squares = np.bincount(region.ravel(), weights=along.ravel(), minlength=regions) / 2.0  # of one direction
        deep = visits.depth[origins] > MARGIN * np.sqrt(squares / np.maximum(counts, 1))[region]
        begins = (region[None] == np.arange(regions)[:, None, None]) & deep
        _add(sums, np.concatenate([begins, begins * lag * visits.interval]), across, lag * visits.interval)
    return sums


def _empty(ions: int, parameters: int) -> _Sums:
    count = min(GROUPS, ions)
    return _Sums(np.zeros((count, parameters, parameters)), np.zeros((count, parameters)))


def _add(sums: _Sums, design: FloatArray, squares: FloatArray, lag: float) -> None:
    """Add displacements of all ions, weighted by the inverse of their variance, which grows as the lag squared.

    Args:
        sums: To add to.
        design: Of P parameters at every origin and for every ion, shape (P, O, M).
        squares: Shape (O, M), angstrom squared.
        lag: ps.
    """
    begins = np.flatnonzero(np.diff(_groups(squares.shape[1]), prepend=-1))
    rows = np.ascontiguousarray(design.transpose(2, 1, 0))
    matrix = rows.transpose(0, 2, 1) @ rows / lag**2
    vector = (rows.transpose(0, 2, 1) @ squares.T[:, :, None])[:, :, 0] / lag**2
    sums.matrix[:] += np.add.reduceat(matrix, begins, axis=0)
    sums.vector[:] += np.add.reduceat(vector, begins, axis=0)


def _solved(collected: _Collected, lags: IntArray, *, dimensions: int) -> list[RegionDiffusivity | None]:
    """Diffusivities and errors by leaving out a group of ions in turn."""
    (matrix, vector), regions = collected.sums, len(collected.time)
    all_matrix, all_vector = matrix.sum(axis=0), vector.sum(axis=0)
    shares = (collected.time / collected.time.sum()).tolist()
    visited = np.diag(all_matrix)[regions:] > LEAST_TIME
    kept = np.tile(visited, 2)
    full = _solve(all_matrix[np.ix_(kept, kept)], all_vector[kept])
    left_out = np.array(
        [
            _solve((all_matrix - m)[np.ix_(kept, kept)], (all_vector - v)[kept])
            for m, v in zip(matrix, vector, strict=True)
        ]
    )
    count = len(left_out)
    errors = np.sqrt((count - 1) / count * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    scale = CM2_PER_S / (2 * dimensions)
    ends = float(lags[0] * collected.interval), float(lags[-1] * collected.interval)
    found: list[RegionDiffusivity | None] = [None] * regions
    half = int(visited.sum())
    for place, region in enumerate(np.flatnonzero(visited)):
        D, error = float(full[half + place] * scale), float(errors[half + place] * scale)
        in68, in95 = (student_interval(D, error, count - 1, probability) for probability in (0.68, 0.95))
        found[region] = RegionDiffusivity(D, error, in68, in95, ends, shares[region])
    return found


def _solve(matrix: FloatArray, vector: FloatArray) -> FloatArray:
    """Least squares, of the smallest size where regions are not told apart."""
    result: FloatArray = np.linalg.lstsq(matrix, vector, rcond=None)[0]
    return result


@dataclass(frozen=True)
class MixtureEstimate:
    """Boundary diffusivity by the rule of mixtures, for one width.

    Attributes:
        width_angstrom: Of boundaries.
        fraction: Part of the volume that they are.
        D_cm2_per_s: Of boundaries.
        error_cm2_per_s: Its standard error.
    """

    width_angstrom: float
    fraction: float
    D_cm2_per_s: float
    error_cm2_per_s: float


def mixture_diffusivity(
    cell: tuple[float, float], bulk: tuple[float, float], fraction: float, width: float
) -> MixtureEstimate:
    """D_GB from D_cell = (1 - f) D_bulk + f D_GB.

    Exact along boundaries of slabs where ions are as dense as in grains. Across them resistances add up instead, and
    the rule is wrong by as much as arithmetic and harmonic means differ.

    Args:
        cell: Diffusivity of the whole cell, and its standard error, cm^2/s.
        bulk: Of bulk.
        fraction: f, above 0.
        width: Of boundaries that the fraction is for, angstrom.

    Raises:
        DynamicsError: the fraction is not above 0, or above 1.
    """
    if not 0 < fraction <= 1:
        raise DynamicsError(f"boundaries of {width:g} angstrom fill {fraction:.3g} of the cell; the rule needs 0 to 1")
    value = (cell[0] - (1 - fraction) * bulk[0]) / fraction
    error = np.hypot(cell[1], (1 - fraction) * bulk[1]) / fraction
    return MixtureEstimate(width, fraction, float(value), float(error))
