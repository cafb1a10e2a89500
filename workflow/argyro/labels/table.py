"""The table of what became of every structure of a set."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd


def outcome_table(rows: Iterable[Mapping[str, Any]], name: str) -> pd.DataFrame:
    """The tidy table of a set's outcomes.

    Args:
        rows: See `argyro.labels.collect.outcome_rows`.
        name: Of the set.
    """
    table = pd.DataFrame([{"set": name} | dict(row) for row in rows])
    return table.rename(columns={"seconds": "time_s"}).astype({"rung": "Int64", "scf_steps": "Int64"})
