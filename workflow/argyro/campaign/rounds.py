"""Rounds of learning that a graph of jobs does not show yet, as they lie behind checkpoints."""

from collections.abc import Callable, Iterator
from typing import Any

from argyro.config.learning import Rung
from argyro.config.model import Config

from .work import Work

type RawJob = dict[str, Any]

# Of the quickstart: four rounds of the first level, one or two of each further one
ROUNDS_OF_FIRST_LEVEL, ROUNDS_OF_FURTHER_LEVELS = 4, 2
LAST_OF_POTENTIAL = {"finish_potential", "write_ledger", "measure_forces"}


def fewest(_rung: Rung, *, first: bool) -> int:
    """One round of each level: nothing is unknown."""
    del first
    return 1


def expected(rung: Rung, *, first: bool) -> int:
    """As many rounds as earlier campaigns had."""
    return min(rung.max_rounds, ROUNDS_OF_FIRST_LEVEL if first else ROUNDS_OF_FURTHER_LEVELS)


def most(rung: Rung, *, first: bool) -> int:
    """As many as the configuration allows."""
    del first
    return rung.max_rounds


def with_rounds(jobs: list[RawJob], config: Config, work: Work, rounds_of: Callable[..., int]) -> list[RawJob]:
    """A graph of a campaign that has not begun, with the rounds that are to be expected.

    Args:
        jobs: From `argyro.campaign.dag`, with the first round of each potential.
        config: Of the campaign.
        work: Of its jobs.
        rounds_of: How many rounds a level has.

    Returns:
        The same jobs and, after them, those of the rounds, marked as ``estimated``.
    """
    whole = [job | {"after": list(job["after"])} for job in jobs]
    templates = {job["rule"]: job for job in jobs}
    for last in [number for number, job in enumerate(jobs) if job["rule"] == "select_environments"]:
        wildcards = jobs[last]["wildcards"]
        end = [last]
        for level, count in _rounds(config, rounds_of):
            for stage in _stages(level, count, wildcards, config, work):
                before, end = end, list(range(len(whole), len(whole) + len(stage)))
                for job in stage:
                    template = templates.get(job["rule"], {"threads": 1, "mem_mb": 4000, "gpu": 0})
                    whole.append({**template, "outputs": [], "estimated": True, **job, "after": before})
        for job in whole[: len(jobs)]:
            mine = job["wildcards"].get("system") == wildcards["system"]
            if mine and job["rule"] in LAST_OF_POTENTIAL and job["wildcards"].get("repeat") == wildcards["repeat"]:
                job["after"] += end
    return whole


def cost_of_rounds(
    jobs: list[RawJob],
    config: Config,
    work: Work,
    rounds_of: Callable[..., int],
    core_hours: Callable[[RawJob], float],
) -> tuple[int, float]:
    """How many jobs the rounds are that `with_rounds` adds, and their core-hours, without writing them down.

    Args:
        jobs: As there.
        config: As there.
        work: As there.
        rounds_of: As there.
        core_hours: Of a job.
    """
    known: dict[tuple[str, ...], float] = {}
    count, hours = 0, 0.0
    for wildcards in [job["wildcards"] for job in jobs if job["rule"] == "select_environments"]:
        for level, number in _rounds(config, rounds_of):
            for stage in _stages(level, number, wildcards, config, work):
                rule = stage[0]["rule"]
                # Only fits cost more from round to round
                key = (rule, wildcards["system"], str(level), str(number) if rule == "fit_potential" else "")
                if key not in known:
                    known[key] = sum(
                        core_hours({"threads": 1, "gpu": 0, "mem_mb": 0, "after": [], **job}) for job in stage
                    )
                count += len(stage)
                hours += known[key]
    return count, hours


def _rounds(config: Config, rounds_of: Callable[..., int]) -> Iterator[tuple[int, int]]:
    """Level and number of all rounds but the very first."""
    for position, rung in enumerate(config.learning.ladder):
        for number in range(rounds_of(rung, first=position == 0)):
            if (position, number) != (0, 0):
                yield rung.level, number


def _stages(level: int, number: int, wildcards: dict[str, str], config: Config, work: Work) -> Iterator[list[RawJob]]:
    """Jobs of a round: labels of what the one before found, a fit, exploration, selection; each waits for the last."""
    here = {"system": wildcards["system"], "repeat": wildcards["repeat"], "level": str(level), "round": str(number)}

    def jobs(rule: str, name: str = "", count: int = 1) -> list[RawJob]:
        own = [{name: str(part)} if name else {} for part in range(count)]
        return [{"rule": rule, "wildcards": here | each, "benchmark": f"benchmarks/learning/{rule}"} for each in own]

    if number > 0:
        yield jobs("label_candidates", "chunk", -(-config.learning.rung(level).max_labels // config.labels.chunk_size))
    yield jobs("fit_potential")
    yield jobs("explore", "part", work.parts_of(wildcards["system"], level))
    yield jobs("select_environments")
