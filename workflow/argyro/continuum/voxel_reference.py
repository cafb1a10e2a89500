"""Inverse of the stiffness of equal voxels: the preconditioner of conjugate gradients.

On a periodic grid of equal voxels the stiffness is diagonal in plane waves, with the same trilinear elements as the
problem itself (Schneider, Merkert and Kabel, Int. J. Numer. Methods Eng. 109, 1461 (2017)): the condition of the
preconditioned problem is the contrast of diffusivities, whatever the grid. As it only has to be good enough to show the
way, it works in single precision.
"""

import numba
import numpy as np
import numpy.typing as npt
from scipy import fft

from .material import FloatArray
from .voxel_kernel import Floats, compiled
from .workers import Workers

type Spectrum = npt.NDArray[np.complex64]

PLANES = 65536  # nodes transformed at once: about what stays in the second cache


class ReferenceInverse:
    """Solves the problem of equal voxels.

    Args:
        shape: Of the grid.
        tensor: Of all voxels, in the coordinates of their edges, shape (3, 3).
        workers: That share the work.
    """

    def __init__(self, shape: tuple[int, int, int], tensor: FloatArray, workers: Workers) -> None:
        self._shape, self._workers = shape, workers
        self._symbols = (_symbols(shape[0]), _symbols(shape[1]), _symbols(shape[2])[:, : shape[2] // 2 + 1].copy())
        self._tensor = tensor.astype(np.float32)
        self._spectrum = np.empty((shape[0], shape[1], shape[2] // 2 + 1), np.complex64)
        self._solution = np.empty(shape, np.float32)

    def solve(self, force: Floats) -> tuple[Floats, float]:
        """The field, without its mean, that these forces belong to, and the sum of their products.

        Args:
            force: On nodes, single precision; its sum is taken for zero.

        Returns:
            The field, shape as ``force``, in a place that the next call uses again, and force times field.
        """
        spectrum, solution = self._spectrum, self._solution
        length_x, length_y, length_z = self._shape
        planes = _blocks(length_x, length_y * length_z)
        rows = _blocks(length_y, length_x * length_z)

        def forward(block: slice) -> None:
            spectrum[block] = fft.rfft2(force[block])

        def divide(block: slice) -> float:
            waves = fft.fft(spectrum[:, block], axis=0)
            energy: float = _divide(waves, block.start, self._symbols, self._tensor, length_z)
            spectrum[:, block] = fft.ifft(waves, axis=0, overwrite_x=True)
            return energy

        def backward(block: slice) -> None:
            solution[block] = fft.irfft2(spectrum[block], s=(length_y, length_z))

        self._workers.run(forward, planes)
        energy = sum(self._workers.run(divide, rows))
        self._workers.run(backward, planes)
        return solution, energy / solution.size


def _blocks(count: int, size: int) -> list[slice]:
    """Parts of so many members of a size."""
    step = max(1, PLANES // size)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def _symbols(length: int) -> Floats:
    """Stiffness, mass and slope of linear elements of length one on all waves, shape (3, length)."""
    angle = 2 * np.pi * np.arange(length) / length
    return np.array([4 * np.sin(angle / 2) ** 2, (2 + np.cos(angle)) / 3, np.sin(angle)], np.float32)


@compiled
def _divide(waves: Spectrum, row: int, symbols: tuple[Floats, Floats, Floats], tensor: Floats, length: int) -> float:
    """Divide the waves of rows that begin with this one by the stiffness; twice their energy."""
    x, y, z = symbols
    energy, two = 0.0, numba.float32(2)
    for i in range(waves.shape[0]):
        for j in range(waves.shape[1]):
            x_stiffness, x_mass, x_slope = x[0, i], x[1, i], x[2, i]
            y_stiffness, y_mass, y_slope = y[0, row + j], y[1, row + j], y[2, row + j]
            # What stands before stiffness, mass and slope of waves along the last axis
            stiffness = tensor[2, 2] * x_mass * y_mass
            mass = (
                tensor[0, 0] * x_stiffness * y_mass
                + tensor[1, 1] * x_mass * y_stiffness
                + two * tensor[0, 1] * x_slope * y_slope
            )
            slope = two * (tensor[1, 2] * x_mass * y_slope + tensor[0, 2] * x_slope * y_mass)
            first = 0
            if i == 0 and row + j == 0:  # nothing acts on the mean
                waves[i, j, 0] = 0
                first = 1
            energy += _divide_row(waves[i, j], first, z, (stiffness, mass, slope), length)
    return energy


@compiled
def _divide_row(
    waves: Spectrum, first: int, symbols: Floats, factors: tuple[float, float, float], length: int
) -> float:
    """Waves of the last axis: most stand for their conjugates too, which are left out."""
    stiffness, mass, slope = factors
    alone, pairs = numba.float32(0), numba.float32(0)
    for k in range(first, len(waves)):
        wave = waves[k]
        inverse = numba.float32(1) / (stiffness * symbols[0, k] + mass * symbols[1, k] + slope * symbols[2, k])
        work = (wave.real * wave.real + wave.imag * wave.imag) * inverse
        pairs += work
        if k == 0 or 2 * k == length:
            alone += work
        waves[k] = wave * inverse
    return float(pairs + pairs - alone)
