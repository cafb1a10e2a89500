"""Arrhenius parameters with correlated uncertainties, and whether one process explains the data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from ase.units import kB
from scipy import optimize, stats

from argyro.common.errors import DynamicsError

type FloatArray = npt.NDArray[np.float64]
type Curvature = Literal["one process", "two processes", "not resolved"]

FEWEST_TEMPERATURES = 3
FEWEST_FOR_TWO = 5  # temperatures, for the four parameters of two processes
STRONG = 6.0  # difference of information criteria that counts (Kass and Raftery, J. Am. Stat. Assoc. 90, 773 (1995))
BEND = 0.3  # of the activation energy: how far from it those of two processes are looked for
SAMPLES = 20_000
SCATTERS = np.concatenate([[0.0], np.geomspace(0.01, 2.0, 40)])  # of ln D, tried for the groups
SCATTER_SCALE = 0.2  # of the half Cauchy distribution that scatters are drawn from before anything is known


@dataclass(frozen=True)
class Measurement:
    """A diffusivity.

    Attributes:
        temperature_K: Mean of its run.
        D_cm2_per_s: The diffusivity.
        error_cm2_per_s: Its standard error.
        group: What it shares with others: a potential and an arrangement of anions.
    """

    temperature_K: float
    D_cm2_per_s: float
    error_cm2_per_s: float
    group: str = ""


@dataclass(frozen=True, eq=False)
class Arrhenius:
    """Posterior of ln D = ln D0 - Ea / kT.

    Attributes:
        activation_energy_eV: Mean of Ea.
        activation_energy_error_eV: Its standard deviation.
        activation_energy_interval68_eV: Of the posterior.
        activation_energy_interval95_eV: Of the posterior.
        ln_D0: Mean of ln D0, D0 in cm^2/s.
        ln_D0_error: Its standard deviation.
        correlation: Of Ea and ln D0.
        group_scatter: Mean standard deviation of ln D between groups.
        fit_probability: Chance of a worse chi squared if the straight line is true.
        samples: Of ln D0 and Ea, shape (S, 2).
    """

    activation_energy_eV: float
    activation_energy_error_eV: float
    activation_energy_interval68_eV: tuple[float, float]
    activation_energy_interval95_eV: tuple[float, float]
    ln_D0: float
    ln_D0_error: float
    correlation: float
    group_scatter: float
    fit_probability: float
    samples: FloatArray

    def diffusivity(self, temperature_K: float, probability: float) -> tuple[float, float, float]:
        """Median at a temperature, and the interval of a probability, cm^2/s."""
        logarithm = self.samples[:, 0] - self.samples[:, 1] / (kB * temperature_K)
        low, middle, high = np.quantile(logarithm, [(1 - probability) / 2, 0.5, (1 + probability) / 2])
        return float(np.exp(middle)), float(np.exp(low)), float(np.exp(high))


def fit_arrhenius(measurements: Sequence[Measurement], seed: int) -> Arrhenius:
    """Bayesian fit of an activation energy and a prefactor.

    Errors of ln D are Gaussian. Groups differ by a scatter of their own, with a half Cauchy prior, that is integrated
    over; with a single group there is none to be seen.

    Args:
        measurements: At three temperatures at least.
        seed: Of the samples.

    Raises:
        DynamicsError: fewer temperatures, or diffusivities or errors that are not above 0.
    """
    if (count := len({round(m.temperature_K / 5) for m in measurements})) < FEWEST_TEMPERATURES:
        raise DynamicsError(
            f"diffusivities at {count} temperatures; an Arrhenius fit needs {FEWEST_TEMPERATURES} resolved ones"
        )
    values, errors = np.array([[m.D_cm2_per_s, m.error_cm2_per_s] for m in measurements]).T
    if min(values.min(), errors.min()) <= 0:
        raise DynamicsError("diffusivities and their errors must be above 0")
    design, logarithms = _design(measurements), np.log(values)
    names = sorted({m.group for m in measurements})
    shared = np.array([[m.group == name for name in names] for m in measurements], dtype=float)
    scatters = SCATTERS if len(names) > 1 else SCATTERS[:1]
    fits = [_normal(design, logarithms, np.diag((errors / values) ** 2) + s**2 * shared @ shared.T) for s in scatters]
    prior = stats.halfcauchy.logpdf(scatters, scale=SCATTER_SCALE)
    evidence = (
        np.array([fit[2] for fit in fits]) + prior + np.log(np.gradient(scatters) if len(scatters) > 1 else [1.0])
    )
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    samples = _samples(fits, weights, seed)
    chi_squared = float(np.sum(((logarithms - design @ fits[0][0]) / (errors / values)) ** 2))
    spread = np.cov(samples.T)
    return Arrhenius(
        activation_energy_eV=float(samples[:, 1].mean()),
        activation_energy_error_eV=float(np.sqrt(spread[1, 1])),
        activation_energy_interval68_eV=quantile_interval(samples[:, 1], 0.68),
        activation_energy_interval95_eV=quantile_interval(samples[:, 1], 0.95),
        ln_D0=float(samples[:, 0].mean()),
        ln_D0_error=float(np.sqrt(spread[0, 0])),
        correlation=float(spread[0, 1] / np.sqrt(spread[0, 0] * spread[1, 1])),
        group_scatter=float(weights @ scatters),
        fit_probability=float(stats.chi2.sf(chi_squared, len(values) - 2)),
        samples=samples,
    )


def curvature(measurements: Sequence[Measurement]) -> tuple[Curvature, float]:
    """Whether two processes explain diffusivities better than one, by the Bayesian information criterion.

    D = D1 exp(-E1 / kT) + D2 exp(-E2 / kT), against a single term.

    Returns:
        What is the case, and how much lower the criterion of two processes is; not resolved where temperatures are
        fewer than five, or the difference is below 6 either way.
    """
    count = len({round(m.temperature_K / 5) for m in measurements})
    if count < FEWEST_FOR_TWO:
        return "not resolved", float("nan")
    values, errors = np.array([[m.D_cm2_per_s, m.error_cm2_per_s] for m in measurements]).T
    design, logarithms, relative = _design(measurements), np.log(values), errors / values
    one = np.linalg.lstsq(design / relative[:, None], logarithms / relative, rcond=None)[0]

    def residuals(parameters: FloatArray) -> FloatArray:
        first, second = (design @ parameters[k : k + 2] for k in (0, 2))
        result: FloatArray = (np.logaddexp(first, second) - logarithms) / relative
        return result

    starts = [
        np.concatenate([one + step, one - step - np.array([1.0, 0.0])])
        for step in (np.array([shift, sign * BEND * one[1]]) for shift in (0.0, 2.0, 5.0) for sign in (1, -1))
    ]
    two = min(float((optimize.least_squares(residuals, start).fun ** 2).sum()) for start in starts)
    single = float((((design @ one - logarithms) / relative) ** 2).sum())
    difference = single - two - 2 * np.log(len(values))
    if abs(difference) < STRONG and difference > 0:
        return "not resolved", float(difference)
    return ("two processes" if difference > 0 else "one process"), float(difference)


def _design(measurements: Sequence[Measurement]) -> FloatArray:
    inverse = -1 / (kB * np.array([m.temperature_K for m in measurements]))
    return np.stack([np.ones_like(inverse), inverse], axis=1)


def _normal(design: FloatArray, values: FloatArray, covariance: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Mean and covariance of the parameters, and logarithm of the evidence but for a constant (flat prior)."""
    whitened = np.linalg.solve(covariance, design)
    spread = np.linalg.inv(design.T @ whitened)
    mean = spread @ whitened.T @ values
    residuals = values - design @ mean
    evidence = -0.5 * (
        float(residuals @ np.linalg.solve(covariance, residuals))
        + float(np.linalg.slogdet(covariance)[1])
        - float(np.linalg.slogdet(spread)[1])
    )
    return mean, spread, evidence


def _samples(fits: Sequence[tuple[FloatArray, FloatArray, float]], weights: FloatArray, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(SAMPLES, weights)
    return np.concatenate([rng.multivariate_normal(fit[0], fit[1], n) for fit, n in zip(fits, counts, strict=True)])


def quantile_interval(samples: FloatArray, probability: float) -> tuple[float, float]:
    """Central interval of samples that holds a part of them."""
    low, high = np.quantile(samples, [(1 - probability) / 2, (1 + probability) / 2])
    return float(low), float(high)
