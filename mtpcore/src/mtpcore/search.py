"""Cold starts: a search for the right basin of the loss before it is minimised in earnest.

The loss has many local minima, most of them from radial functions of single species pairs that settled on the wrong
shape or sign. From one start, all others stay put when a pair is stuck. So the search hops: it gives the radial
functions of one or two species pairs a fresh random shape, descends a little, and keeps the result if it is lower
(basin hopping: Wales and Doye, J. Phys. Chem. A 101, 5111 (1997)). Descents look at a few configurations only; whether
their result is kept is judged on all, or a basin that merely overfits the few would win.
"""

import itertools
import math

import numpy as np
import numpy.typing as npt

from . import least_squares
from .least_squares import SeparableProblem

type FloatArray = npt.NDArray[np.float64]

START_SIZE = 0.35  # of a cold start's radial coefficients: one of about eight is 1
START_NOISE = 0.01  # of a cold start's radial coefficients; more makes worse starts
EQUATIONS_PER_PARAMETER = 8  # in the configurations descents use: few, so that hops are cheap
DESCENT_ITERATIONS = 45
EARLY_ITERATIONS, EARLY_FACTOR = 15, 30.0  # a descent this far above the best by then is given up
STALL_WINDOW, STALL_FALL = 9, 0.02  # ... as is one that falls by less than this over so many iterations
PROMISING = 2.0  # times the loss of the best on the few configurations: worth a look at all
POLISH_ITERATIONS = 4  # on all configurations before a result is judged
IMPROVEMENT = 0.999


def search_subset(atom_counts: FloatArray, parameter_count: int) -> list[int]:
    """Indices of evenly spread configurations with forces enough to tell basins apart."""
    needed = EQUATIONS_PER_PARAMETER * parameter_count / (3.0 * float(np.mean(atom_counts)))
    count = min(len(atom_counts), max(4, math.ceil(needed)))
    return [int(index) for index in np.linspace(0, len(atom_counts) - 1, count).round()]


def cold_start(problem: SeparableProblem, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Parameters with radial functions f_mu close to T_mu and linear ones solved for.

    Args:
        problem: The loss.
        shape: Of the radial coefficients, (S, S, R, K).
        rng: Source of the noise that tells species apart.
    """
    radial = START_NOISE * rng.normal(size=shape) / (1.0 + np.arange(shape[3]))
    for mu in range(shape[2]):
        radial[:, :, mu, min(mu, shape[3] - 1)] += 1.0
    linear = problem.linear_count
    return least_squares.solve_linear(problem, np.concatenate([radial.ravel(), np.zeros(linear)]))


def descend(problem: SeparableProblem, x: FloatArray, give_up_above: float = math.inf) -> tuple[FloatArray, float]:
    """A short minimisation from x; returns where it got and the loss there."""
    state = least_squares.start(x)
    losses = [problem.data_loss(x)]
    for _ in range(DESCENT_ITERATIONS):
        step = least_squares.iterate(problem, state)
        if not step.accepted:
            break
        losses.append(step.loss)
        if len(losses) > STALL_WINDOW and losses[-1 - STALL_WINDOW] - losses[-1] < STALL_FALL * losses[-1]:
            break
        if len(losses) > EARLY_ITERATIONS and losses[-1] > give_up_above:
            break
    return state.x, problem.data_loss(state.x)


def hop(  # noqa: PLR0917  a step of a loop that holds all of these
    few: SeparableProblem,
    whole: SeparableProblem,
    x: FloatArray,
    loss: float,
    shape: tuple[int, ...],
    rng: np.random.Generator,
) -> tuple[FloatArray, float]:
    """Try one hop from x; returns the better of x and the result, with its loss.

    Args:
        few: The loss of the configurations that descents look at.
        whole: The loss of all.
        x: Where the search stands.
        loss: Of ``whole`` there, without regularization.
        shape: Of the radial coefficients, (S, S, R, K).
        rng: Source of the hop.
    """
    best = few.data_loss(least_squares.solve_linear(few, x))
    trial = least_squares.solve_linear(few, refresh_pairs(x, shape, rng))
    found, few_loss = descend(few, trial, EARLY_FACTOR * best)
    if few_loss > PROMISING * best:
        return x, loss
    state = least_squares.start(least_squares.solve_linear(whole, found))
    for _ in range(POLISH_ITERATIONS):
        if not least_squares.iterate(whole, state).accepted:
            break
    found_loss = whole.data_loss(state.x)
    return (state.x, found_loss) if found_loss < IMPROVEMENT * loss else (x, loss)


def refresh_pairs(x: FloatArray, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Give x with random radial functions, of the median size, for one or two species pairs."""
    result = x.copy()
    radial = result[: math.prod(shape)].reshape(shape)
    size = math.sqrt(float(np.median((radial**2).mean(axis=(2, 3)))))
    pairs = list(itertools.combinations_with_replacement(range(shape[0]), 2))
    count = min(len(pairs), int(rng.choice([1, 1, 2])))
    for index in rng.choice(len(pairs), count, replace=False):
        a, b = pairs[index]
        for center, neighbor in dict.fromkeys([(a, b), (b, a)]):
            radial[center, neighbor] = size * _random_shape(shape, rng)
    return result


def _random_shape(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Radial coefficients (R, K) of one ordered pair: rough, or close to T_mu."""
    order = 1.0 + np.arange(shape[3])
    if rng.uniform() < 0.5:  # noqa: PLR2004  even odds
        return rng.normal(size=shape[2:]) / np.sqrt(order)
    coefficients = 0.3 * rng.normal(size=shape[2:]) / order
    for mu in range(shape[2]):
        coefficients[mu, min(mu, shape[3] - 1)] += 1.0
    return coefficients
