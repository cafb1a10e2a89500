"""Deciding: whether a round is followed by another, the next level, the end, or a stop."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from argyro.common.errors import ArgyroError
from argyro.config.learning import Rung

from .exploration import Exploration
from .selection import Selection


class LearningError(ArgyroError):
    """A potential did not come to the end of its ladder."""


type Next = Literal["continue", "level_up", "done", "failed"]


@dataclass(frozen=True)
class Decision:
    """What follows a round.

    Attributes:
        next: ``continue``: candidates are labelled and the potential is fitted anew; ``level_up``; ``done``; or
            ``failed``.
        reason: In words.
        converged: Whether the level ended by its grades, as opposed to its limits.
        candidates: How many structures are to be labelled.
    """

    next: Next
    reason: str
    converged: bool
    candidates: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def decide(
    rung: Rung,
    *,
    at_limit: bool,
    last_level: bool,
    selection: Selection,
    explorations: Sequence[Exploration],
    candidates: int,
) -> Decision:
    """Judge a round.

    A level ends when nothing is selected, or no grade was met above the accept grade: the published rule, asked of all
    that was met and not only of what MaxVol chose of it. It does not while runs break: then whatever was selected is
    labelled, and where nothing was, they would break again for ever, which is a failure, as are environments of which
    no training cell can be made, and the limit of rounds.

    Args:
        rung: The level.
        at_limit: Whether this is the last round that the level may have.
        last_level: Whether the ladder ends here.
        selection: What was selected.
        explorations: How the samplers fared.
        candidates: How many structures could be made to be labelled.
    """
    onward: Next = "done" if last_level else "level_up"
    broken = [exploration for exploration in explorations if exploration.broke]
    if not teaches(rung, selection, explorations):
        if broken:
            return _given_up(rung, onward, f"runs break, but nothing can be selected: {_named(broken)}")
        worst = f"the largest grade is {_largest(selection, explorations):.2f}"
        return Decision(
            onward, worst if selection.environments else "nothing was selected", converged=True, candidates=0
        )
    if candidates == 0:
        return _given_up(
            rung, onward, f"no training cell can be made of any of {len(selection.environments)} selected environments"
        )
    if at_limit:
        return _given_up(
            rung,
            onward,
            f"the limit of rounds is reached, the largest grade is {_largest(selection, explorations):.2f} "
            f"({rung.accept_grade:g} is accepted), and {len(broken)} of {len(explorations)} runs broke",
        )
    return Decision("continue", f"{candidates} structures to label", converged=False, candidates=candidates)


def teaches(rung: Rung, selection: Selection, explorations: Sequence[Exploration]) -> bool:
    """Whether something was selected that is worth labels: a grade is above the accept grade, or runs break.

    Args:
        rung: The level.
        selection: What was selected.
        explorations: How the samplers fared.
    """
    broken = any(exploration.broke for exploration in explorations)
    return bool(selection.environments) and (broken or _largest(selection, explorations) > rung.accept_grade)


def require_done(decision: Mapping[str, Any], folder: Path, ledger: Path) -> None:
    """Refuse a ladder that did not end by its rules.

    Args:
        decision: The last one, as JSON holds it.
        folder: Of the last round.
        ledger: Where all rounds are listed.

    Raises:
        LearningError: says where and why it stopped, and what can be done.
    """
    if decision["next"] == "failed":
        raise LearningError(
            f"learning stopped in {folder}: {decision['reason']}. All rounds are in {ledger}. Allow more rounds "
            "(max_rounds in learning.ladder), more labels a round (max_labels), start from more or other seeds, or let "
            "the ladder go on regardless (on_limit: continue)"
        )


def _largest(selection: Selection, explorations: Sequence[Exploration]) -> float:
    """The largest grade that was met, snapshots handed back by other stages included."""
    return max([selection.largest_grade, *(exploration.largest_grade for exploration in explorations)])


def _given_up(rung: Rung, onward: Next, reason: str) -> Decision:
    following: Next = onward if rung.on_limit == "continue" else "failed"
    return Decision(following, reason, converged=False, candidates=0)


def _named(broken: Sequence[Exploration]) -> str:
    return "; ".join(
        f"{run.sampler.structure} at {run.sampler.temperature:g} K after {run.time:.2f} ps ({run.reason})"
        for run in broken
    )
