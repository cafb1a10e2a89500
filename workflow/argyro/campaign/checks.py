"""What was checked in a campaign: how often it passed, and every case that did not."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from argyro.common.files import read_json

type Failure = tuple[str, str]
"""What failed, and why."""


@dataclass(frozen=True)
class Check:
    """A check of many cases.

    Attributes:
        name: What is checked.
        passed: How many cases passed.
        failures: The others.
    """

    name: str
    passed: int
    failures: tuple[Failure, ...]


def checks(folder: Path, tables: dict[str, pd.DataFrame]) -> Iterator[Check]:
    """All that was checked so far.

    Args:
        folder: Of the campaign.
        tables: By name; those that are missing were not reached.
    """
    judged = {"labels": _labels, "boundaries": _boundaries, "runs": _runs}
    yield from _structures(folder)
    if (ledger := tables.get("ledger")) is not None:
        yield from _ledger(ledger)
    for name, judge in judged.items():
        if (table := tables.get(name)) is not None and len(table):
            yield judge(table)


def _structures(folder: Path) -> Iterator[Check]:
    reports = [read_json(path) for path in sorted(folder.glob("structures/*.json"))]
    judged = [report for report in reports if isinstance(report, dict) and "violations" in report]
    bad = [(str(report.get("name", "")), str(report["violations"])) for report in judged if report["violations"]]
    if judged:
        yield Check("structures: formula, charge, whole units, distances", len(judged) - len(bad), tuple(bad))


def _labels(labels: pd.DataFrame) -> Check:
    failed = labels[labels["status"] != "ok"]
    failures = [(f"a structure of {row['set']}", f"{row['status']}: {row['message']}") for row in _records(failed)]
    return Check("labels of seeds: gates", len(labels) - len(failed), tuple(failures))


def _ledger(ledger: pd.DataFrame) -> Iterator[Check]:
    rejected = ledger[ledger["labels_rejected"] > 0]
    failures = [
        (f"{row['labels_rejected']:g} of {_round(row)}", str(row["labels_rejected_because"]))
        for row in _records(rejected)
    ]
    yield Check("labels of learning: gates", int(ledger["labels_accepted"].sum()), tuple(failures))
    last = ledger.sort_values(["level", "round"]).groupby(["system", "repeat"]).tail(1)
    is_done = last["converged"].astype(bool)
    yield Check(
        "potentials: last level converged",
        int(is_done.sum()),
        tuple((_round(row), str(row["reason"])) for row in _records(last[~is_done])),
    )


def _round(row: dict[str, Any]) -> str:
    return f"{row['system']}, potential {row['repeat']}, level {row['level']}, round {row['round']}"


def _boundaries(boundaries: pd.DataFrame) -> Check:
    bad = boundaries[~boundaries["converged"].astype(bool) | (boundaries["broken_units"] > 0)]
    failures = [
        (
            f"{row['structure']}, potential {row['repeat']}",
            "; ".join(
                ([] if row["converged"] else ["not converged"])
                + ([f"{row['broken_units']:g} rigid units broke"] if row["broken_units"] > 0 else [])
            ),
        )
        for row in _records(bad)
    ]
    return Check("relaxed boundaries: converged, whole units", len(boundaries) - len(bad), tuple(failures))


def _runs(runs: pd.DataFrame) -> Check:
    bad = runs[~runs["ok"].astype(bool)]
    failures = [
        (
            f"{row['structure']}, potential {row['repeat']}, {row['temperature_K']:g} K, replica {row['replica']}",
            str(row["violations"] or row["reason"]),
        )
        for row in _records(bad)
    ]
    return Check("runs: temperature, drift, bonds, framework, grade", len(runs) - len(bad), tuple(failures))


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_dict("records")
    return found
