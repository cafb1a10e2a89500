"""The page that a report begins with: what ran, what came out of it with intervals, what was not resolved."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from argyro.config.model import Config
from argyro.figures.boundary_ratio import boundary_ratio_data

from .checks import Check, checks
from .rst import escaped, heading, table
from .statements import D, statements, whole_cells
from .timing import plan_and_actual, stage_time
from .unresolved import unresolved

TABLES = {
    "labels": "labels/outcomes.parquet",
    "ledger": "learning/ledger.parquet",
    "runs": "dynamics/runs.parquet",
    "boundaries": "dynamics/boundaries.parquet",
    "diffusivity": "transport/diffusivity.parquet",
    "arrhenius": "transport/arrhenius.parquet",
    "effective_diffusivity": "continuum/effective_diffusivity.parquet",
    "crossover": "continuum/crossover.parquet",
    "skipped": "continuum/skipped.csv",
}
STAGES = ("structures", "labels", "learning", "dynamics", "transport", "continuum", "figures")


@dataclass(frozen=True, eq=False)
class Campaign:
    """What a campaign has come to so far.

    Attributes:
        folder: Its folder.
        config: Its configuration.
        tables: Those of `TABLES` that are there, by name.
    """

    folder: Path
    config: Config
    tables: dict[str, pd.DataFrame]


def read_campaign(folder: Path, config: Config) -> Campaign:
    """The tables that a campaign has."""
    paths = {name: folder / path for name, path in TABLES.items()}
    return Campaign(folder, config, {name: _read(path) for name, path in paths.items() if path.exists()})


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


def overview(campaign: Campaign, versions: dict[str, str]) -> str:
    """The page, as reStructuredText.

    Args:
        campaign: What it is of.
        versions: Of software.
    """
    checked = list(checks(campaign.folder, campaign.tables))
    sections = {
        "What ran": table(
            ("stage", "what there is", "jobs", "time of jobs", "core time"), _stages(campaign), "nothing"
        ),
        "Sanity": table(
            ("statement", "verdict", "evidence"),
            statements(campaign.tables.get("runs"), campaign.tables.get("diffusivity")),
            "nothing",
        ),
        "Plan against actual": table(
            ("stage", "jobs planned", "jobs run", "core-hours planned", "core-hours used", "used / planned"),
            plan_and_actual(campaign.folder, campaign.config.dynamics.ranks),
            "There is no plan of this campaign: scripts/plan makes one, best before it runs.",
        ),
        "Checks": table(
            ("check", "passed", "failed"),
            ((check.name, check.passed, len(check.failures)) for check in checked),
            "Nothing was checked.",
        ),
        "Failed checks": table(("check", "of", "what"), _failures(checked), "No check failed."),
        "Diffusivities": table(
            ("material", "structure", "T (K)", "D (cm2/s)", "68 % interval"),
            _diffusivities(campaign),
            "There is no table of diffusivities.",
        ),
        "Activation energies": table(
            ("material", "of", "Ea (eV)", "68 % interval"), _barriers(campaign), "There is no Arrhenius fit."
        ),
        "Boundaries over bulk": table(
            ("material", "boundary", "T (K)", "by", "over", "ratio", "68 % interval"),
            _ratios(campaign),
            "No boundary was run.",
        ),
        "Effective diffusivities of polycrystals": _source_of_pairs(campaign)
        + table(
            ("anion", "exchange (%)", "T (K)", "grain size (nm)", "D_eff (cm2/s)", "error", "D_eff / D_bulk"),
            _effective(campaign),
            "There is no table of effective diffusivities.",
        ),
        "Not resolved": table(("table", "of", "reason"), unresolved(campaign.tables), "Everything was resolved."),
        "Software": table(("package", "version"), sorted(versions.items()), "nothing"),
    }
    parts = [heading(f"Campaign {campaign.config.campaign}", "="), _introduction(campaign.config)]
    return "\n".join([*parts, *(f"{heading(name, '-')}\n{text}" for name, text in sections.items())])


def _introduction(config: Config) -> str:
    materials = ", ".join(material.id for material in config.materials)
    shipped = ""
    if config.figures.tables == "shipped":
        shipped = " **Figures are not of this campaign:** they show tables of a quickstart that ship with the project."
    label = "given potentials" if config.learning.mode == "given" else f"labels by {config.labels.backend}"
    return (
        f"Materials: {escaped(materials)}. Potentials: {label}. Seed {config.seed}. Figures are under *Results*; the "
        "tables behind this page are parquet files in the campaign's folder. Intervals are of 68 %, bounds of 95 %; a "
        f"number that the campaign cannot tell is *not resolved*.{shipped}\n"
    )


def _stages(campaign: Campaign) -> Iterator[tuple[object, ...]]:
    """Stages with what they made, and their time by their benchmark files."""
    made = _made(campaign)
    for stage in STAGES:
        time = stage_time(campaign.folder, stage, campaign.config.dynamics.ranks)
        if time.jobs:
            yield stage, made[stage], time.jobs, _duration(time.wall), _duration(time.core)


def _made(campaign: Campaign) -> dict[str, str]:
    """What each stage made, in words."""
    tables, folder = campaign.tables, campaign.folder
    words = dict.fromkeys(STAGES, "")
    reports = [path for path in folder.glob("structures/*.json") if "microstructure" not in path.name]
    words["structures"] = f"{len(reports)} structures and sets of seeds"
    if (labels := tables.get("labels")) is not None:
        words["labels"] = f"{(labels['status'] == 'ok').sum()} labels of {len(labels)} seeds"
    if (ledger := tables.get("ledger")) is not None:
        ladders = ledger.groupby(["system", "repeat"])
        words["learning"] = (
            f"{ladders.ngroups} potentials, {len(ledger)} rounds, {ledger['labels_accepted'].sum():g} further labels"
        )
    if (runs := tables.get("runs")) is not None and len(runs):
        words["dynamics"] = f"{len(runs)} runs, {runs['duration_ps'].sum() / 1000:.3g} ns in all"
    if (found := tables.get("diffusivity")) is not None:
        words["transport"] = f"{found[D].notna().sum()} of {len(found)} diffusivities with a value"
    if (effective := tables.get("effective_diffusivity")) is not None:
        words["continuum"] = f"{len(effective)} effective diffusivities"
    words["figures"] = f"{len(list(folder.glob('figures/*.png')))} figures"
    return words


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"  # noqa: PLR2004


def _failures(found: Iterable[Check]) -> Iterator[tuple[object, ...]]:
    for check in found:
        yield from ((check.name, *failure) for failure in check.failures)


def _diffusivities(campaign: Campaign) -> Iterator[tuple[object, ...]]:
    """Of whole cells; an upper bound where they do not diffuse within the run."""
    found = campaign.tables.get("diffusivity")
    for row in whole_cells(found).to_dict("records") if found is not None else []:
        start = (row["material"], row["structure"], f"{row['temperature_K']:g}")
        if not np.isnan(row[D]):
            yield *start, f"{row[D]:.2e}", _interval(row, D, ".2e")
        elif not np.isnan(row[f"{D}_upper95"]):
            yield *start, f"< {row[f'{D}_upper95']:.1e} (95 %)", row["status"]
        else:
            yield *start, "not resolved", row["status"]


def _barriers(campaign: Campaign) -> Iterator[tuple[object, ...]]:
    fits = campaign.tables.get("arrhenius")
    rows = [] if fits is None else fits[fits["method"].isin({"tracer", "regions"})].to_dict("records")
    for row in rows:
        where = "bulk" if row["kind"] == "bulk" else f"{row['boundary']}, {row['region']}, {row['direction']}"
        if row["status"] == "resolved":
            value = f"{row['activation_energy_eV']:.3f}"
            yield row["material"], where, value, _interval(row, "activation_energy_eV", ".3f")
        else:
            yield row["material"], where, "not resolved", row["status"].removeprefix("not resolved: ")


def _ratios(campaign: Campaign) -> Iterator[tuple[object, ...]]:
    found = campaign.tables.get("diffusivity")
    rows = [] if found is None else boundary_ratio_data(found, None).to_dict("records")
    for row in rows:
        by = f"{row['method']}, {row['direction']}"
        start = (row["material"], row["boundary"], f"{row['temperature_K']:g}", by, row["over"])
        if row["status"] == "resolved":
            yield *start, f"{row['ratio']:.2f}", _interval(row, "ratio", ".2f")
        elif row["status"] == "lower bound":
            yield *start, f"> {row['ratio_lower95']:.2f} (95 %)", "bulk does not diffuse within the run"
        else:
            yield *start, "not resolved", row["status"].removeprefix("not resolved: ")


def _interval(row: dict[str, float], name: str, digits: str) -> str:
    return f"{row[f'{name}_lo68']:{digits}} to {row[f'{name}_hi68']:{digits}}"


def _effective(campaign: Campaign) -> Iterator[tuple[object, ...]]:
    """The smallest and the largest grains of every material and temperature."""
    found = campaign.tables.get("effective_diffusivity")
    if found is None:
        return
    key = ["anion", "exchange_percent", "temperature_K"]
    for (anion, exchange, temperature), rows in found[found["tessellation"] == 0].groupby(key, sort=True):
        ordered = rows.sort_values("grain_size_nm")
        for row in (ordered.iloc[0], ordered.iloc[-1]):
            error = row[["discretization_error", "model_error"]].fillna(0).sum()
            ratio = row["D_eff_cm2_per_s"] / row["D_bulk_cm2_per_s"]
            values = (f"{row['D_eff_cm2_per_s']:.2e}", f"{100 * error:.1f} %", f"{ratio:.3g}")
            yield anion, f"{exchange:g}", f"{temperature:g}", f"{row['grain_size_nm']:.0f}", *values


def _source_of_pairs(campaign: Campaign) -> str:
    given = campaign.config.continuum.diffusivity
    source = f"the file {given.name}" if given else "published values (Ou et al., Nat. Commun. 17, 8726 (2026))"
    return f"Bulk and boundary diffusivities that they are computed from: {source}.\n\n"
