"""Effective diffusivity of periodic voxels, each with its own tensor.

Trilinear elements, conjugate gradients preconditioned by the same elements with the mean tensor everywhere. The
recurrence is in single precision, which halves what has to be moved through memory; the residual is replaced by the
true one, in double precision, often enough that the result does not know (reliable updates: Clark et al., Comput. Phys.
Commun. 181, 1517 (2010)). The effective tensor is that of the energies: its error is of the square of the residual.

It takes about 70 bytes a voxel: 0.15 GB for 128^3, 1.2 GB for 256^3, 9.4 GB for 512^3.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from argyro.common.errors import ContinuumError

from .material import FloatArray
from .voxel_kernel import (
    Floats,
    Materials,
    multiply_slab,
    set_residual,
    step_slab,
    take_correction,
    turn_and_multiply_slab,
)
from .voxel_reference import ReferenceInverse
from .workers import Workers

THICKNESS = 8  # node planes of a slab
TRUSTED_DROP = 1e-3  # of the residual until the true one is taken
ITERATIONS = 2000  # until then
SAFETY = 0.9  # part of the tolerance to go to, as the true residual may differ
SLOWEST = 0.5  # of the residual, from one true one to the next
NO_FORCE = 1e-13  # relative to the fluxes: forces that are rounding errors
VOIGT = ((0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1))  # xx, yy, zz, yz, xz, xy


@dataclass(frozen=True, eq=False)
class Voxels:
    """Periodic grid of voxels.

    Attributes:
        material: Of each voxel, row of ``tensors``, shape (X, Y, Z).
        tensors: Diffusivities, symmetric and positive definite, shape (M, 3, 3), any unit.
        cell: Cell vectors as rows, along which the voxels are counted, shape (3, 3), any unit.

    Raises:
        ContinuumError: a tensor is not positive definite, or a material is missing.
    """

    material: Materials
    tensors: FloatArray
    cell: FloatArray

    def __post_init__(self) -> None:
        smallest = np.linalg.eigvalsh(self.tensors)[:, 0]
        if not (smallest > 0).all():
            raise ContinuumError(
                f"the diffusivity tensor of material {smallest.argmin()} is not positive definite: {smallest.min():g} "
                "is its smallest eigenvalue; all must be above 0"
            )
        if self.material.max() >= len(self.tensors):
            raise ContinuumError(f"voxels of material {self.material.max()}, but {len(self.tensors)} tensors")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each cell vector."""
        x, y, z = self.material.shape
        return x, y, z

    @property
    def edges(self) -> FloatArray:
        """Edges of a voxel as rows in a cell of volume one, shape (3, 3)."""
        length = float(np.linalg.det(self.cell)) ** (1 / 3)
        scaled: FloatArray = self.cell / length / np.array(self.shape)[:, None]
        return scaled

    def fractions(self) -> FloatArray:
        """Part of the volume of each material, shape (M,)."""
        fractions = np.zeros(len(self.tensors))
        for plane in self.material:
            fractions += np.bincount(plane.ravel(), minlength=len(fractions)) / self.material.size
        return fractions


@dataclass(frozen=True, eq=False)
class VoxelSolution:
    """Effective diffusivity and the fields that belong to it.

    Attributes:
        tensor: Effective diffusivity, shape (3, 3).
        potentials: Periodic part of the concentration for a unit gradient along each axis, in a cell of volume one, on
            the nodes before the voxels, shape (3, X, Y, Z).
        iterations: Of each of the three.
        residuals: Of each, relative to the forces of the mean gradient.
    """

    tensor: FloatArray
    potentials: FloatArray
    iterations: tuple[int, ...]
    residuals: tuple[float, ...]


def solve_voxels(
    voxels: Voxels, *, start: FloatArray | None = None, tolerance: float = 1e-8, threads: int = 1
) -> VoxelSolution:
    """Effective diffusivity of voxels.

    Args:
        voxels: What diffuses where.
        start: Potentials of a similar problem to begin with, shape (3, X, Y, Z); they are overwritten.
        tolerance: Of the residual, relative to the forces of the mean gradient, in the Euclidean norm.
        threads: That share the work; the result does not depend on them.

    Raises:
        ContinuumError: conjugate gradients do not converge.
    """
    workers = Workers(threads)
    potentials = np.zeros((3, *voxels.shape)) if start is None else start
    problem = _Problem(voxels, workers)
    solves = [problem.solve(axis, potentials[axis], tolerance) for axis in range(3)]
    tensor = np.diag([energy for energy, _, _ in solves])
    for i, j in ((0, 1), (0, 2), (1, 2)):
        both = problem.energy(np.eye(3)[i] + np.eye(3)[j], potentials[i] + potentials[j])
        tensor[i, j] = tensor[j, i] = (both - tensor[i, i] - tensor[j, j]) / 2
    return VoxelSolution(
        tensor=problem.unit * tensor,
        potentials=potentials,
        iterations=tuple(iterations for _, iterations, _ in solves),
        residuals=tuple(residual for _, _, residual in solves),
    )


class _Problem:
    """Fields and operators of one set of voxels."""

    def __init__(self, voxels: Voxels, workers: Workers) -> None:
        self._voxels, self._workers = voxels, workers
        inverse = np.linalg.inv(voxels.edges)
        lattice = inverse.T @ voxels.tensors @ inverse
        mean = np.einsum("m,mij->ij", voxels.fractions(), lattice)
        self.unit = float(np.einsum("m,mii->", voxels.fractions(), voxels.tensors)) / 3
        self._double = np.ascontiguousarray(lattice[:, *VOIGT]) / self.unit / 16
        self._single = self._double.astype(np.float32)
        self._reference = ReferenceInverse(voxels.shape, mean / self.unit, workers)
        starts = range(0, voxels.shape[0], THICKNESS)
        self._slabs = [(first, min(first + THICKNESS, voxels.shape[0])) for first in starts]
        plane = (len(self._slabs), *voxels.shape[1:])
        self._product, self._remainder = np.empty(voxels.shape), np.empty(plane)
        self._residual, self._correction, self._direction, self._single_product = (
            np.zeros(voxels.shape, np.float32) for _ in range(4)
        )
        self._single_remainder = np.empty(plane, np.float32)

    def energy(self, mean_gradient: FloatArray, potential: FloatArray) -> float:
        """Mean of gradient times flux, in our unit; sets the product of the stiffness with the field."""
        gradient = 4 * self._voxels.edges @ mean_gradient

        def multiply(number: int) -> float:
            first, last = self._slabs[number]
            return multiply_slab(
                first, last, potential, potential[last % len(potential)], self._voxels.material, self._double,
                gradient, self._product, self._remainder[number],
            )  # fmt: skip

        return sum(self._run(multiply)) / potential.size

    def solve(self, axis: int, potential: FloatArray, tolerance: float) -> tuple[float, int, float]:
        """Solve for the potential of a unit gradient along an axis, in place.

        Returns:
            Energy, iterations and relative residual.
        """
        mean_gradient = np.eye(3)[axis]
        energy = self.energy(mean_gradient, np.zeros_like(potential))
        forces = self._take_residual(1.0)
        largest = np.abs(self._double).max() * np.linalg.norm(self._voxels.edges @ mean_gradient)
        if forces <= NO_FORCE * largest:
            potential[:] = 0
            return energy, 0, 0.0
        if potential.any():
            energy = self.energy(mean_gradient, potential)
            residual = self._take_residual(forces)
        else:
            self._residual /= np.float32(forces)
            residual = 1.0
        self._correction[:], self._direction[:] = 0, 0
        iterations, last_work = 0, np.inf
        while residual > tolerance:
            goal = max(TRUSTED_DROP * residual, SAFETY * tolerance)
            used, last_work = self._reduce(residual, goal, last_work)
            iterations += used
            self._run(lambda number: take_correction(*self._slabs[number], forces, self._correction, potential))
            energy = self.energy(mean_gradient, potential)
            residual, before = self._take_residual(forces), residual
            if residual > max(tolerance, SLOWEST * before):
                raise ContinuumError(
                    f"conjugate gradients stand at a residual of {residual:.1e} after {iterations} iterations, "
                    f"{tolerance:.1e} was asked for; the contrast of diffusivities may be too large"
                )
        return energy, iterations, residual

    def _reduce(self, residual: float, goal: float, last_work: float) -> tuple[int, float]:
        """Iterate until the residual is small enough, as far as single precision knows.

        Returns:
            Iterations, and force times preconditioned force of the last.
        """
        iterations = 0
        while residual > goal and iterations < ITERATIONS:
            preconditioned, work = self._reference.solve(self._residual)
            curvature = self._turn(preconditioned, work / last_work)
            residual = self._step(work / curvature)
            last_work = work
            iterations += 1
        return iterations, last_work

    def _turn(self, preconditioned: Floats, turn: float) -> float:
        """Take the next direction and its product; their product."""
        following = [last % len(preconditioned) for _, last in self._slabs]
        above = preconditioned[following] + np.float32(turn) * self._direction[following]

        def multiply(number: int) -> float:
            return turn_and_multiply_slab(
                *self._slabs[number], preconditioned, turn, self._direction, above[number], self._voxels.material,
                self._single, self._single_product, self._single_remainder[number],
            )  # fmt: skip

        return sum(self._run(multiply))

    def _step(self, step: float) -> float:
        """Take a step; root mean square of the residual it leaves."""

        def take(number: int) -> float:
            return step_slab(
                *self._slabs[number], step, self._direction, self._single_product, self._single_remainder[number - 1],
                self._correction, self._residual,
            )  # fmt: skip

        return float(np.sqrt(sum(self._run(take)) / self._residual.size))

    def _take_residual(self, unit: float) -> float:
        """Set the residual to that of the last product, in this unit; its root mean square."""

        def take(number: int) -> float:
            return set_residual(*self._slabs[number], unit, self._product, self._remainder[number - 1], self._residual)

        return float(np.sqrt(sum(self._run(take)) / self._residual.size))

    def _run[Result](self, function: Callable[[int], Result]) -> list[Result]:
        return self._workers.run(function, range(len(self._slabs)))
