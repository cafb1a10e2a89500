"""Diffusivities of walks that are known agree with the truth as often as their intervals say, and with kinisi."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats
from scipy.signal import lfilter

from argyro.common.errors import DynamicsError
from argyro.transport.diffusivity import (
    Diffusivity,
    NotDiffusive,
    cage_memory,
    tracer_diffusivity,
    walk_covariance,
)
from argyro.transport.displacements import SquaredDisplacements, lag_grid, squared_displacements
from argyro.transport.kinisi_estimate import kinisi_diffusivity

type FloatArray = npt.NDArray[np.float64]

INTERVAL = 0.1  # ps between frames
D = 0.05  # square angstrom per ps, or 5e-6 cm^2/s
HOP = 1.3
TRIALS = 500


def walk(rng: np.random.Generator, frames: int, ions: int, cage: float = 0.0, D: Any = D) -> FloatArray:
    """A random walk, and rattling about it that is forgotten within half a picosecond."""
    positions = rng.normal(size=(frames, ions, 3)) * np.sqrt(2 * np.asarray(D) * INTERVAL)
    positions = positions.cumsum(axis=0)
    return positions + rattling(rng, positions.shape, cage, 0.5) if cage else positions


def rattling(rng: np.random.Generator, shape: tuple[int, ...], size: float, memory: float) -> FloatArray:
    kept = np.exp(-INTERVAL / memory)
    noise = rng.normal(size=shape)
    noise[1:] *= np.sqrt(1 - kept**2)
    filtered: FloatArray = lfilter([1.0], [1.0, -kept], noise, axis=0)
    return size * filtered


def measured(positions: FloatArray) -> SquaredDisplacements:
    lags = lag_grid(len(positions))
    return SquaredDisplacements(lags, INTERVAL, len(positions), squared_displacements(positions, lags))


def fractional_walk(rng: np.random.Generator, frames: int, ions: int, exponent: float, size: float) -> FloatArray:
    """Fractional Brownian motion, whose MSD grows with an exponent (Davies and Harte, Biometrika 74, 95 (1987))."""
    k = np.arange(frames + 1)
    correlation = 0.5 * (np.abs(k + 1.0) ** exponent - 2 * np.abs(k) ** exponent + np.abs(k - 1.0) ** exponent)
    eigenvalues = np.fft.rfft(np.concatenate([correlation, correlation[-2:0:-1]])).real.clip(min=0)
    noise = np.fft.rfft(rng.normal(size=(2 * frames, ions, 3)), axis=0) * np.sqrt(eigenvalues)[:, None, None]
    steps: FloatArray = np.fft.irfft(noise, axis=0)[:frames]
    return size * steps.cumsum(axis=0)


def band(probability: float, trials: int) -> tuple[float, float]:
    """Shares of successes of trials that occur with 99.9 %."""
    low, high = stats.binom.interval(0.999, trials, probability)
    return low / trials, high / trials


def covers(interval: tuple[float, float], truth: float = D) -> bool:
    return interval[0] <= truth * 1e-4 <= interval[1]


@pytest.mark.parametrize(
    ("frames", "ions", "replicas", "cage"), [(800, 96, 1, 0.3), (800, 48, 2, 0.0), (800, 12, 8, 0.3)]
)
def test_intervals_cover_the_truth_as_often_as_they_say(frames: int, ions: int, replicas: int, cage: float) -> None:
    rng = np.random.default_rng([frames, ions, replicas])
    found = [
        tracer_diffusivity([measured(walk(rng, frames, ions, cage)) for _ in range(replicas)], hop_length=HOP)
        for _ in range(TRIALS)
    ]
    accepted = [each for each in found if isinstance(each, Diffusivity)]
    assert len(accepted) >= band(0.95, TRIALS)[0] * TRIALS
    for probability, name in ((0.68, "interval68_cm2_per_s"), (0.95, "interval95_cm2_per_s")):
        share = np.mean([covers(getattr(each, name)) for each in accepted])
        low, high = band(probability, len(accepted))
        assert low <= share <= high, (probability, share)
    mean = np.mean([each.D_cm2_per_s for each in accepted])
    spread = np.std([each.D_cm2_per_s for each in accepted])
    assert mean == pytest.approx(D * 1e-4, abs=4 * spread / np.sqrt(len(accepted)) + 0.005 * D * 1e-4)
    # Where replicas scatter the larger of two estimates is taken: on average too much, never too little
    assert 0.85 * spread < np.mean([each.error_cm2_per_s for each in accepted]) < 1.25 * spread
    assert np.mean([each.offset_angstrom2 for each in accepted]) == pytest.approx(6 * cage**2, abs=0.1)


def test_covariance_of_lags_is_that_of_many_walks() -> None:
    lags, frames = np.array([1, 3, 4, 20, 33]), 100
    walks = np.random.default_rng(1).normal(size=(frames, 6000, 3)).cumsum(axis=0)
    squared = squared_displacements(walks, lags).transpose(0, 2, 1).reshape(-1, len(lags))
    expected, found = walk_covariance(lags, frames), np.cov(squared.T)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(found / scale, expected / scale, atol=0.05)


def test_variance_at_one_step_is_that_of_independent_squares() -> None:
    assert walk_covariance(np.array([1]), 101)[0, 0] == pytest.approx(2 / 100)


@pytest.mark.parametrize(("axes", "truth"), [((0,), 0.02), ((2,), 0.10), ((0, 1), 0.04), ((0, 1, 2), 0.06)])
def test_diffusivity_along_some_axes_is_their_mean(axes: tuple[int, ...], truth: float) -> None:
    rng = np.random.default_rng(4)
    run = measured(walk(rng, 3000, 400, 0.3, D=[0.02, 0.06, 0.10]))
    found = tracer_diffusivity([run], hop_length=HOP, axes=axes)
    assert isinstance(found, Diffusivity)
    assert found.D_cm2_per_s == pytest.approx(truth * 1e-4, abs=4 * found.error_cm2_per_s)
    assert found.error_cm2_per_s < 0.05 * truth * 1e-4


def test_lines_begin_when_cages_are_forgotten_however_fast_ions_leave_them() -> None:
    """Hops come before that, and what is left of cages then would be taken for diffusion."""
    rng = np.random.default_rng(8)
    runs = [measured(walk(rng, 1200, 64, 0.3, D=0.1)) for _ in range(150)]
    found = [each for run in runs if isinstance(each := tracer_diffusivity([run], hop_length=HOP), Diffusivity)]
    assert len(found) > 140
    pulls = [(each.D_cm2_per_s / 0.1e-4 - 1) / (each.error_cm2_per_s / 0.1e-4) for each in found]
    assert abs(np.mean(pulls)) < 4 / np.sqrt(len(pulls))
    memories = [cage_memory(run.times[:20], run.squared.sum(axis=-1).mean(axis=0)[:20]) for run in runs]
    assert np.median(memories) == pytest.approx(0.5, rel=0.15)
    free = measured(walk(rng, 1200, 64, D=0.1))
    assert cage_memory(free.times[:20], free.squared.sum(axis=-1).mean(axis=0)[:20]) == 0


@pytest.mark.parametrize(("frames", "ions"), [(700, 24), (300, 6)])
@pytest.mark.parametrize("kind", ["exponent 0.5", "exponent 0.7", "cage", "slow cage", "rest"])
def test_what_does_not_diffuse_is_not_called_diffusive(kind: str, frames: int, ions: int) -> None:
    """Of few data either, whose exponent may be anything."""
    rng = np.random.default_rng(7)

    def positions() -> FloatArray:
        if kind.startswith("exponent"):
            return fractional_walk(rng, frames, ions, float(kind.split()[1]), 0.4)
        if kind == "rest":
            return np.zeros((frames, ions, 3))
        return rattling(rng, (frames, ions, 3), 1.3, 0.05 if kind == "cage" else 5.0)

    found = [tracer_diffusivity([measured(positions())], hop_length=HOP) for _ in range(100)]
    accepted = [each for each in found if isinstance(each, Diffusivity)]
    assert len(accepted) <= stats.binom.ppf(0.999, 100, 0.01)


def test_walk_that_is_bent_at_first_diffuses_from_a_later_lag_on() -> None:
    """Rattling that is remembered for long, as of ions that jump back and forth within a cage."""
    rng = np.random.default_rng(6)
    positions = walk(rng, 3000, 128) + rattling(rng, (3000, 128, 3), 0.8, 2.0)
    found = tracer_diffusivity([measured(positions)], hop_length=HOP)
    assert isinstance(found, Diffusivity)
    assert 4.0 < found.window_ps[0] < 20.0
    assert found.D_cm2_per_s == pytest.approx(D * 1e-4, abs=4 * found.error_cm2_per_s)
    assert found.offset_angstrom2 == pytest.approx(6 * 0.8**2, rel=0.15)


@pytest.mark.parametrize("truth", [0.05, 0.01, 0.001])
def test_upper_bound_holds_where_diffusion_is_not_seen(truth: float) -> None:
    rng = np.random.default_rng(9)
    found = [tracer_diffusivity([measured(walk(rng, 400, 24, 0.3, D=truth))], hop_length=3.0) for _ in range(200)]
    bounds = [each.upper95_cm2_per_s for each in found if isinstance(each, NotDiffusive)]
    assert len(bounds) > 150
    assert np.mean([bound >= truth * 1e-4 for bound in bounds]) >= band(0.95, len(bounds))[0]


def test_hops_that_were_not_seen_are_in_the_bound() -> None:
    """Ions at rest: three hops might have been expected in all the time there was (Poisson, 95 %)."""
    found = tracer_diffusivity([measured(np.zeros((1000, 24, 3)))], hop_length=2.0)
    assert isinstance(found, NotDiffusive)
    assert found.reason == "too few hops"
    assert found.upper95_cm2_per_s == pytest.approx(3 * 2.0**2 / (6 * 24 * 100.0) * 1e-4)


def test_replicas_that_differ_more_than_their_ions_explain_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    rates = [0.03, 0.04, 0.05, 0.06, 0.07]
    different = tracer_diffusivity([measured(walk(rng, 2000, 96, 0.3, D=d)) for d in rates], hop_length=HOP)
    alike = tracer_diffusivity([measured(walk(rng, 2000, 96, 0.3)) for _ in rates], hop_length=HOP)
    assert isinstance(different, Diffusivity)
    assert isinstance(alike, Diffusivity)
    assert (different.scatter, alike.scatter) == ("replicas", "ions")
    assert different.error_cm2_per_s == pytest.approx(np.std(rates, ddof=1) / np.sqrt(5) * 1e-4, rel=0.3)
    assert covers(different.interval68_cm2_per_s)
    assert different.error_cm2_per_s > 3 * alike.error_cm2_per_s
    assert (different.ions, different.replicas) == (480, 5)


def test_kinisi_finds_the_same_diffusivity() -> None:
    """Within its error, which is two to three times ours.

    It takes a covariance of lags (McCluskey et al., J. Chem. Theory Comput. 21, 79 (2025)) that is wider than that of a
    walk; whose error is right, the coverage above decides.
    """
    positions = walk(np.random.default_rng(11), 1000, 64, 0.3)
    ours = tracer_diffusivity([measured(positions)], hop_length=HOP)
    assert isinstance(ours, Diffusivity)
    theirs = kinisi_diffusivity([positions[:, :30], positions[:, 30:]], INTERVAL, ours.window_ps[0], seed=1)
    assert ours.D_cm2_per_s == pytest.approx(theirs.D_cm2_per_s, abs=theirs.error_cm2_per_s)
    assert theirs.interval95_cm2_per_s[0] < theirs.interval68_cm2_per_s[0] < theirs.D_cm2_per_s
    assert 1 < theirs.error_cm2_per_s / ours.error_cm2_per_s < 4


@pytest.mark.parametrize("wrong", ["none", "lengths", "ions"])
def test_replicas_that_do_not_belong_together_are_refused(wrong: str) -> None:
    rng = np.random.default_rng(0)
    one = measured(walk(rng, 300, 4))
    replicas = {"none": [], "lengths": [one, measured(walk(rng, 400, 4))], "ions": [one, measured(walk(rng, 300, 5))]}
    with pytest.raises(DynamicsError, match="at least one run" if wrong == "none" else "replicas differ"):
        tracer_diffusivity(replicas[wrong])
