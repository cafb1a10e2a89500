"""Tracer diffusivity with an interval, or an upper bound where the ions are not seen to diffuse.

The mean squared displacement past the cage is a straight line, ``A + 2 d D t``. Its slope is estimated by generalized
least squares with the covariance that time averages of a random walk have (Qian et al., Biophys. J. 60, 910 (1991),
where it is given for single lags; here it is summed up for pairs of them). As the weights do not depend on the data,
the slope is a mean over ions of slopes of their own, and the scatter of these gives the error with all correlations in
time: no model of the noise enters it. Where replicas scatter more than their ions explain, their scatter counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

from argyro.common.errors import DynamicsError

from .displacements import FloatArray, IntArray, SquaredDisplacements

CM2_PER_S = 1e-4  # of one square angstrom per picosecond
FEWEST_LAGS = 5
SHORTEST_WINDOW = 2.5  # the last lag over the first
SIGNIFICANCE = 0.01  # of the test whether replicas scatter more than ions explain
LEAST_EXPONENT = 0.8  # of the mean squared displacement, which the interval has to exclude
LEAST_SLOPE = 3.0  # in its standard errors
UNSEEN_HOPS = 3.0  # none seen: with 95 % confidence there were fewer to be expected (Poisson)

type Reason = Literal["too few hops", "too short", "subdiffusive"]
type Scatter = Literal["ions", "replicas"]


@dataclass(frozen=True)
class Diffusivity:
    """A tracer diffusivity.

    Attributes:
        D_cm2_per_s: Estimate.
        error_cm2_per_s: Standard error.
        interval68_cm2_per_s: 68 % interval.
        interval95_cm2_per_s: 95 % interval.
        offset_angstrom2: Where the straight line meets time 0: what ions move within their cages.
        exponent: Slope of ln(MSD - offset) over ln(t); 1 for diffusion.
        exponent_error: Its standard error.
        window_ps: First and last lag of the straight line.
        ions: How many were averaged over, of all replicas.
        replicas: How many there were.
        scatter: Whether the error is that of ions or, where it is larger than ions explain, that of replicas.
    """

    D_cm2_per_s: float
    error_cm2_per_s: float
    interval68_cm2_per_s: tuple[float, float]
    interval95_cm2_per_s: tuple[float, float]
    offset_angstrom2: float
    exponent: float
    exponent_error: float
    window_ps: tuple[float, float]
    ions: int
    replicas: int
    scatter: Scatter


@dataclass(frozen=True)
class NotDiffusive:
    """Ions that were not seen to diffuse.

    Attributes:
        reason: ``too few hops``: the MSD, or what of it is not cages, stays below the squared hop length, or its slope
            is not three standard errors above 0; ``too short``: it exceeds that length, but too late;
            ``subdiffusive``: its exponent is below 1, or not known well enough to exclude 0.8.
        upper95_cm2_per_s: The diffusivity is below, with 95 % confidence.
        msd_angstrom2: Largest mean squared displacement seen.
        exponent: Slope of ln(MSD - offset) over ln(t); None if there is no window to find it in.
        exponent_error: Its standard error.
        ions: How many were averaged over, of all replicas.
        replicas: How many there were.
    """

    reason: Reason
    upper95_cm2_per_s: float
    msd_angstrom2: float
    exponent: float | None
    exponent_error: float | None
    ions: int
    replicas: int


class _Mean(NamedTuple):
    """A mean over ions with its standard error, degrees of freedom and where its scatter comes from."""

    value: float
    error: float
    freedom: int
    scatter: Scatter


def tracer_diffusivity(
    replicas: Sequence[SquaredDisplacements], *, hop_length: float = 2.5, axes: Sequence[int] = (0, 1, 2)
) -> Diffusivity | NotDiffusive:
    """Self-diffusion coefficient of ions.

    Args:
        replicas: Displacements of the same kind of ions in runs of the same length.
        hop_length: Angstrom; the straight line begins where the MSD, in three dimensions, is its square.
        axes: Along which the ions diffuse: three, two or one of x, y and z.

    Returns:
        The diffusivity, or an upper bound: `NotDiffusive` where the MSD stays below the squared hop length, reaches it
        too late for a straight line of some length, or grows with an exponent whose 95 % interval lies below 1 or
        reaches down to 0.8.

    Raises:
        DynamicsError: there is no replica, or they differ in lags; fewer than two ions.
    """
    data = _pool(replicas, axes, hop_length)
    begin = int(np.searchsorted(np.maximum.accumulate(data.mean), data.threshold))
    if begin == len(data.lags):
        return _bound("too few hops", data, None)
    if len(data.lags) - begin < FEWEST_LAGS or data.lags[-1] < SHORTEST_WINDOW * data.lags[begin]:
        return _bound("too short", data, None)
    ions, weights = data.squared[:, begin:], data.weights(begin)
    offset, slope = (ions @ weights.line.T).T
    D = _mean_over_ions(slope * data.per_slope, data.replicas)
    curve = ions @ weights.curve.T
    if slope.mean() * data.times[-1] < data.threshold or not all(
        _is_resolved(_mean_over_ions(slopes, data.replicas)) for slopes in (slope, curve[:, 1])
    ):
        return _bound("too few hops", data, None)
    exponent = _exponent(curve, data.replicas)
    if not _is_diffusive(exponent):
        return _bound("subdiffusive", data, exponent)
    return Diffusivity(
        D_cm2_per_s=D.value,
        error_cm2_per_s=D.error,
        interval68_cm2_per_s=_interval(D, 0.68),
        interval95_cm2_per_s=_interval(D, 0.95),
        offset_angstrom2=float(offset.mean()),
        exponent=exponent.value,
        exponent_error=exponent.error,
        window_ps=(float(data.times[begin]), float(data.times[-1])),
        ions=len(ions),
        replicas=data.replicas,
        scatter=D.scatter,
    )


@dataclass(frozen=True, eq=False)
class _Pool:
    """Displacements of all ions of all replicas, one replica after another.

    Attributes:
        squared: Shape (M, L), square angstrom.
        lags: Frames, shape (L,).
        times: Lags, shape (L,), ps.
        frames: Length of a run.
        replicas: Number of runs.
        dimensions: Number of axes.
        threshold: Squared length of a hop along these axes, square angstrom.
    """

    squared: FloatArray
    lags: IntArray
    times: FloatArray
    frames: int
    replicas: int
    dimensions: int
    threshold: float

    @property
    def mean(self) -> FloatArray:
        """Mean squared displacement, shape (L,), square angstrom."""
        return np.asarray(self.squared.mean(axis=0), dtype=np.float64)

    @property
    def per_slope(self) -> float:
        """Diffusivity in cm^2/s of a slope of one square angstrom per picosecond."""
        return CM2_PER_S / (2 * self.dimensions)

    def weights(self, begin: int) -> "_Weights":
        """What makes parameters of lags from this one on."""
        covariance = _cached_covariance(tuple(self.lags.tolist()), self.frames)[begin:, begin:]
        times = self.times[begin:]
        columns = [np.ones_like(times), times, times * (np.log(times) - np.log(times).mean())]
        return _Weights(*(_least_squares(np.stack(columns[:k], axis=1), covariance) for k in (2, 3)))


def _pool(replicas: Sequence[SquaredDisplacements], axes: Sequence[int], hop_length: float) -> _Pool:
    if not replicas or sum(len(run.squared) for run in replicas) < 2:  # noqa: PLR2004  one has no scatter
        raise DynamicsError("a diffusivity needs at least one run, and two ions")
    first = replicas[0]
    kinds = {(run.frames, run.interval, len(run.squared)) for run in replicas}
    if len(kinds) > 1:
        raise DynamicsError(f"replicas differ in (frames, interval in ps, ions): {sorted(kinds)}")
    squared = np.concatenate([run.squared[..., list(axes)].sum(axis=-1) for run in replicas])
    threshold = hop_length**2 * len(axes) / 3
    return _Pool(squared, first.lags, first.times, first.frames, len(replicas), len(axes), threshold)


class _Weights(NamedTuple):
    """What turns mean squared displacements at L lags into parameters.

    Attributes:
        line: Gives offset and slope, shape (2, L).
        curve: Gives the same and the coefficient of t ln(t / t_m), shape (3, L).
    """

    line: FloatArray
    curve: FloatArray


@cache
def _cached_covariance(lags: tuple[int, ...], frames: int) -> FloatArray:
    return walk_covariance(np.array(lags), frames)


def _least_squares(design: FloatArray, covariance: FloatArray) -> FloatArray:
    """Generalized least squares as a matrix that is applied to the data."""
    whitened = np.linalg.solve(covariance, design)
    result: FloatArray = np.linalg.solve(design.T @ whitened, whitened.T)
    return result


def walk_covariance(lags: IntArray, frames: int) -> FloatArray:
    """Covariance between lags of the time-averaged squared displacement of a one-dimensional walk of unit steps.

    Two displacements that share s steps have squares of the covariance 2 s^2 (normal steps).

    Args:
        lags: Shape (L,), frames.
        frames: Length of the walk.

    Returns:
        Shape (L, L).
    """
    result = np.empty((len(lags), len(lags)))
    for a, long in enumerate(lags):
        for b, short in enumerate(lags[: a + 1]):
            apart = np.arange(1 - short, long)  # how much later the short displacement begins
            shared = np.minimum(long, apart + short) - np.maximum(0, apart)
            pairs = np.minimum(frames - long, frames - short - apart) - np.maximum(0, -apart)
            total = 2 * (pairs.clip(min=0) * shared.astype(float) ** 2).sum()
            result[a, b] = result[b, a] = total / ((frames - long) * (frames - short))
    return result


def _exponent(parameters: FloatArray, replicas: int) -> _Mean:
    """Slope of ln(MSD - A) over ln(t) from A + B t + C t ln(t / t_m), which is 1 + C / B, linearized in its error."""
    _, B, C = parameters.mean(axis=0)
    ratio = float(C / B)
    deviations = (parameters[:, 2] - ratio * parameters[:, 1]) / B
    spread = _mean_over_ions(deviations, replicas)
    return spread._replace(value=1.0 + ratio)


def _is_diffusive(exponent: _Mean) -> bool:
    low, high = _interval(exponent, 0.95)
    return high >= 1.0 and low > LEAST_EXPONENT


def _is_resolved(slope: _Mean) -> bool:
    """Whether a slope is so far above 0 that ratios to it mean something."""
    return slope.value > LEAST_SLOPE * slope.error


def _mean_over_ions(values: FloatArray, replicas: int) -> _Mean:
    """Mean of a quantity of ions that stand replica after replica.

    Its error is that of independent ions, unless an F test says that replicas differ more than their ions explain.
    """
    count = len(values)
    error = float(values.std(ddof=1) / np.sqrt(count))
    mean = float(values.mean())
    if replicas > 1:
        groups = values.reshape(replicas, -1)
        within = groups.var(axis=1, ddof=1).mean() / count
        between = groups.mean(axis=1).var(ddof=1) / replicas
        if stats.f.sf(between / within, replicas - 1, count - replicas) < SIGNIFICANCE:
            return _Mean(mean, float(np.sqrt(between)), replicas - 1, "replicas")
    return _Mean(mean, error, count - 1, "ions")


def _interval(mean: _Mean, probability: float) -> tuple[float, float]:
    half = mean.error * stats.t.ppf((1 + probability) / 2, mean.freedom)
    return float(mean.value - half), float(mean.value + half)


def _bound(reason: Reason, data: _Pool, exponent: _Mean | None) -> NotDiffusive:
    """Upper bound from the slope at long lags, which falls with time where it is not constant, and from unseen hops."""
    late = int(np.searchsorted(data.lags, data.lags[-1] / SHORTEST_WINDOW))
    slope = _mean_over_ions(data.squared[:, late:] @ data.weights(late).line[1], data.replicas)
    steepest = max(slope.value, 0.0) + slope.error * float(stats.t.ppf(0.95, slope.freedom))
    duration = data.frames * data.times[0] / data.lags[0]
    unseen = UNSEEN_HOPS * data.threshold / (len(data.squared) * duration)
    return NotDiffusive(
        reason=reason,
        upper95_cm2_per_s=float((steepest + unseen) * data.per_slope),
        msd_angstrom2=float(data.mean.max()),
        exponent=None if exponent is None else exponent.value,
        exponent_error=None if exponent is None else exponent.error,
        ions=len(data.squared),
        replicas=data.replicas,
    )
