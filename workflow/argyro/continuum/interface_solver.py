"""Solution of the equations of a mesh by PETSc: conjugate gradients with algebraic multigrid.

PETSc is the one that comes with DOLFINx. Elements are assembled without DOLFINx: it has no elements of zero thickness,
and linear elements without it take a fraction of the time that it needs to compile its forms; tests compare the two.
"""

import numpy as np

from argyro.common.errors import ContinuumError

from .interface_matrices import Matrices
from .material import FloatArray
from .petsc import PETSc

RESIDUAL = 1e-7  # relative to the load; errors of energies are of its square
ITERATIONS = 2000
SMALLEST_LOAD = 1e-13  # residual, absolute, that counts as none, as loads that balance to zero are rounding errors
DIVERGENCE = 1e100


class Solver:
    """Finds what makes the energy of a mesh stationary, starting from what it found before.

    Args:
        matrices: Of the mesh.
    """

    def __init__(self, matrices: Matrices) -> None:
        self.matrices = matrices
        # One value of u is arbitrary: the first is zero, so its row and column, which are ones of the pattern, go
        rows = np.repeat(np.arange(matrices.unknowns), np.diff(matrices.starts))
        self._kept = np.flatnonzero((rows > 0) & (matrices.columns > 0))
        counts = np.bincount(rows[self._kept] - 1, minlength=matrices.unknowns - 1)
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        self._columns = (matrices.columns[self._kept] - 1).astype(np.int32)
        self._u = np.zeros((matrices.unknowns, 3))

    def solve(self, values: FloatArray, load: FloatArray) -> FloatArray:
        """Solve the equations.

        Args:
            values: Of the matrix, at the places of the pattern.
            load: Shape (unknowns, 3); what matrix times u has to balance.

        Returns:
            u for a gradient along each axis, shape (unknowns, 3).

        Raises:
            ContinuumError: no convergence.
        """
        if self.matrices.unknowns == 1:
            return self._u
        size = self.matrices.unknowns - 1
        matrix = PETSc.Mat().createAIJ((size, size), csr=(self._starts, self._columns, values[self._kept]))
        matrix.setOption(PETSc.Mat.Option.SPD, True)  # noqa: FBT003  signature of PETSc
        solver = PETSc.KSP().create(matrix.comm)
        solver.setOperators(matrix)
        solver.setType(PETSc.KSP.Type.CG)
        solver.getPC().setType(PETSc.PC.Type.GAMG)
        solver.setTolerances(rtol=RESIDUAL, atol=SMALLEST_LOAD, divtol=DIVERGENCE, max_it=ITERATIONS)
        solver.setInitialGuessNonzero(True)
        solver.setFromOptions()
        right, left = matrix.createVecs()
        for axis in range(3):
            left.array[:] = -load[1:, axis]
            right.array[:] = self._u[1:, axis]
            solver.solve(left, right)
            if solver.reason <= 0:
                raise ContinuumError(
                    f"conjugate gradients did not converge (PETSc's reason {solver.reason} after {solver.its} "
                    "iterations): diffusivities differ too much for this mesh"
                )
            self._u[1:, axis] = right.array
        for thing in (solver, left, right, matrix):
            thing.destroy()
        return self._u
