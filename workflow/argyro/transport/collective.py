"""Collective (charge) diffusivity, conductivity and Haven ratio.

The collective displacement is the sum over all mobile ions, in the frame of the framework. It is a single series per
run, so that nothing averages its noise: the error comes from the covariance of a walk's squared displacements, and the
distribution of a sum of squares.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.units import _e, _k
from scipy import stats

from argyro.common.errors import DynamicsError
from argyro.md.trajectory import Trajectory

from .arrhenius import quantile_interval
from .diffusivity import CM2_PER_S, FEWEST_LAGS, Diffusivity, least_squares, walk_covariance
from .displacements import (
    FloatArray,
    IntArray,
    SquaredDisplacements,
    frame_interval,
    lag_grid,
    mobile_blocks,
    squared_displacements,
)

FEWEST_WINDOWS = 20.0  # independent ones below which nothing is resolved
LAGS = 10  # that are fitted to
ROUNDS = 2  # of fits, each with the covariance that the one before suggests
MEMORIES = 3.0  # after which rattling is forgotten
SAMPLES = 20_000  # of ratios of two uncertain numbers
CM3_PER_ANGSTROM3 = 1e-24
MS_PER_S = 1e3


@dataclass(frozen=True)
class Resolved:
    """A number and its intervals.

    Attributes:
        value: The number.
        interval68: Where it is with 68 %.
        interval95: With 95 %.
        windows: Independent windows of time it was measured in: as many have its relative error.
        freedom: Degrees of freedom of the collective diffusivity behind it.
    """

    value: float
    interval68: tuple[float, float]
    interval95: tuple[float, float]
    windows: float
    freedom: float


@dataclass(frozen=True)
class NotResolved:
    """Why there is no number.

    Attributes:
        reason: ``no diffusion``, or ``too few windows``.
        windows: Independent windows of time there were.
    """

    reason: str
    windows: float = 0.0


def collective_displacements(trajectory: Trajectory, elements: Sequence[str]) -> SquaredDisplacements:
    """Squared displacements of the sum of all ions of some elements, per ion, averaged over all time origins.

    Returns:
        As of a single ion: shape (1, L, 3).

    Raises:
        DynamicsError: there are no such ions, too few frames, or their intervals differ.
        FileError: the trajectory is damaged.
    """
    total, count = np.zeros((len(trajectory.steps), 3)), 0
    for positions in mobile_blocks(trajectory, elements):
        total += positions.sum(axis=1)
        count += positions.shape[1]
    return collective_of(total[:, None, :], count, frame_interval(trajectory))


def collective_of(total: FloatArray, ions: int, interval: float) -> SquaredDisplacements:
    """The same from the sum of all positions.

    Args:
        total: Shape (F, 1, 3), angstrom.
        ions: How many were summed.
        interval: Between frames, ps.

    Raises:
        DynamicsError: there is no ion, or too few frames.
    """
    if not ions:
        raise DynamicsError("there are no ions whose collective displacement could be measured")
    lags = lag_grid(len(total))
    return SquaredDisplacements(lags, interval, len(total), squared_displacements(total, lags) / ions)


def collective_diffusivity(
    replicas: Sequence[SquaredDisplacements], *, begin_ps: float, axes: Sequence[int] = (0, 1, 2)
) -> Resolved | NotResolved:
    """Collective diffusivity in cm^2/s: what the conductivity is proportional to.

    Half the slope of the mean squared collective displacement per ion along an axis. If the slopes of N axes and runs
    have the relative variance v each, their mean is distributed as chi squared of 2 N / v degrees of freedom.

    Args:
        replicas: Of runs of the same length.
        begin_ps: First lag: where the tracers' displacements are a straight line.
        axes: Along which.

    Returns:
        Nothing resolved where there are fewer than 20 independent windows: then an interval spans a factor of two.

    Raises:
        DynamicsError: there is no replica, or they differ in lags.
    """
    kinds = {(run.frames, run.interval) for run in replicas}
    if len(kinds) != 1:
        raise DynamicsError(f"a collective diffusivity needs runs of one length and interval, not {sorted(kinds)}")
    first = replicas[0]
    begin = int(np.searchsorted(first.times, begin_ps * (1 - 1e-9)))
    if len(first.lags) - begin < FEWEST_LAGS:
        return NotResolved("too few windows")
    chosen = begin + np.unique(np.linspace(0, len(first.lags) - 1 - begin, LAGS).round().astype(int))
    series = len(replicas) * len(axes)
    design = np.stack([np.ones(len(chosen)), first.lags[chosen].astype(float)], axis=1)
    walk = walk_covariance(first.lags[chosen], first.frames)
    # Of a walk without rattling: a number that does not depend on the noise, so that what it lets pass is not biased
    windows = 2 * len(replicas) / float(np.linalg.inv(design.T @ np.linalg.solve(walk, design))[1, 1])
    squares = np.concatenate([run.squared[0][:, list(axes)].T for run in replicas])  # (R axes, L)
    slope, variance = _slope(first.lags, squares, chosen, first.frames)
    if windows < FEWEST_WINDOWS or not np.isfinite(variance):
        return NotResolved("too few windows", windows)
    value, freedom = slope / first.interval / 2 * CM2_PER_S, 2 * series * slope**2 / variance
    return Resolved(value, _chi_squared(value, freedom, 0.68), _chi_squared(value, freedom, 0.95), windows, freedom)


def _slope(lags: IntArray, squares: FloatArray, chosen: IntArray, frames: int) -> tuple[float, float]:
    """Slope per frame of the mean of some series, and its variance if there were a single one.

    The covariance is that of a walk at first, then that of a process with the mean displacements this gives: a straight
    line, and an offset that is reached as they show.
    """
    mean = squares.mean(axis=0)
    design = np.stack([np.ones(len(chosen)), lags[chosen].astype(float)], axis=1)
    weights = least_squares(design, walk_covariance(lags[chosen], frames))
    for _ in range(ROUNDS):
        offset, slope = weights @ mean[chosen]
        if slope <= 0:
            return float(slope), np.inf
        variogram = _variogram(lags, mean, max(float(offset), 0.0), float(slope))
        covariance = walk_covariance(lags[chosen], frames, variogram)
        weights = least_squares(design, covariance)
    return float((weights @ mean[chosen])[1]), float((weights @ covariance @ weights.T)[1, 1])


def _variogram(lags: IntArray, mean: FloatArray, offset: float, slope: float) -> FloatArray:
    """Offset (1 - exp(-t / t_c)) + slope t, up to where the offset is reached; t_c by the mean squares."""
    rattling = np.maximum.accumulate(mean - slope * lags)
    reached = int(np.searchsorted(rattling, (1 - np.exp(-1)) * offset))
    memory = float(lags[min(reached, len(lags) - 1)]) if offset > 0 else 1.0
    frames = np.arange(int(MEMORIES * memory) + 2)
    return np.asarray(offset * -np.expm1(-frames / memory) + slope * frames, dtype=np.float64)


def haven_ratio(tracer: Diffusivity, collective: Resolved, seed: int) -> Resolved:
    """Tracer over collective diffusivity: 1 for ions that move independently, below for ions that move together.

    Args:
        tracer: Of the same runs.
        collective: Of the same runs.
        seed: Of the samples that the interval comes from.
    """
    rng = np.random.default_rng(seed)
    charge = collective.value * collective.freedom / rng.chisquare(collective.freedom, SAMPLES)
    ions = tracer.D_cm2_per_s + tracer.error_cm2_per_s * rng.standard_normal(SAMPLES)
    ratios = ions / charge
    value = tracer.D_cm2_per_s / collective.value
    return Resolved(
        value, quantile_interval(ratios, 0.68), quantile_interval(ratios, 0.95), collective.windows, collective.freedom
    )


def conductivity(D_cm2_per_s: float, *, ions_per_angstrom3: float, charge_number: float, temperature_K: float) -> float:
    """Conductivity n q^2 D / (k T), in mS/cm: of the tracer diffusivity that of Nernst and Einstein.

    Args:
        D_cm2_per_s: Collective diffusivity, or tracer diffusivity.
        ions_per_angstrom3: Density of the mobile ions.
        charge_number: Of a mobile ion, in elementary charges.
        temperature_K: Of the run.
    """
    charge = charge_number * _e  # C
    per_cm3 = ions_per_angstrom3 / CM3_PER_ANGSTROM3
    # k in J/K = C V/K, lengths in cm: S/cm
    return MS_PER_S * per_cm3 * charge**2 * D_cm2_per_s / (_k * temperature_K)


def _chi_squared(value: float, freedom: float, probability: float) -> tuple[float, float]:
    """Interval of a variance that was estimated with some degrees of freedom."""
    low, high = stats.chi2.ppf([(1 + probability) / 2, (1 - probability) / 2], freedom)
    return float(value * freedom / low), float(value * freedom / high)
