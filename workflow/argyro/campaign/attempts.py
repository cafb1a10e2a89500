"""Memory and time of jobs that are tried again."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

GROWING = ("mem_mb", "runtime")


def let_resources_grow(rules: Iterable[Any]) -> None:
    """Give the second attempt at a job twice the memory and time, the third three times.

    What grows by itself, by a function of ``attempt`` in a rule or an expression with it in a profile, is left alone.
    Attempts after the first are those of ``retries`` in a profile: on one machine there are none.

    Args:
        rules: Snakemake's, with the resources of the profile in place.
    """
    for rule in rules:
        for name in GROWING:
            if name in rule.resources and not _grows(rule.resources[name]):
                rule.resources[name] = _growing(rule.resources[name])


def _grows(resource: Any) -> bool:
    if isinstance(resource.raw, str):  # an expression of a profile
        return "attempt" in resource.raw
    return resource.is_evaluable() and "attempt" in inspect.signature(resource._evaluator).parameters  # noqa: SLF001


def _growing(resource: Any) -> Callable[..., Any]:
    """The resource as a function with all that Snakemake may give."""

    def grown(wildcards: Any, *, input: Any, attempt: int, threads: int, rulename: str, async_run: Any) -> Any:  # noqa: A002
        known = {"input": input, "attempt": attempt, "threads": threads, "rulename": rulename, "async_run": async_run}
        value = resource.evaluate(wildcards, **known).value
        return value * attempt if isinstance(value, int) else value

    return grown
