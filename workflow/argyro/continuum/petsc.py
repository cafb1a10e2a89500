"""PETSc as it comes with DOLFINx, without its handler of signals: a request to end is no error to explain."""

import dolfinx_solver  # noqa: F401  loads what petsc4py is linked to
import petsc4py

petsc4py.init(["argyro", "-no_signal_handler"])

from petsc4py import PETSc  # noqa: E402  only now

__all__ = ["PETSc"]
