"""Tracer diffusivity with an interval, or an upper bound where the ions are not seen to diffuse.

The mean squared displacement past the cage is a straight line, ``A + 2 d D t``. Its slope is estimated by generalized
least squares with the covariance that time averages of a random walk have (Qian et al., Biophys. J. 60, 910 (1991),
where it is given for single lags; here it is summed up for pairs of them). As the weights do not depend on the data,
the slope is a mean over ions of slopes of their own, and the scatter of these gives the error with all correlations in
time: no model of the noise enters it. Where replicas scatter more than their ions explain, their scatter counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

from argyro.common.errors import DynamicsError
from argyro.common.statistics import student_interval

from .displacements import FloatArray, IntArray, SquaredDisplacements

CM2_PER_S = 1e-4  # of one square angstrom per picosecond
FEWEST_LAGS = 5
SHORTEST_WINDOW = 2.5  # the last lag over the first
GROWTH = 1.4  # from one trial of a first lag to the next
SIGNIFICANCE = 0.01  # of the test whether replicas scatter more than ions explain
LEAST_EXPONENT = 0.8  # of the mean squared displacement, which the interval has to exclude
BOUND = 3.0  # standard errors above a slope
LEAST_SLOPE = 3.0  # in its standard errors
FORGOTTEN = 7.0  # times the memory of cages until a line begins: a thousandth is left, too little to be seen in it
MEMORIES = 50  # tried between the lags before hops
LEAST_CAGE = 0.05  # of the squared length of a hop: less is no cage
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
            ``subdiffusive``: from no lag on is its exponent 1, or known well enough to exclude 0.8.
        upper95_cm2_per_s: The diffusivity is below, with 95 % confidence.
        msd_angstrom2: Largest mean squared displacement seen.
        exponent: Slope of ln(MSD - offset) over ln(t) at the longest lags tried; None if there was none to find.
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
        hop_length: Angstrom; no straight line begins before the MSD, in three dimensions, is its square.
        axes: Along which the ions diffuse: three, two or one of x, y and z.

    Returns:
        The diffusivity by the longest straight line: from the first lag on that has an exponent whose 95 % interval
        reaches 1 and whose 99 % interval excludes 0.8, but not before cages are forgotten. `NotDiffusive` where there
        is none, because the MSD stays below the squared hop length, reaches it too late, or remains bent.

    Raises:
        DynamicsError: there is no replica, or they differ in lags; fewer than two ions.
    """
    data = _pool(replicas, axes, hop_length)
    failure = _Failure("too few hops")
    for begin in _begins(data):
        found = _straight_line(data, begin)
        if isinstance(found, Diffusivity):
            return found
        failure = found if found.exponent is not None or failure.exponent is None else failure
    return _bound(failure, data)


class _Failure(NamedTuple):
    """Why there is no straight line."""

    reason: Reason
    exponent: "_Mean | None" = None


def _begins(data: "_Pool") -> Iterator[int]:
    """Lags from which on there may be a straight line: from hops and forgotten cages on, each later by a factor."""
    hops = int(np.searchsorted(np.maximum.accumulate(data.mean), data.threshold))
    begin = max(hops, int(np.searchsorted(data.times, FORGOTTEN * cage_memory(data.times[:hops], data.mean[:hops]))))
    while begin < len(data.lags):
        yield begin
        begin = int(np.searchsorted(data.lags, GROWTH * data.lags[begin]))


def cage_memory(times: FloatArray, msd: FloatArray) -> float:
    """Time in which ions forget where in their cage they were, ps.

    That of ``A (1 - exp(-t / memory)) + B t``, fitted to lags before hops. These are known much better than the line
    that follows, so that where it begins does not depend on how steep it happens to be.

    Args:
        times: Lags, shape (L,), ps.
        msd: Mean squared displacements, shape (L,), square angstrom.

    Returns:
        0 where no cage is seen.
    """
    if len(times) < FEWEST_LAGS or msd.min() <= 0:
        return 0.0
    memories = np.geomspace(times[0] / 2, times[-1] / 2, MEMORIES)
    rising = -np.expm1(-times / memories[:, None])
    design = np.stack([rising, np.broadcast_to(times, rising.shape)], axis=-1) / msd[:, None]
    normal = design.transpose(0, 2, 1) @ design
    cage, slope = np.linalg.solve(normal, design.sum(axis=1)[..., None])[..., 0].T
    misfit = ((design[..., 0] * cage[:, None] + design[..., 1] * slope[:, None] - 1) ** 2).sum(axis=1)
    best = int(misfit.argmin())
    return float(memories[best]) if cage[best] > LEAST_CAGE * msd[-1] else 0.0


def _straight_line(data: "_Pool", begin: int) -> Diffusivity | _Failure:
    """The diffusivity by lags from one on, if they are a straight line."""
    if len(data.lags) - begin < FEWEST_LAGS or data.lags[-1] < SHORTEST_WINDOW * data.lags[begin]:
        return _Failure("too short")
    ions, weights = data.squared[:, begin:], data.weights(begin)
    offset, slope = (ions @ weights.line.T).T
    D = mean_over_ions(slope * data.per_slope, data.replicas)
    curve = ions @ weights.curve.T
    if slope.mean() * data.times[-1] < data.threshold or not all(
        _is_resolved(mean_over_ions(slopes, data.replicas)) for slopes in (slope, curve[:, 1])
    ):
        return _Failure("too few hops")
    exponent = _exponent(curve, data.replicas)
    if not _is_diffusive(exponent):
        return _Failure("subdiffusive", exponent)
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
        return _Weights(*(least_squares(np.stack(columns[:k], axis=1), covariance) for k in (2, 3)))


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


def least_squares(design: FloatArray, covariance: FloatArray) -> FloatArray:
    """Generalized least squares as a matrix that is applied to the data."""
    whitened = np.linalg.solve(covariance, design)
    result: FloatArray = np.linalg.solve(design.T @ whitened, whitened.T)
    return result


def walk_covariance(lags: IntArray, frames: int, variogram: FloatArray | None = None) -> FloatArray:
    """Covariance between lags of the time-averaged squared displacement along one axis.

    Of a Gaussian process with stationary displacements: two displacements over a and b, the second k later, have the
    covariance c = [m(a - k) + m(b + k) - m(k) - m(a - b - k)] / 2, and their squares that of 2 c^2.

    Args:
        lags: Shape (L,), frames.
        frames: Length of the process.
        variogram: Mean squared displacement m over 0, 1, 2 ... frames, longer than the longest lag; a straight line
            through the last two of them goes on from there. None: a walk of unit steps, whose c is the number of steps
            that the two share.

    Returns:
        Shape (L, L).
    """
    line = np.arange(2.0) if variogram is None else variogram
    beyond = 0 if variogram is None else len(line)
    result = np.empty((len(lags), len(lags)))
    for a, long in enumerate(lags):
        for b, short in enumerate(lags[: a + 1]):
            later = np.arange(max(1 - short - beyond, short - frames + 1), min(long + beyond, frames - short))
            pairs = np.minimum(frames - long, frames - short - later) - np.maximum(0, -later)
            ends = (long - later, short + later), (later, long - short - later)
            covariance = (sum(_at(line, k) for k in ends[0]) - sum(_at(line, k) for k in ends[1])) / 2
            total = 2 * (pairs.clip(min=0) * covariance**2).sum()
            result[a, b] = result[b, a] = total / ((frames - long) * (frames - short))
    return result


def _at(variogram: FloatArray, lags: IntArray) -> FloatArray:
    """A variogram at any lags, on a straight line beyond its end."""
    distance = np.abs(lags)
    last = len(variogram) - 1
    inside: FloatArray = variogram[np.minimum(distance, last)]
    result: FloatArray = inside + (variogram[-1] - variogram[-2]) * (distance - last).clip(min=0)
    return result


def _exponent(parameters: FloatArray, replicas: int) -> _Mean:
    """Slope of ln(MSD - A) over ln(t) from A + B t + C t ln(t / t_m), which is 1 + C / B, linearized in its error."""
    _, B, C = parameters.mean(axis=0)
    ratio = float(C / B)
    deviations = (parameters[:, 2] - ratio * parameters[:, 1]) / B
    spread = mean_over_ions(deviations, replicas)
    return spread._replace(value=1.0 + ratio)


def _is_diffusive(exponent: _Mean) -> bool:
    """Whether it may be 1 and is not 0.8: with 95 % and, as there are several trials, 99 % confidence."""
    return _interval(exponent, 0.95)[1] >= 1.0 and _interval(exponent, 0.99)[0] > LEAST_EXPONENT


def _is_resolved(slope: _Mean) -> bool:
    """Whether a slope is so far above 0 that ratios to it mean something."""
    return slope.value > LEAST_SLOPE * slope.error


def mean_over_ions(values: FloatArray, replicas: int) -> _Mean:
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
    return student_interval(mean.value, mean.error, mean.freedom, probability)


def _bound(failure: _Failure, data: _Pool) -> NotDiffusive:
    """Upper bound from the slope at long lags, which falls with time where it is not constant, and from unseen hops.

    Three standard errors make up for the selection: walks that diffuse are taken for bent ones where their slope falls
    by chance.
    """
    late = int(np.searchsorted(data.lags, data.lags[-1] / SHORTEST_WINDOW))
    slope = mean_over_ions(data.squared[:, late:] @ data.weights(late).line[1], data.replicas)
    steepest = max(slope.value, 0.0) + BOUND * slope.error
    duration = data.frames * data.times[0] / data.lags[0]
    unseen = UNSEEN_HOPS * data.threshold / (len(data.squared) * duration)
    exponent = failure.exponent
    return NotDiffusive(
        reason=failure.reason,
        upper95_cm2_per_s=float((steepest + unseen) * data.per_slope),
        msd_angstrom2=float(data.mean.max()),
        exponent=None if exponent is None else exponent.value,
        exponent_error=None if exponent is None else exponent.error,
        ions=len(data.squared),
        replicas=data.replicas,
    )
