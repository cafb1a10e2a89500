"""Squared displacements by Fourier transform are those of the definition."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argyro.common.errors import DynamicsError
from argyro.md.trajectory import Frames, Trajectory, write_trajectory
from argyro.transport.displacements import ion_displacements, lag_grid, squared_displacements

type FloatArray = npt.NDArray[np.float64]


def by_definition(positions: FloatArray, lag: Any) -> FloatArray:
    total: FloatArray = np.zeros(positions.shape[1:])
    for origin in range(len(positions) - lag):
        total += (positions[origin + lag] - positions[origin]) ** 2
    return np.asarray(total / (len(positions) - lag), dtype=np.float64)


@given(seed=st.integers(0, 2**32), frames=st.integers(3, 70), ions=st.integers(1, 4), scale=st.floats(1e-2, 1e2))
@settings(deadline=None, max_examples=40)
def test_fourier_transform_agrees_with_the_definition(seed: int, frames: int, ions: int, scale: float) -> None:
    positions = 50 + scale * np.random.default_rng(seed).normal(size=(frames, ions, 3)).cumsum(axis=0)
    lags = np.arange(frames)
    found = squared_displacements(positions, lags)
    expected = np.stack([by_definition(positions, lag) for lag in lags], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * scale**2 * frames)


def test_uniform_motion_and_rest_are_exact() -> None:
    velocity = np.array([1.0, -2.0, 0.0])
    positions = (np.arange(400)[:, None] * velocity)[:, None, :] + [[[1e3, -1e3, 7.0]]]
    lags = lag_grid(400)
    np.testing.assert_allclose(squared_displacements(positions, lags)[0], np.outer(lags**2, velocity**2), atol=1e-6)


def test_lags_are_increasing_and_end_at_a_third_of_the_run() -> None:
    lags = lag_grid(1000)
    assert lags[0] == 1
    assert lags[-1] == 333
    assert (np.diff(lags) > 0).all()
    assert lag_grid(3).tolist() == [1]
    with pytest.raises(DynamicsError, match="too few"):
        lag_grid(2)


def store(path: Path, positions: FloatArray, framework: FloatArray, steps: npt.NDArray[np.int64]) -> Trajectory:
    elements = ["Li", "S", "Cl", "Li"] * (positions.shape[1] // 4)
    cells = np.repeat(np.eye(3)[None] * 10, len(positions), axis=0)
    metadata = {"timestep_ps": 0.002, "elements": elements}
    write_trajectory(path, Frames(steps, positions, cells, framework), np.arange(len(elements)), metadata)
    return Trajectory(path)


def test_trajectory_gives_chosen_ions_without_the_drift_of_the_framework(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(scale=0.3, size=(50, 1200, 3)).cumsum(axis=0)
    drift = rng.normal(scale=0.5, size=(50, 3)).cumsum(axis=0)
    trajectory = store(tmp_path / "a.parquet", own + drift[:, None], drift, 100 * np.arange(50))
    found = ion_displacements(trajectory, ["Li"])
    lithium = np.flatnonzero(np.arange(1200) % 4 % 3 == 0)
    assert found.squared.shape == (600, len(found.lags), 3)
    assert found.interval == pytest.approx(0.2)
    assert found.frames == 50
    np.testing.assert_allclose(found.times, 0.2 * found.lags)
    expected = np.stack([by_definition(own[:, lithium], lag) for lag in found.lags], axis=1)
    np.testing.assert_allclose(found.squared, expected, atol=2e-3)
    np.testing.assert_allclose(found.mean(), expected.mean(axis=0), rtol=1e-3)


@pytest.mark.parametrize("steps", [[0, 100, 200, 250], [0]])
def test_uneven_or_too_few_frames_are_refused(tmp_path: Path, steps: list[int]) -> None:
    positions = np.zeros((len(steps), 4, 3))
    trajectory = store(tmp_path / "a.parquet", positions, np.zeros((len(steps), 3)), np.array(steps))
    with pytest.raises(DynamicsError, match="uneven intervals"):
        ion_displacements(trajectory, ["Li"])


def test_element_that_is_not_there_is_refused(tmp_path: Path) -> None:
    trajectory = store(tmp_path / "a.parquet", np.zeros((9, 4, 3)), np.zeros((9, 3)), np.arange(9))
    with pytest.raises(DynamicsError, match="holds no Na"):
        ion_displacements(trajectory, ["Na"])
