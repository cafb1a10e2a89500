"""Effective diffusivity of periodic voxels by whole arrays: on a GPU by CuPy.

The elements, the preconditioner and the residual are those of `voxel_solver`, in double precision throughout, without
compiled code of our own: the array library is an argument, so that what runs on a GPU is tested on a CPU with NumPy.

A trilinear field in a voxel is a sum of products, along each axis, of its mean (0) and its slope (1). In these modes
the stiffness, integrated exactly, is almost diagonal.

It takes about 250 bytes a voxel: 0.5 GB for 128^3, 4.2 GB for 256^3, 34 GB for 512^3.
"""

import importlib
from types import ModuleType
from typing import Any

import numpy as np

from argyro.common.errors import ContinuumError

from .material import FloatArray
from .voxel_solver import ITERATIONS, NO_FORCE, VOIGT, Voxels, VoxelSolution

type Array = Any  # of the array library
type Modes = dict[tuple[int, ...], Array]

SLOPE_SQUARE = 1 / 12  # mean square of a slope of one over a voxel of length one
MODES = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 0), (1, 1, 1))


def gpu_library() -> ModuleType:
    """CuPy, where there is a GPU.

    Raises:
        ContinuumError: CuPy or a GPU is missing.
    """
    try:
        library = importlib.import_module("cupy")
        count = library.cuda.runtime.getDeviceCount()
    except Exception as error:  # what CuPy's driver raises
        raise ContinuumError(
            f"continuum.gpu is true, but CuPy finds no GPU here ({error}); run scripts/run --with gpu on a machine "
            "with one, or set it to false"
        ) from error
    if not count:
        raise ContinuumError("continuum.gpu is true, but CuPy finds no GPU here; set it to false")
    return library


def solve_voxels_by_arrays(
    voxels: Voxels, library: ModuleType, *, start: FloatArray | None = None, tolerance: float = 1e-8
) -> VoxelSolution:
    """Effective diffusivity of voxels; arguments and result as of `voxel_solver.solve_voxels`.

    Args:
        voxels: What diffuses where.
        library: ``cupy``, or ``numpy``.
        start: Potentials of a similar problem to begin with, shape (3, X, Y, Z).
        tolerance: Of the residual, relative to the forces of the mean gradient, in the Euclidean norm.

    Raises:
        ContinuumError: conjugate gradients do not converge.
    """
    problem = _Problem(voxels, library)
    solved = [problem.solve(axis, None if start is None else start[axis], tolerance) for axis in range(3)]
    potentials = [potential for potential, _, _ in solved]
    tensor = np.array([problem.mean_flux(np.eye(3)[axis], potentials[axis]) for axis in range(3)])
    return VoxelSolution(
        tensor=problem.unit * (tensor + tensor.T) / 2,
        potentials=np.array([problem.on_host(potential) for potential in potentials]),
        iterations=tuple(iterations for _, iterations, _ in solved),
        residuals=tuple(residual for _, _, residual in solved),
    )


class _Problem:
    """Operators of one set of voxels, on the device of the library."""

    def __init__(self, voxels: Voxels, library: ModuleType) -> None:
        self._library, self._edges, self._shape = library, voxels.edges, voxels.shape
        inverse = np.linalg.inv(voxels.edges)
        lattice = inverse.T @ voxels.tensors @ inverse
        self.unit = float(np.einsum("m,mii->", voxels.fractions(), voxels.tensors)) / 3
        self._material = library.asarray(voxels.material)
        self._table = library.asarray(lattice[:, *VOIGT] / self.unit)
        self._largest = float(np.abs(lattice).max()) / self.unit
        mean = np.einsum("m,mij->ij", voxels.fractions(), lattice) / self.unit
        self._inverse = self._inverse_of(mean)

    def on_host(self, array: Array) -> FloatArray:
        """As an array of NumPy."""
        return np.asarray(array.get() if hasattr(array, "get") else array)

    def solve(self, axis: int, start: FloatArray | None, tolerance: float) -> tuple[Array, int, float]:
        """Potential of a unit gradient along an axis, iterations and relative residual."""
        library, gradient = self._library, np.eye(3)[axis]
        potential = library.zeros(self._shape) if start is None else library.asarray(start)
        force = -self._force(library.zeros(self._shape), gradient)
        unit = self._norm(force)
        if unit <= NO_FORCE * self._largest * np.linalg.norm(self._edges @ gradient) * np.sqrt(force.size):
            return library.zeros(self._shape), 0, 0.0
        residual = force if start is None else -self._force(potential, gradient)
        left, iterations, last, direction = self._norm(residual) / unit, 0, np.inf, library.zeros(self._shape)
        while left > tolerance and iterations < ITERATIONS:
            preconditioned = self._precondition(residual)
            work = float((residual * preconditioned).sum())
            direction = preconditioned + (work / last) * direction
            product = self._force(direction, np.zeros(3))
            step = work / float((direction * product).sum())
            potential = potential + step * direction
            residual = residual - step * product
            left, last, iterations = self._norm(residual) / unit, work, iterations + 1
        if left > tolerance:
            raise ContinuumError(
                f"conjugate gradients stand at a residual of {left:.1e} after {iterations} iterations, "
                f"{tolerance:.1e} was asked for; the contrast of diffusivities may be too large"
            )
        return potential, iterations, left

    def mean_flux(self, gradient: FloatArray, potential: Array) -> FloatArray:
        """Mean of the flux in a cell of volume one, for a mean gradient and what it causes, shape (3,)."""
        fluxes = self._fluxes(self._modes(potential, gradient))
        along_edges = np.array([float(fluxes[mode].mean()) for mode in MODES[:3]])
        return along_edges @ self._edges

    def _force(self, field: Array, gradient: FloatArray) -> Array:
        """Stiffness times a field with a mean gradient, on nodes."""
        return self._collect(self._fluxes(self._modes(field, gradient)))

    def _modes(self, field: Array, gradient: FloatArray) -> Modes:
        """Amplitudes of the modes of every voxel."""
        modes: Modes = {(): field}
        for axis in range(3):
            split: Modes = {}
            for mode, values in modes.items():
                following = self._library.roll(values, -1, axis)
                split[*mode, 0], split[*mode, 1] = (values + following) / 2, following - values
            modes = split
        del modes[0, 0, 0]
        for mode, slope in zip(MODES[:3], self._edges @ gradient, strict=True):
            modes[mode] = modes[mode] + slope
        return modes

    def _fluxes(self, c: Modes) -> Modes:
        """Derivatives of half the energy by the amplitudes."""
        xx, yy, zz, yz, xz, xy = (self._table[:, k][self._material] for k in range(6))
        x, y, z, twist_x, twist_y, twist_z, twist = (c[mode] for mode in MODES)
        values = (
            xx * x + xy * y + xz * z,
            xy * x + yy * y + yz * z,
            xz * x + yz * y + zz * z,
            SLOPE_SQUARE * ((yy + zz) * twist_x + xy * twist_y + xz * twist_z),
            SLOPE_SQUARE * (xy * twist_x + (xx + zz) * twist_y + yz * twist_z),
            SLOPE_SQUARE * (xz * twist_x + yz * twist_y + (xx + yy) * twist_z),
            SLOPE_SQUARE**2 * (xx + yy + zz) * twist,
        )
        return dict(zip(MODES, values, strict=True))

    def _collect(self, fluxes: Modes) -> Array:
        """What acts on nodes: the transpose of `_modes`."""
        modes: Modes = {**fluxes, (0, 0, 0): None}
        for axis in (2, 1, 0):
            joined: Modes = {}
            for rest in {mode[:-1] for mode in modes}:
                slope = modes[*rest, 1]
                values, following = -slope, slope
                if (mean := modes[*rest, 0]) is not None:
                    values, following = values + mean / 2, following + mean / 2
                joined[rest] = values + self._library.roll(following, 1, axis)
            modes = joined
        return modes[()]

    def _inverse_of(self, tensor: FloatArray) -> Array:
        """Of the stiffness of equal voxels, on plane waves of a real transform."""
        x_length, y_length, z_length = self._shape
        angles = (
            2 * np.pi * np.fft.fftfreq(x_length)[:, None, None],
            2 * np.pi * np.fft.fftfreq(y_length)[None, :, None],
            2 * np.pi * np.fft.rfftfreq(z_length)[None, None, :],
        )
        angles = tuple(self._library.asarray(angle) for angle in angles)
        stiffness = [4 * self._library.sin(angle / 2) ** 2 for angle in angles]
        mass = [(2 + self._library.cos(angle)) / 3 for angle in angles]
        slope = [self._library.sin(angle) for angle in angles]
        symbol: Array = 0.0
        for i, (j, k) in enumerate(((1, 2), (0, 2), (0, 1))):
            symbol = symbol + tensor[i, i] * stiffness[i] * mass[j] * mass[k]
            symbol = symbol + 2 * tensor[j, k] * slope[j] * slope[k] * mass[i]
        symbol[0, 0, 0] = np.inf  # nothing acts on the mean
        return 1 / symbol

    def _precondition(self, force: Array) -> Array:
        fft = self._library.fft
        return fft.irfftn(fft.rfftn(force) * self._inverse, s=self._shape, axes=(0, 1, 2))

    @staticmethod
    def _norm(array: Array) -> float:
        return float(np.sqrt(float((array * array).sum())))
