"""Intervals of means."""

from scipy import stats


def student_interval(value: float, error: float, freedom: float, probability: float) -> tuple[float, float]:
    """Where the truth is with a probability, by Student's distribution.

    Args:
        value: Estimate.
        error: Its standard error.
        freedom: Degrees of freedom of the error.
        probability: Of the interval, which has the estimate in its middle.

    Returns:
        Both ends; NaN where the error is.
    """
    half = error * float(stats.t.ppf((1 + probability) / 2, freedom))
    return float(value - half), float(value + half)
