"""Squared displacements of ions, averaged over all time origins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from argyro.common.errors import DynamicsError
from argyro.md.trajectory import Trajectory

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int64]

LAGS = 60  # at most, spread evenly over the logarithm of time
LONGEST_PART = 3  # the longest lag is this part of the run
IONS_AT_ONCE = 64  # whose positions are in memory once more


@dataclass(frozen=True, eq=False)
class SquaredDisplacements:
    """Squared displacements of M ions along each axis at L lags, averaged over all time origins of one run.

    Attributes:
        lags: Frames, shape (L,), increasing.
        interval: Time between frames, ps.
        frames: Length of the run.
        squared: Shape (M, L, 3), square angstrom.
    """

    lags: IntArray
    interval: float
    frames: int
    squared: FloatArray

    @property
    def times(self) -> FloatArray:
        """Lags, shape (L,), ps."""
        return np.asarray(self.lags * self.interval, dtype=np.float64)

    def mean(self) -> FloatArray:
        """Mean squared displacement along each axis, shape (L, 3), square angstrom."""
        return np.asarray(self.squared.mean(axis=0), dtype=np.float64)


def lag_grid(frames: int, count: int = LAGS) -> IntArray:
    """At most so many lags from one frame to a third of the run, evenly over their logarithm, frames.

    Raises:
        DynamicsError: the run is too short for a single one.
    """
    longest = frames // LONGEST_PART
    if longest < 1:
        raise DynamicsError(f"{frames} frames are too few for displacements; at least {LONGEST_PART} are needed")
    return np.unique(np.rint(np.geomspace(1, longest, count)).astype(np.int64))


def squared_displacements(positions: FloatArray, lags: IntArray) -> FloatArray:
    """Squared displacements averaged over all time origins.

    Sums are direct: for the few lags of a grid they take less time than a Fourier transform over all lags, and lose no
    digits.

    Args:
        positions: Unwrapped and free of drift, shape (F, M, K), angstrom.
        lags: Shape (L,), frames, from 0 to F - 1.

    Returns:
        Shape (M, L, K), square angstrom.
    """
    frames, ions, axes = positions.shape
    series = np.ascontiguousarray(positions.transpose(1, 2, 0)).reshape(ions * axes, frames)
    squares = np.empty((ions * axes, len(lags)))
    _average(series, np.asarray(lags, dtype=np.int64), squares)
    return np.ascontiguousarray(squares.reshape(ions, axes, len(lags)).transpose(0, 2, 1))


@njit("void(float64[:, ::1], int64[::1], float64[:, ::1])", cache=True, fastmath=True)
def _average(series: FloatArray, lags: IntArray, squares: FloatArray) -> None:
    """Mean squares of the differences of every series with itself, some frames later."""
    for k in range(len(series)):
        x = series[k]
        for j in range(len(lags)):
            count = len(x) - lags[j]
            later = x[lags[j] :]
            total = 0.0
            for i in range(count):
                difference = later[i] - x[i]
                total += difference * difference
            squares[k, j] = total / count


def ion_displacements(
    trajectory: Trajectory, elements: Sequence[str], directions: FloatArray | None = None
) -> SquaredDisplacements:
    """Squared displacements of the ions of some elements relative to the framework, a block of ions in memory at once.

    Args:
        trajectory: With the ions.
        elements: Of the ions.
        directions: Unit vectors, shape (K, 3), along which; None: x, y and z.

    Raises:
        DynamicsError: there are no such ions, too few frames, or their intervals differ.
        FileError: the trajectory is damaged.
    """
    interval, lags = frame_interval(trajectory), lag_grid(len(trajectory.steps))
    parts = [
        squared_displacements(positions if directions is None else positions @ directions.T, lags)
        for positions in mobile_blocks(trajectory, elements)
    ]
    if not parts:
        raise DynamicsError(f"{trajectory.path} holds no {', '.join(elements)}")
    return SquaredDisplacements(lags, interval, len(trajectory.steps), np.concatenate(parts))


def frame_interval(trajectory: Trajectory) -> float:
    """Time between frames, ps.

    Raises:
        DynamicsError: there is a single frame, or they are at uneven intervals.
    """
    steps = np.diff(trajectory.steps)
    if len(steps) == 0 or (steps != steps[0]).any():
        raise DynamicsError(f"frames of {trajectory.path} are too few, or at uneven intervals")
    return float(steps[0] * trajectory.metadata["timestep_ps"])


def mobile_blocks(trajectory: Trajectory, elements: Sequence[str]) -> Iterator[FloatArray]:
    """Positions of the ions of some elements relative to the framework, some ions at a time, shape (F, K, 3), angstrom.

    Raises:
        FileError: the trajectory is damaged.
    """
    mobile = np.isin(trajectory.metadata["elements"], elements)
    place = 0
    for atoms, positions in trajectory.blocks():
        chosen = mobile[place : place + len(atoms)]
        place += len(atoms)
        relative = (positions if chosen.all() else positions[:, chosen]) - trajectory.framework[:, None]
        for k in range(0, relative.shape[1], IONS_AT_ONCE):
            yield relative[:, k : k + IONS_AT_ONCE]
