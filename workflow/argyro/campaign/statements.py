"""Statements that a sound campaign fulfils, each with its verdict and the evidence for it."""

from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

type Verdict = Literal["holds", "does not hold", "not resolved"]

D = "D_cm2_per_s"
SLOW, FAST = "I", "Cl"  # anions of the ordered phases that are compared


class Statement(NamedTuple):
    """A statement.

    Attributes:
        claim: What is stated.
        verdict: Whether it holds.
        evidence: Why.
    """

    claim: str
    verdict: Verdict
    evidence: str


def statements(runs: pd.DataFrame | None, diffusivities: pd.DataFrame | None) -> list[Statement]:
    """All statements; those whose table is missing are not resolved.

    Args:
        runs: Table of the stage `dynamics`.
        diffusivities: Table of the stage `transport`.
    """
    no_runs, no_table = "there are no runs", "there is no table of diffusivities"
    claims = {
        "PS4 stays intact": (units_stay_whole, runs, no_runs),
        "Li is mobile": (ions_are_mobile, diffusivities, no_table),
        "D rises with temperature": (diffusivity_rises, diffusivities, no_table),
        "ordered Li6PS5I is slower than ordered Li6PS5Cl": (iodide_is_slower, diffusivities, no_table),
    }
    return [
        Statement(claim, "not resolved", missing) if table is None or table.empty else Statement(claim, *judge(table))
        for claim, (judge, table, missing) in claims.items()
    ]


def units_stay_whole(runs: pd.DataFrame) -> tuple[Verdict, str]:
    """Whether no bond of a rigid unit broke, and none was missing at the start."""
    broken = runs[(runs["broken_bonds"] > 0) | (runs["incomplete_units"] > 0)]
    if broken.empty:
        return "holds", f"no bond broke in {len(runs)} runs"
    cases = [
        f"{row['structure']} at {row['temperature_K']:g} K: {row['broken_bonds']} bonds broke, "
        f"{row['incomplete_units']} units were not whole at the start"
        for row in broken.to_dict("records")
    ]
    return "does not hold", f"{len(broken)} of {len(runs)} runs: {'; '.join(cases)}"


def ions_are_mobile(table: pd.DataFrame) -> tuple[Verdict, str]:
    """Whether every material diffuses within the runs at one temperature at least."""
    whole = whole_cells(table)
    is_known = whole["status"] == "diffusive"
    mobile, materials = set(whole[is_known]["material"]), set(whole["material"])
    counts = f"diffusive in {int(is_known.sum())} of {len(whole)} cases"
    if missing := sorted(materials - mobile):
        return "not resolved", f"{counts}; in none of {', '.join(missing)}, of which there are upper bounds only"
    return "holds", f"{counts}, at one temperature at least of each of {len(materials)} materials"


def diffusivity_rises(table: pd.DataFrame) -> tuple[Verdict, str]:
    """Whether 95 % intervals of neighbouring temperatures rise without overlap, for each structure."""
    counts = {"rises": 0, "falls": 0, "not resolved": 0}
    fallen = []
    for (structure, repeat), rows in whole_cells(table).groupby(["structure", "repeat"], sort=True):
        for colder, hotter in pairwise(rows.sort_values("temperature_K").to_dict("records")):
            found = _compared(colder, hotter)
            counts[found] += 1
            if found == "falls":
                pair = f"{colder['temperature_K']:g} to {hotter['temperature_K']:g} K"
                fallen.append(f"{structure}, potential {repeat}, from {pair}")
    evidence = f"of {sum(counts.values())} pairs of neighbouring temperatures {counts['rises']} rise"
    evidence += f", {counts['falls']} fall, {counts['not resolved']} are not resolved (95 %)"
    if fallen:
        return "does not hold", f"{evidence}: {'; '.join(fallen)}"
    return ("holds" if counts["rises"] else "not resolved"), evidence


def _compared(colder: dict[str, float], hotter: dict[str, float]) -> Literal["rises", "falls", "not resolved"]:
    if upper(colder) < lower(hotter):
        return "rises"
    return "falls" if lower(colder) > upper(hotter) else "not resolved"


def iodide_is_slower(table: pd.DataFrame) -> tuple[Verdict, str]:
    """Whether the upper 95 % bound of ordered Li6PS5I is below the lower one of ordered Li6PS5Cl at a temperature."""
    whole = whole_cells(table)
    ordered = whole[(whole["kind"] == "bulk") & (whole["exchange_percent"] == 0)]
    slow, fast = (ordered[ordered["anion"] == anion] for anion in (SLOW, FAST))
    common = sorted(set(slow["temperature_K"]) & set(fast["temperature_K"]))
    if not common:
        return "not resolved", "they were not run at the same temperature"
    found = {T: _ordered(slow[slow["temperature_K"] == T], fast[fast["temperature_K"] == T]) for T in common}
    evidence = "; ".join(f"{T:g} K: {text}" for T, (_, text) in found.items())
    verdicts = {verdict for verdict, _ in found.values()}
    order: tuple[Verdict, ...] = ("does not hold", "holds", "not resolved")
    return next(verdict for verdict in order if verdict in verdicts), evidence


def _ordered(slow: pd.DataFrame, fast: pd.DataFrame) -> tuple[Verdict, str]:
    """All arrangements and potentials have to agree."""
    slow_low, slow_high, fast_low, fast_high = (
        np.array([end(row) for row in rows.to_dict("records")]) for rows in (slow, fast) for end in (lower, upper)
    )
    if slow_high.max() < fast_low.min():
        return "holds", f"{SLOW} below {slow_high.max():.2g}, {FAST} above {fast_low.min():.2g} cm2/s"
    if slow_low.min() > fast_high.max():
        return "does not hold", f"{SLOW} above {slow_low.min():.2g}, {FAST} below {fast_high.max():.2g} cm2/s"
    return "not resolved", "the 95 % bounds do not tell them apart"


def whole_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Mean tracer diffusivities of whole cells."""
    return table[(table["method"] == "tracer") & (table["region"] == "cell") & (table["direction"] == "mean")]


def upper(row: dict[str, float]) -> float:
    """Upper end of the 95 % interval, or the upper bound; infinite where there is none."""
    known = [row[name] for name in (f"{D}_hi95", f"{D}_upper95") if not np.isnan(row[name])]
    return min(known, default=float("inf"))


def lower(row: dict[str, float]) -> float:
    """Lower end of the 95 % interval; 0 where there is none."""
    return 0.0 if np.isnan(row[f"{D}_lo95"]) else row[f"{D}_lo95"]
