"""What was asked for and not resolved, from the tables of a campaign."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

REASONED = {"crossover", "skipped"}  # tables whose rows have a reason where they have no result
NO_INTERVAL = "not resolved: an energy of a single relaxation has no interval"


def unresolved(tables: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, str]]:
    """The table, what of it is not resolved, and the reason; what shares table, structure and reason is one row.

    Args:
        tables: By name; those without a column that says so are all resolved.
    """
    for name, table in tables.items():
        found: dict[tuple[str, str], dict[str, None]] = {}
        for row in table.to_dict("records"):
            if reason := _reason(name, row):
                found.setdefault((_subject(row), reason), {})[_details(row)] = None
        for (subject, reason), details in found.items():
            known = "; ".join(detail for detail in details if detail)
            yield name, f"{subject}: {known}" if known else subject, reason


def _reason(table: str, row: dict[str, Any]) -> str:
    """Why a row has no result; nothing if it has."""
    status = str(row.get("status", ""))
    if status.startswith("no"):
        return status
    if table in REASONED and isinstance(row["reason"], str):
        return row["reason"]
    return NO_INTERVAL if table == "boundaries" and not row.get("resolved", True) else ""


def _subject(row: dict[str, Any]) -> str:
    """The structure, else the material, else its anion and exchange."""
    name = row.get("structure") or row.get("material") or f"{row['anion']}, {row['exchange_percent']:g} %"
    repeat = row.get("repeat")
    return f"{name}, potential {repeat}" if repeat else str(name)


def _details(row: dict[str, Any]) -> str:
    words = {"temperature_K": "{:g} K", "grain_size_nm": "grains of {:.0f} nm"}
    words |= dict.fromkeys(("microstructure", "boundary", "region", "direction", "method"), "{}")
    words |= {"width_angstrom": "width {:g} angstrom"}
    known = {name: row[name] for name in words if pd.notna(row.get(name)) and row[name] != "none"}
    if "structure" in row:
        known.pop("boundary", None)  # its name has it
    return ", ".join(words[name].format(value) for name, value in known.items())
