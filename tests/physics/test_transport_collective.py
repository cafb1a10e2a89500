"""Collective diffusivity and Haven ratio of ions that move together are those they were given."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats
from scipy.signal import lfilter

from argyro.common.errors import DynamicsError
from argyro.transport.collective import (
    NotResolved,
    Resolved,
    collective_diffusivity,
    collective_of,
    conductivity,
    haven_ratio,
)
from argyro.transport.diffusivity import Diffusivity, tracer_diffusivity, walk_covariance
from argyro.transport.displacements import SquaredDisplacements, lag_grid, squared_displacements
from argyro.transport.tensor import DIRECTIONS, diffusivity_tensor

type FloatArray = npt.NDArray[np.float64]

INTERVAL = 0.1  # ps
D = 0.05  # square angstrom per ps
IONS, TOGETHER = 24, 0.3


def correlated(rng: np.random.Generator, frames: int, together: float, cage: float) -> FloatArray:
    """Steps of each ion's own and steps of all, and rattling that is forgotten within half a picosecond."""
    steps = rng.normal(size=(frames, IONS, 3)) + together * rng.normal(size=(frames, 1, 3))
    positions = np.sqrt(2 * D * INTERVAL / (1 + together**2)) * steps.cumsum(axis=0)
    noise, kept = rng.normal(size=positions.shape), np.exp(-INTERVAL / 0.5)
    noise[1:] *= np.sqrt(1 - kept**2)
    filtered: FloatArray = lfilter([1.0], [1.0, -kept], noise, axis=0)
    return positions + cage * filtered


def charge(positions: FloatArray) -> SquaredDisplacements:
    return collective_of(positions.sum(axis=1, keepdims=True), IONS, INTERVAL)


def ions(positions: FloatArray) -> SquaredDisplacements:
    lags = lag_grid(len(positions))
    return SquaredDisplacements(lags, INTERVAL, len(positions), squared_displacements(positions, lags))


def haven(together: float) -> float:
    return (1 + together**2) / (1 + IONS * together**2)


@pytest.mark.parametrize(("replicas", "frames", "together"), [(1, 1000, TOGETHER), (4, 400, 0.0)])
def test_intervals_cover_the_truth_as_often_as_they_say(replicas: int, frames: int, together: float) -> None:
    rng = np.random.default_rng([replicas, frames, int(10 * together)])
    trials, hits, ratio_hits, ratios = 500, np.zeros(2), np.zeros(2), 0
    truth = D / haven(together) * 1e-4
    for trial in range(trials):
        runs = [correlated(rng, frames, together, 0.3) for _ in range(replicas)]
        found = collective_diffusivity([charge(run) for run in runs], begin_ps=2.0)
        assert isinstance(found, Resolved)
        hits += [low < truth < high for low, high in (found.interval68, found.interval95)]
        tracer = tracer_diffusivity([ions(run) for run in runs], hop_length=1.3)
        if isinstance(tracer, Diffusivity):
            ratio = haven_ratio(tracer, found, trial)
            ratio_hits += [low < haven(together) < high for low, high in (ratio.interval68, ratio.interval95)]
            ratios += 1
    for share, count in ((hits / trials, trials), (ratio_hits / ratios, ratios)):
        for probability, part in zip((0.68, 0.95), share, strict=True):
            low, high = (edge / count for edge in stats.binom.interval(0.999, count, probability))
            assert low <= part <= high


def test_short_run_resolves_nothing() -> None:
    found = collective_diffusivity([charge(correlated(np.random.default_rng(1), 200, 0.0, 0.0))], begin_ps=2.0)
    assert isinstance(found, NotResolved)
    assert found.reason == "too few windows"
    assert found.windows < 20


def test_covariance_with_rattling_is_that_of_many_walks() -> None:
    rng, frames, lags = np.random.default_rng(2), 200, np.array([4, 9, 30, 60])
    memory, cage, step = 5.0, 0.8, 0.3
    kept = np.exp(-1 / memory)
    walk = step * rng.normal(size=(frames, 8000)).cumsum(axis=0)
    noise = rng.normal(size=walk.shape)
    for k in range(1, frames):
        noise[k] = kept * noise[k - 1] + np.sqrt(1 - kept**2) * noise[k]
    squares = squared_displacements((walk + cage * noise)[..., None], lags)[..., 0]
    times = np.arange(61.0)
    variogram = 2 * cage**2 * (1 - np.exp(-times / memory)) + step**2 * times
    expected, found = walk_covariance(lags, frames, variogram), np.cov(squares.T)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(found / scale, expected / scale, atol=0.06)


def test_conductivity_of_a_litre_of_ions() -> None:
    """Sodium and chloride at infinite dilution: 1.33e-5 and 2.03e-5 cm^2/s give 126 S cm^2/mol at 298 K (CRC)."""
    per_angstrom3 = 6.02214e23 / 1e27 * 1e-3  # 1 mmol/l
    total = sum(
        conductivity(d, ions_per_angstrom3=per_angstrom3, charge_number=1, temperature_K=298.15)
        for d in (1.334e-5, 2.032e-5)
    )
    assert total == pytest.approx(0.1264, rel=2e-3)


def test_tensor_of_walks_along_tilted_axes_is_that_of_their_rotation() -> None:
    rng = np.random.default_rng(5)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rates = np.array([0.02, 0.05, 0.10])
    positions = (rng.normal(size=(3000, 300, 3)) * np.sqrt(2 * rates * INTERVAL)).cumsum(axis=0) @ turn.T
    lags = lag_grid(3000)
    run = SquaredDisplacements(lags, INTERVAL, 3000, squared_displacements(positions @ DIRECTIONS.T, lags))
    found = diffusivity_tensor([run], 1.0)
    expected = turn @ np.diag(rates) @ turn.T * 1e-4
    errors = found.errors_cm2_per_s
    components = expected[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    assert (np.abs(found.components_cm2_per_s - components) < 4 * errors).all()
    assert errors.max() < 0.05 * rates.max() * 1e-4
    np.testing.assert_allclose(np.linalg.eigvalsh(found.matrix), rates * 1e-4, rtol=0.1)


def test_runs_of_different_lengths_are_refused() -> None:
    rng = np.random.default_rng(0)
    runs = [charge(correlated(rng, frames, 0.0, 0.0)) for frames in (300, 400)]
    with pytest.raises(DynamicsError, match="one length"):
        collective_diffusivity(runs, begin_ps=1.0)
