"""Separable nonlinear least squares: Levenberg-Marquardt on some parameters, the linear ones solved exactly.

A potential is linear in its species and moment coefficients and nonlinear in the radial ones. Every trial step of the
nonlinear parameters is followed by an exact linear solve (variable projection: Golub and Pereyra, SIAM J. Numer. Anal.
10, 413 (1973); Gauss-Newton step with undamped linear part: Kaufman, BIT 15, 49 (1975)). The search then follows the
curved valleys of the loss in tens of steps, where gradient methods need thousands. Damping: Marquardt's, with the gain
rule of Nielsen (IMM report 1999-05).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

type FloatArray = npt.NDArray[np.float64]

LINEAR_DAMPING = 1e-9  # of the diagonal: keeps the joint system positive definite, no more
RANK_TOLERANCE = 1e-13  # of the largest eigenvalue of the scaled normal matrix
MAX_TRIALS = 20


class SeparableProblem(Protocol):
    """Residuals r(x); x holds the nonlinear parameters first."""

    nonlinear_count: int
    linear_count: int

    def prepare(self, data_loss: float) -> None:
        """Set what stays fixed during the iteration that starts from this loss."""

    def loss(self, x: FloatArray) -> float:
        """|r(x)|^2."""

    def data_loss(self, x: FloatArray) -> float:
        """The same without regularization."""

    def loss_and_gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        """|r(x)|^2 and its gradient, without any Jacobian."""

    def normal_equations(self, x: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """|r|^2, J^T r and J^T J at x."""

    def linear_normal_equations(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """J^T r and J^T J of the linear parameters at x."""


@dataclass
class State:
    """Where a minimisation stands: all that the next step depends on.

    Attributes:
        x: Parameters.
        scale: Largest diagonal of J^T J so far: Marquardt's scale of every parameter.
        damping: Damping of the nonlinear parameters in units of ``scale``.
        growth: Factor of the next rejected step's damping.
        iteration: Accepted steps.
    """

    x: FloatArray
    scale: FloatArray
    damping: float = 1e-2
    growth: float = 2.0
    iteration: int = 0


def start(x: FloatArray) -> State:
    """State at parameters from which nothing is known yet."""
    return State(x, np.zeros_like(x))


@dataclass(frozen=True)
class Step:
    """Outcome of one iteration: losses before and after; ``accepted`` is False when no step lowers the loss."""

    loss_before: float
    loss: float
    gradient_norm: float
    accepted: bool
    trials: int


def solve_linear(problem: SeparableProblem, x: FloatArray) -> FloatArray:
    """Give x with the linear parameters at their optimum; directions without influence keep their value."""
    gradient, normal = problem.linear_normal_equations(x)
    scale = 1.0 / np.sqrt(np.maximum(np.diag(normal), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(normal * scale[:, None] * scale)
    kept = values > RANK_TOLERANCE * values[-1]
    inverse = np.where(kept, 1.0 / np.where(kept, values, 1.0), 0.0)
    result = x.copy()
    result[problem.nonlinear_count :] -= scale * (vectors @ (inverse * (vectors.T @ (scale * gradient))))
    return result


def iterate(problem: SeparableProblem, state: State) -> Step:
    """Advance the state by one accepted step, or leave it with ``accepted`` False.

    The loss never rises: a trial that does not lower it is retried with more damping.
    """
    problem.prepare(problem.data_loss(state.x))
    before, gradient, normal = problem.normal_equations(state.x)
    np.maximum(state.scale, np.diag(normal), out=state.scale)
    norm = float(np.linalg.norm(2.0 * gradient))
    for trial in range(1, MAX_TRIALS + 1):
        step = _damped_step(problem, state, gradient, normal)
        if step is not None:
            x = solve_linear(problem, state.x + step)
            loss = problem.loss(x)
            predicted = -float(2.0 * gradient @ step + step @ normal @ step)
            gain = (before - loss) / predicted if predicted > 0.0 else -1.0
            if np.isfinite(loss) and loss < before and gain > 1e-3:  # noqa: PLR2004  customary threshold
                state.x = x
                state.damping = max(state.damping * max(0.2, 1.0 - (2.0 * min(gain, 1.0) - 1.0) ** 3), 1e-14)
                state.growth = 2.0
                state.iteration += 1
                return Step(before, loss, norm, accepted=True, trials=trial)
        state.damping *= state.growth
        state.growth *= 2.0
    return Step(before, before, norm, accepted=False, trials=MAX_TRIALS)


def _damped_step(
    problem: SeparableProblem, state: State, gradient: FloatArray, normal: FloatArray
) -> FloatArray | None:
    """Solution of (J^T J + D) s = -J^T r, or None if the matrix is not positive definite in floating point."""
    floor = 1e-14 * state.scale.max()  # parameters without influence, such as pairs that never meet
    scale = np.maximum(state.scale, floor)
    damping = state.damping * scale
    damping[problem.nonlinear_count :] = LINEAR_DAMPING * scale[problem.nonlinear_count :]
    root = 1.0 / np.sqrt(scale)
    try:
        factor = np.linalg.cholesky((normal + np.diag(damping)) * root[:, None] * root)
    except np.linalg.LinAlgError:
        return None
    solution: FloatArray = np.linalg.solve(factor.T, np.linalg.solve(factor, root * gradient))
    return -root * solution
