"""The ledger: a tidy table of what every round of a potential asked for, got, and came to."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

QUANTILE_NAMES = ("50", "95", "99", "100")
FILE_OF_ROUND = re.compile(
    r"learning/(?P<system>\w+)/r(?P<repeat>\d+)/l(?P<level>\d+)/(?P<round>\d+)/"
    r"(?:(?P<kind>fit|selection|decision)|(?P<list>explored|outcomes)/\d+)\.json$"
)


@dataclass
class RoundFiles:
    """The files that a row of the ledger is made of.

    Attributes:
        identity: system, repeat, level, round.
        fit: Of the potential the round began with.
        selection: What was selected and rejected.
        decision: What followed.
        explored: Of exploring jobs.
        outcomes: Of labelling jobs.
    """

    identity: dict[str, Any]
    fit: Path = Path()
    selection: Path = Path()
    decision: Path = Path()
    explored: list[Path] = field(default_factory=list)
    outcomes: list[Path] = field(default_factory=list)


def group_by_round(paths: Iterable[Path]) -> list[RoundFiles]:
    """Files of several rounds, sorted into rounds, in the order of levels and rounds.

    Raises:
        ValueError: a file is of no round.
    """
    rounds: dict[tuple[str, int, int, int], RoundFiles] = {}
    for path in paths:
        found = FILE_OF_ROUND.search(path.as_posix())
        if found is None:
            raise ValueError(f"{path} is no file of a round")
        repeat, level, number = (int(found[name]) for name in ("repeat", "level", "round"))
        identity = {"system": found["system"], "repeat": repeat, "level": level, "round": number}
        files = rounds.setdefault((found["system"], repeat, level, number), RoundFiles(identity))
        if found["list"]:
            getattr(files, found["list"]).append(path)
        else:
            setattr(files, found["kind"], path)
    return [files for _, files in sorted(rounds.items())]


def followers(rounds: Sequence[RoundFiles]) -> list[RoundFiles | None]:
    """The round that begins with the fit to the labels that each one asked for; None after the last of a level."""
    nexts = [*rounds[1:], None]
    return [
        then if then is not None and then.identity["level"] == own.identity["level"] else None
        for own, then in zip(rounds, nexts, strict=True)
    ]


def ledger_row(
    identity: Mapping[str, Any],
    *,
    fit: Mapping[str, Any],
    explored: Sequence[Mapping[str, Any]],
    selection: Mapping[str, Any],
    decision: Mapping[str, Any],
    outcomes: Sequence[Mapping[str, Any]],
    taught: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One round: the fit it began with, what was explored with it, and what that led to.

    Args:
        identity: system, repeat, level, round.
        fit: Of the potential the round began with.
        explored: Jobs of samplers, each with ``explorations``, ``wall_s`` and ``core_s``.
        selection: What was selected and rejected.
        decision: What followed.
        outcomes: Of the labels asked for.
        taught: The fit to those labels, which the next round began with; None if there was none.
    """
    explorations = [record for job in explored for record in job["explorations"]]
    statuses = Counter(row["status"] for row in outcomes)
    carved = Counter(row["reason"] for row in selection["rejections"])
    row: dict[str, Any] = dict(identity) | {
        "training_structures": fit["training"]["structures"],
        "training_atoms": fit["training_atoms"],
        "energy_rmse_training_eV_per_atom": fit["training"]["energy_eV_per_atom"],
        "force_rmse_training_eV_per_angstrom": fit["training"]["force_eV_per_angstrom"],
        "energy_rmse_holdout_eV_per_atom": fit["holdout"]["energy_eV_per_atom"],
        "force_rmse_holdout_eV_per_angstrom": fit["holdout"]["force_eV_per_angstrom"],
        "fit_reason": fit["reason"],
        "fit_iterations": fit["iterations"],
        "samplers": len(explorations),
        "samplers_broken": sum(record["broke"] for record in explorations),
        "explored_ps": sum(record["time"] for record in explorations),
        "largest_grade_explored": max((record["largest_grade"] for record in explorations), default=0.0),
        "snapshots_found": sum(record["found"] for record in explorations),
        "snapshots_handed_on": sum(record["handed_on"] for record in explorations),
        "environments_selected": selection["selected"],
        "largest_grade_selected": selection["largest_grade"],
        "environments_rejected": len(selection["rejections"]),
        "rejected_because": _counted(carved),
        "labels_asked": len(outcomes),
        "labels_accepted": statuses["ok"],
        "labels_rejected": len(outcomes) - statuses["ok"],
        "labels_rejected_because": _counted(Counter(row["status"] for row in outcomes if row["status"] != "ok")),
        "labelled_atoms": sum(row["atoms"] for row in outcomes if row["status"] == "ok"),
        "label_s": sum(row["seconds"] for row in outcomes),
        "centers_above_select_after_fit": taught["centers"]["above_select"] if taught else None,
        "largest_center_grade_after_fit": taught["centers"]["largest"] if taught else None,
        "next": decision["next"],
        "reason": decision["reason"],
        "converged": decision["converged"],
    }
    for when, grades in (("before", selection["grades_before"]), ("after", taught and taught["snapshots"])):
        values = grades or [None] * len(QUANTILE_NAMES)
        row |= {f"grade_{when}_p{name}": value for name, value in zip(QUANTILE_NAMES, values, strict=True)}
    for kind in ("wall_s", "core_s"):
        row[f"explore_{kind}"] = sum(job[kind] for job in explored)
        row[f"select_{kind}"], row[f"fit_{kind}"] = selection[kind], fit[kind]
    return row


def ledger_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rounds in their order."""
    table = pd.DataFrame(rows)
    kinds = ("grade_", "energy_rmse", "force_rmse", "largest_center")
    numbers = [name for name in table.columns if name.startswith(kinds)]
    counts = dict.fromkeys(("fit_iterations", "centers_above_select_after_fit"), "Int64")
    return table.astype(dict.fromkeys(numbers, float) | counts)


def _counted(counts: Counter[str]) -> str:
    """Counts in words, such as ``distance: 3, size: 1``; empty if there are none."""
    return ", ".join(f"{name}: {number}" for name, number in sorted(counts.items()))
