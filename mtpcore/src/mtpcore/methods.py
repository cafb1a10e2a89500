"""The ways in which a fit goes downhill."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from . import bfgs, least_squares
from .least_squares import SeparableProblem, Step

type FloatArray = npt.NDArray[np.float64]
type MethodName = Literal["variable-projection", "bfgs"]
type State = least_squares.State | bfgs.State


@dataclass(frozen=True)
class Method:
    """One way to minimise, and how long its iterations are.

    Attributes:
        state: Type of its state.
        start: State at parameters from which nothing is known yet.
        iterate: Advances a state by one step.
        max_iterations: Customary budget.
        window: Iterations over which the loss must still fall by the tolerance.
        segment: Customary number of iterations between checkpoints.
    """

    state: type[State]
    start: Callable[[FloatArray], State]
    iterate: Callable[[SeparableProblem, Any], Step]
    max_iterations: int
    window: int
    segment: int


METHODS: dict[MethodName, Method] = {
    "variable-projection": Method(
        least_squares.State, least_squares.start, least_squares.iterate, max_iterations=300, window=10, segment=25
    ),
    "bfgs": Method(bfgs.State, bfgs.State, bfgs.iterate, max_iterations=5000, window=200, segment=1000),
}
