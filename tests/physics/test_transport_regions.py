"""Diffusivities of layers that are known are found again, along and across, where the rule of mixtures is biased."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from argyro.common.errors import DynamicsError
from argyro.transport.regions import (
    Visits,
    lag_range,
    mixture_diffusivity,
    parallel_diffusivities,
    perpendicular_diffusivities,
)

type FloatArray = npt.NDArray[np.float64]

SITE = 0.5  # angstrom between places along z
STEP = 0.1  # ps
FRAME_STEPS = 2
UNIT = 1e-4  # cm^2/s in one square angstrom per ps


def layers(
    seed: int,
    rates: tuple[float, float],
    *,
    thickness: tuple[float, float] = (12.0, 12.0),
    densities: tuple[float, float] = (1.0, 1.0),
    frames: int = 3000,
    ions: int = 120,
    cage: float = 0.3,
) -> Visits:
    """Walks between the places of two layers in turn, whose rates obey detailed balance, with rattling on top."""
    rng = np.random.default_rng(seed)
    counts = [round(t / SITE) for t in thickness]
    layer = np.repeat([0, 1], counts)
    sites = len(layer)
    D, density = np.array(rates)[layer], np.array(densities)[layer]
    # From i to i + 1, in series of two half steps, each as fast as its layer; the same number of ions goes back
    conductance = 2 / (1 / (D * density) + 1 / np.roll(D * density, -1))
    up, down = conductance / density / SITE**2 * STEP, np.roll(conductance, 1) / density / SITE**2 * STEP
    assert (up + down).max() < 0.7
    place = rng.choice(sites, size=ions, p=density / density.sum())
    turns, flat = np.zeros(ions), np.zeros((ions, 2))
    positions, regions, depths = [], [], []
    edge = np.array([min(abs(i + 0.5 - e) for e in (0, counts[0], sites)) * SITE for i in range(sites)])
    for step in range(frames * FRAME_STEPS):
        flat += rng.normal(size=(ions, 2)) * np.sqrt(2 * D[place] * STEP)[:, None]
        chance = rng.random(ions)
        move = (chance < up[place]).astype(int) - ((chance >= up[place]) & (chance < (up + down)[place]))
        turns += (place + move) // sites
        place = (place + move) % sites
        if step % FRAME_STEPS == FRAME_STEPS - 1:
            z = (turns * sites + place) * SITE
            positions.append(np.column_stack([flat, z]) + cage * rng.normal(size=(ions, 3)))
            regions.append(layer[place])
            depths.append(edge[place])
    return Visits(
        np.array(positions), np.array(regions), np.array(depths), np.array([0.0, 0.0, 1.0]), STEP * FRAME_STEPS
    )


@pytest.mark.parametrize("densities", [(1.0, 1.0), (1.0, 2.5)])
def test_both_layers_are_found_along_and_across(densities: tuple[float, float]) -> None:
    truth = (0.08, 0.32)
    runs = [layers(seed, truth, densities=densities) for seed in (1, 2)]
    lags = lag_range(len(runs[0].positions), runs[0].interval, 1.0, truth[1] * UNIT, 12.0)
    for estimate, tolerance in ((parallel_diffusivities, 0.06), (perpendicular_diffusivities, 0.15)):
        for k, found in enumerate(estimate(runs, lags, 2)):
            assert found is not None
            value, error = found.D_cm2_per_s / UNIT, found.error_cm2_per_s / UNIT
            assert value == pytest.approx(truth[k], abs=4 * error)
            assert error < tolerance * truth[k]
            assert found.share == pytest.approx(densities[k] / sum(densities), abs=0.06)


def test_intervals_of_layers_cover_the_truth_as_often_as_they_say() -> None:
    truth, hits = (0.1, 0.3), np.zeros((2, 2))
    trials = 40
    for trial in range(trials):
        runs = [layers(100 + trial, truth, frames=500, ions=80)]
        lags = lag_range(len(runs[0].positions), runs[0].interval, 1.0, truth[1] * UNIT, 12.0)
        for row, estimate in enumerate((parallel_diffusivities, perpendicular_diffusivities)):
            for k, found in enumerate(estimate(runs, lags, 2)):
                assert found is not None
                low, high = found.interval68_cm2_per_s
                hits[row, k] += low < truth[k] * UNIT < high
    # 99.9 % of binomial draws of 40 with 68 % are in this band
    assert (hits / trials > 0.42).all(), hits
    assert (hits / trials < 0.90).all(), hits


def test_rule_of_mixtures_holds_along_and_fails_across_by_the_difference_of_means() -> None:
    truth, thickness = (0.32, 0.08), (6.0, 6.0)
    run = layers(3, truth, thickness=thickness, frames=6000, ions=200)
    lag = len(run.positions) // 4
    moved = run.positions[lag:] - run.positions[:-lag]
    along, across = ((moved**2).mean(axis=(0, 1)) / (2 * lag * run.interval)).reshape(3)[[0, 2]]
    fraction = thickness[1] / sum(thickness)
    arithmetic, harmonic = np.mean(truth), 1 / np.mean(1 / np.array(truth))
    assert along == pytest.approx(arithmetic, rel=0.1)
    assert across == pytest.approx(harmonic, rel=0.15)
    right = mixture_diffusivity((arithmetic * UNIT, 0.0), (truth[0] * UNIT, 0.0), fraction, thickness[1])
    wrong = mixture_diffusivity((across * UNIT, 0.0), (truth[0] * UNIT, 0.0), fraction, thickness[1])
    assert right.D_cm2_per_s == pytest.approx(truth[1] * UNIT)
    assert wrong.D_cm2_per_s == pytest.approx((harmonic - truth[0] * (1 - fraction)) / fraction * UNIT, abs=0.05 * UNIT)
    assert wrong.D_cm2_per_s < 0, "as if ions in boundaries went backwards"


def test_lags_end_before_ions_leave_a_region() -> None:
    run = layers(1, (0.1, 0.1), frames=3000, ions=4)
    lags = lag_range(len(run.positions), run.interval, 2.0, 0.1 * UNIT, 10.0)
    assert lags[0] * run.interval >= 2.0
    assert np.sqrt(2 * 0.1 * lags[-1] * run.interval) <= 5.0 < np.sqrt(2 * 0.1 * (lags[-1] + 1) * run.interval)
    assert all(a < b for a, b in pairwise(lags))
    with pytest.raises(DynamicsError, match="are left within"):
        lag_range(len(run.positions), run.interval, 2.0, 0.1 * UNIT, 1.0)


def test_region_that_nobody_visits_has_no_diffusivity() -> None:
    run = layers(1, (0.1, 0.1), frames=300, ions=40)
    found = parallel_diffusivities([run], np.array([5, 20]), 3)
    assert found[2] is None
    assert found[0] is not None


@pytest.mark.parametrize("fraction", [0.0, 1.2])
def test_fraction_that_makes_no_sense_is_refused(fraction: float) -> None:
    with pytest.raises(DynamicsError, match="the rule needs 0 to 1"):
        mixture_diffusivity((1.0, 0.1), (1.0, 0.1), fraction, 10.0)
