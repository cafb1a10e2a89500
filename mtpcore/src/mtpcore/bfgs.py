"""Minimisation by gradients: BFGS that begins from the curvature of the linear model (Gauss-Newton).

An iteration costs little more than one loss with its gradient, and no Jacobian. One Jacobian, at the start, gives the
first inverse Hessian: from the identity, the usual choice, the loss of a potential takes thousands of iterations more,
since its curvatures differ by ten orders of magnitude. The linear model is taken anew when no step along the search
direction lowers the loss. Memory: the inverse Hessian, 8 P^2 bytes for P parameters (7 MB at level 20).

Source: J. Nocedal and S. J. Wright, Numerical Optimization, Springer (2006), algorithms 3.1 and 6.1.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .least_squares import SeparableProblem, Step

type FloatArray = npt.NDArray[np.float64]

DAMPING = 1e-4  # of the diagonal of J^T J: beyond that the linear model is not to be trusted
MAX_TRIALS = 20
SUFFICIENT_FALL = 1e-4  # of what the slope promises
SHORTEST, LONGEST = 0.1, 0.5  # of a rejected step, where to try next
LEAST_CURVATURE = 1e-10  # cosine of step and change of gradient, below which the latter is rounding or a saddle


@dataclass
class State:
    """Where a minimisation stands: all that the next step depends on.

    Attributes:
        x: Parameters.
        inverse: Inverse Hessian, (P, P); empty until the linear model gives it.
        gradient: At x.
        loss: At x, with regularization.
        anchor: Loss without regularization that the regularization is in proportion to.
        iteration: Accepted steps.
    """

    x: FloatArray
    inverse: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    gradient: FloatArray = field(default_factory=lambda: np.empty(0))
    loss: float = float("nan")
    anchor: float = float("nan")
    iteration: int = 0

    @property
    def damping(self) -> float:
        """None in this method."""
        return float("nan")


def iterate(problem: SeparableProblem, state: State) -> Step:
    """Advance the state by one accepted step, or leave it with ``accepted`` False.

    The loss never rises.
    """
    is_fresh = state.inverse.size == 0
    if is_fresh:
        take_linear_model(problem, state)
    problem.prepare(state.anchor)
    before, norm = state.loss, float(np.linalg.norm(state.gradient))
    trials = _advance(problem, state)
    if not trials and not is_fresh:
        take_linear_model(problem, state)
        before = state.loss
        trials = _advance(problem, state)
    return Step(before, state.loss, norm, accepted=trials > 0, trials=trials or MAX_TRIALS)


def take_linear_model(problem: SeparableProblem, state: State) -> None:
    """Set the inverse Hessian to that of the residuals' linear model at x, 1/2 (J^T J + D)^-1."""
    state.anchor = problem.data_loss(state.x)
    problem.prepare(state.anchor)
    _, _, normal = problem.normal_equations(state.x)
    diagonal = np.diag(normal)
    scale = 1.0 / np.sqrt(np.maximum(diagonal, 1e-14 * diagonal.max()))
    inverse = np.linalg.inv(normal * scale[:, None] * scale + DAMPING * np.eye(len(scale)))
    state.inverse = 0.5 * scale[:, None] * inverse * scale
    state.loss, state.gradient = problem.loss_and_gradient(state.x)


def _advance(problem: SeparableProblem, state: State) -> int:
    """Go to a point along the search direction with a clearly lower loss; how many were tried, 0 if none serves."""
    direction = -state.inverse @ state.gradient
    slope = float(direction @ state.gradient)
    length = 1.0
    for trial in range(1, MAX_TRIALS + 1):
        x = state.x + length * direction
        loss, gradient = problem.loss_and_gradient(x)
        if np.isfinite(loss) and loss < state.loss and loss <= state.loss + SUFFICIENT_FALL * length * slope:
            _update(state.inverse, x - state.x, gradient - state.gradient)
            state.x, state.loss, state.gradient = x, loss, gradient
            state.iteration += 1
            return trial
        length *= _shorter(state.loss, loss, length * slope)
    return 0


def _shorter(before: float, loss: float, slope: float) -> float:
    """Where the parabola through both losses with this slope at the start is lowest, within bounds."""
    curvature = loss - before - slope
    best = -0.5 * slope / curvature if np.isfinite(curvature) and curvature > 0.0 else SHORTEST
    return min(max(best, SHORTEST), LONGEST)


def _update(inverse: FloatArray, step: FloatArray, change: FloatArray) -> None:
    """Make the inverse Hessian, in place, explain the change of the gradient along the step."""
    curvature = float(step @ change)
    if curvature <= LEAST_CURVATURE * float(np.linalg.norm(step) * np.linalg.norm(change)):
        return
    image = inverse @ change
    factor = (1.0 + float(change @ image) / curvature) / curvature
    mixed = np.outer(image / curvature, step)
    inverse += factor * np.outer(step, step)
    inverse -= mixed
    inverse -= mixed.T
