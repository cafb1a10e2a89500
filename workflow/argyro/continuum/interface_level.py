"""One mesh of the interface engine: effective tensors for given boundaries, in units of grain size and D_bulk."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from .interface_gradients import BoundaryEnergies
from .interface_matrices import Kind, Term, assemble
from .interface_mesh import GrainMesh
from .interface_solver import Solver
from .material import FloatArray

NEGLIGIBLE = 3e-3  # excess of resistance, relative to all, that is treated to first order, an error of its square


class Solution(NamedTuple):
    """Effective tensor of a mesh, and how much of it boundaries make to first order in their width.

    Attributes:
        tensor: Shape (3, 3).
        across: Its change by excess resistance, shape (3, 3).
        along: Its change by excess conductance, shape (3, 3).
        neglected: Size of what is left out where one of them is treated to first order only, relative to the mean.
    """

    tensor: FloatArray
    across: FloatArray
    along: FloatArray
    neglected: float


class Level:
    """Equations of one mesh.

    Args:
        mesh: Of the grains.
    """

    def __init__(self, mesh: GrainMesh) -> None:
        self._mesh = mesh
        self._specific_area = mesh.boundary_area / mesh.volume
        self._boundaries = BoundaryEnergies(mesh)
        self._solvers: dict[Kind, Solver] = {}

    def solve(self, resistance: float, conductance: float) -> Solution:
        """The effective tensor, for grains with a diffusivity of one.

        Excess that is positive goes into the equations. What is negative would make them indefinite wherever elements
        are smaller than it is, so its changes are added to first order in the width, of resistance in series and of
        conductance in parallel: exact for stacks of layers.

        Args:
            resistance: Excess resistance R of boundaries.
            conductance: Excess conductance sigma of boundaries.
        """
        jumps = resistance * self._specific_area / 3 > NEGLIGIBLE
        conducts = conductance > 0
        solver = self._solver("continuous" if not jumps else "network" if conducts else "jumping")
        sigma, matrices = max(conductance, 0.0), solver.matrices
        values = matrices.bulk.matrix + sigma * matrices.surface.matrix
        if jumps:
            values += matrices.jump.matrix / resistance
        load = matrices.bulk.load + sigma * matrices.surface.load
        u = solver.solve(values, load)
        constant = matrices.bulk.constant + sigma * matrices.surface.constant
        tensor = _energy(solver, Term(values, load, constant), u) / self._mesh.volume
        across, along = self._boundaries.across_and_along(u[matrices.unknown])
        across *= -resistance
        along *= conductance
        if jumps:
            across = -_energy(solver, matrices.jump, u) / resistance
        if conducts:
            along = sigma * _energy(solver, matrices.surface, u)
        across, along = across / self._mesh.volume, along / self._mesh.volume
        return _with_first_order(tensor, across, along, jumps=jumps, conducts=conducts)

    def _solver(self, kind: Kind) -> Solver:
        if kind not in self._solvers:
            self._solvers[kind] = Solver(assemble(self._mesh, kind))
        return self._solvers[kind]


def _energy(solver: Solver, term: Term, u: FloatArray) -> FloatArray:
    """Value of a term for gradients along two axes, shape (3, 3)."""
    matrix = csr_array((term.matrix, solver.matrices.columns, solver.matrices.starts))
    mixed = term.load.T @ u
    energy: FloatArray = term.constant + mixed + mixed.T + u.T @ (matrix @ u)
    return energy


def _with_first_order(
    tensor: FloatArray, across: FloatArray, along: FloatArray, *, jumps: bool, conducts: bool
) -> Solution:
    """Add the changes that are not in the equations."""
    mean = np.trace(tensor)
    neglected = 0.0
    if not conducts:
        neglected += (np.trace(along) / mean) ** 2
        tensor = tensor + along
    if not jumps:
        neglected += (np.trace(across) / mean) ** 2
        inverse = np.linalg.inv(tensor)
        tensor = np.linalg.inv(inverse - _symmetric(inverse @ across @ inverse))
    return Solution(tensor, across, along, float(neglected))


def _symmetric(tensor: FloatArray) -> FloatArray:
    return (tensor + tensor.T) / 2
