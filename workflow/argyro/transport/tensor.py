"""The diffusivity tensor."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .diffusivity import CM2_PER_S, least_squares, mean_over_ions, walk_covariance
from .displacements import FloatArray, IntArray, SquaredDisplacements

ROOT = np.sqrt(0.5)
DIRECTIONS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, ROOT, ROOT], [ROOT, 0, ROOT], [ROOT, ROOT, 0]])
"""Along which displacements tell all components: the axes, and the diagonals of yz, xz and xy."""
TO_COMPONENTS = np.array(
    [[1, 0, 0, 0, -0.5, -0.5], [0, 1, 0, -0.5, 0, -0.5], [0, 0, 1, -0.5, -0.5, 0],
     [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]]
)  # fmt: skip
"""From diffusivities along these to xx, yy, zz, yz, xz, xy: a diagonal's is the mean of two axes and the mixed one."""
COMPONENTS = ("xx", "yy", "zz", "yz", "xz", "xy")


@dataclass(frozen=True, eq=False)
class DiffusivityTensor:
    """Symmetric.

    Attributes:
        components_cm2_per_s: xx, yy, zz, yz, xz, xy.
        errors_cm2_per_s: Their standard errors.
        freedom: Degrees of freedom of these.
    """

    components_cm2_per_s: FloatArray
    errors_cm2_per_s: FloatArray
    freedom: IntArray

    @property
    def matrix(self) -> FloatArray:
        """Shape (3, 3), cm^2/s."""
        xx, yy, zz, yz, xz, xy = self.components_cm2_per_s
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def diffusivity_tensor(replicas: Sequence[SquaredDisplacements], begin_ps: float) -> DiffusivityTensor:
    """All components from displacements along `DIRECTIONS`, by the window that the mean diffusivity was found in.

    Args:
        replicas: Displacements along the six directions.
        begin_ps: First lag of the window.
    """
    first = replicas[0]
    begin = int(np.searchsorted(first.times, begin_ps * (1 - 1e-9)))
    times = first.times[begin:]
    covariance = walk_covariance(first.lags[begin:], first.frames)
    slope = least_squares(np.stack([np.ones_like(times), times], axis=1), covariance)[1]
    squares = np.concatenate([run.squared for run in replicas])  # (M, L, 6)
    values = np.einsum("l,mlk->mk", slope, squares[:, begin:]) / 2 * CM2_PER_S @ TO_COMPONENTS
    means = [mean_over_ions(column, len(replicas)) for column in values.T]
    found, errors, freedom, _ = zip(*means, strict=True)
    return DiffusivityTensor(np.array(found), np.array(errors), np.array(freedom))
