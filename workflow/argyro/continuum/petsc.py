"""PETSc as it comes with DOLFINx, with options of ours."""

import dolfinx_solver  # noqa: F401  loads what petsc4py is linked to
import petsc4py

OPTIONS = {
    "-no_signal_handler": "",  # a request to end is no error to explain
    "-options_left": "no",  # nor are options that nothing was solved with
    "-pc_gamg_threshold": "0.01",  # aggregates of strong connections: half the iterations where boundaries resist
}

petsc4py.init(["argyro", *(word for option in OPTIONS.items() for word in option if word)])

from petsc4py import PETSc  # noqa: E402  only now

__all__ = ["PETSc"]
