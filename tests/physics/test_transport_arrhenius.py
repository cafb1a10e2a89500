"""Activation energies come back with the intervals they should have, and curvature is told from noise."""

import numpy as np
import pytest
from ase.units import kB
from scipy import stats

from argyro.common.errors import DynamicsError
from argyro.transport.arrhenius import Measurement, curvature, fit_arrhenius

TEMPERATURES = (500.0, 600.0, 700.0, 850.0, 1000.0)
ENERGY, PREFACTOR = 0.3, 2e-3  # eV, cm^2/s


def measured(
    rng: np.random.Generator, noise: float, groups: int = 1, scatter: float = 0.0, second: tuple[float, float] = (0, 0)
) -> list[Measurement]:
    found = []
    for group in range(groups):
        shift = scatter * rng.normal()
        for temperature in TEMPERATURES:
            D = PREFACTOR * np.exp(-ENERGY / (kB * temperature)) + second[1] * np.exp(-second[0] / (kB * temperature))
            found.append(
                Measurement(temperature, D * np.exp(shift + noise * rng.normal()), noise * D, f"group {group}")
            )
    return found


@pytest.mark.parametrize(("groups", "scatter"), [(1, 0.0), (4, 0.25)])
def test_intervals_cover_the_truth_as_often_as_they_say(groups: int, scatter: float) -> None:
    rng, trials = np.random.default_rng(groups), 200
    hits = np.zeros(3)
    room = np.log(PREFACTOR) - ENERGY / (kB * 300)
    for trial in range(trials):
        fit = fit_arrhenius(measured(rng, 0.05, groups, scatter), trial)
        low, high = fit.activation_energy_interval68_eV
        _, cold, warm = fit.diffusivity(300.0, 0.95)
        low95, high95 = fit.activation_energy_interval95_eV
        hits += [low < ENERGY < high, low95 < ENERGY < high95, np.log(cold) < room < np.log(warm)]
    for share, probability in zip(hits / trials, (0.68, 0.95, 0.95), strict=True):
        low, high = (edge / trials for edge in stats.binom.interval(0.999, trials, probability))
        assert low <= share <= high + 0.02, "with few groups a little too wide is right"


def test_scatter_of_groups_widens_the_interval() -> None:
    rng = np.random.default_rng(3)
    alone = fit_arrhenius(measured(rng, 0.05), 1)
    grouped = fit_arrhenius(measured(rng, 0.05, groups=5, scatter=0.4), 1)
    assert grouped.group_scatter == pytest.approx(0.4, rel=0.6)
    assert grouped.ln_D0_error > 0.1
    assert alone.group_scatter == 0.0
    assert alone.correlation > 0.95, "a higher barrier goes with a higher prefactor"


def test_two_processes_are_told_from_one() -> None:
    rng = np.random.default_rng(4)
    kinds = [curvature(measured(rng, 0.03))[0] for _ in range(40)]
    assert kinds.count("two processes") <= 3
    bent = [curvature(measured(rng, 0.03, second=(0.9, 20.0)))[0] for _ in range(8)]
    assert bent.count("two processes") == 8


def test_few_temperatures_tell_no_curvature_and_fewer_no_energy() -> None:
    some = measured(np.random.default_rng(1), 0.05)
    assert curvature(some[:4])[0] == "not resolved"
    with pytest.raises(DynamicsError, match="at 2 temperatures; an Arrhenius fit needs 3"):
        fit_arrhenius([*some[:2], *some[:2]], 1)


def test_line_that_does_not_fit_has_a_small_probability() -> None:
    some = measured(np.random.default_rng(2), 0.02)
    wrong = [
        Measurement(m.temperature_K, m.D_cm2_per_s * (1 + 0.5 * (k % 2)), m.error_cm2_per_s) for k, m in enumerate(some)
    ]
    assert fit_arrhenius(some, 1).fit_probability > 0.001
    assert fit_arrhenius(wrong, 1).fit_probability < 1e-6
