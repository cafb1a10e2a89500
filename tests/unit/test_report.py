"""What the report begins with, and what is told of where results come from."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_parts

from argyro.campaign.crate import crate
from argyro.campaign.manifest import content_hash, manifest
from argyro.campaign.overview import overview, read_campaign
from argyro.campaign.rst import escaped, table
from argyro.campaign.statements import Statement, statements, unresolved
from argyro.config.model import Config

D = "D_cm2_per_s"


def row(
    anion: str, T: float, value: float, *, error: float = 0.1, exchange: float = 0.0, **others: Any
) -> dict[str, Any]:
    """A mean tracer diffusivity; a negative value is an upper bound."""
    known = value > 0
    name = f"Li6PS5{anion}" + (f"-{exchange:g}" if exchange else "")
    return {
        "kind": "bulk", "material": name, "anion": anion, "exchange_percent": exchange, "structure": f"{name}-bulk",
        "boundary": "none", "repeat": 0, "temperature_K": T, "method": "tracer", "region": "cell", "direction": "mean",
        "status": "diffusive" if known else "not diffusive: too short", D: value if known else np.nan,
        "D_error_cm2_per_s": error * value if known else np.nan, "width_angstrom": np.nan,
        f"{D}_lo68": (1 - error) * value if known else np.nan, f"{D}_hi68": (1 + error) * value if known else np.nan,
        f"{D}_lo95": (1 - 2 * error) * value if known else np.nan, f"{D}_upper95": np.nan if known else -value,
        f"{D}_hi95": (1 + 2 * error) * value if known else np.nan,
    } | others  # fmt: skip


def runs(*broken: int) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "structure": f"s{k}",
                "temperature_K": 600.0,
                "broken_bonds": count,
                "incomplete_units": 0,
                "ok": not count,
            }
            | {"violations": "a bond broke" if count else "", "reason": "", "duration_ps": 80.0}
            for k, count in enumerate(broken)
        ]
    )


def verdicts(found: list[Statement]) -> dict[str, str]:
    return {statement.claim: statement.verdict for statement in found}


def judged(claim: str, *rows: dict[str, Any]) -> tuple[str, str]:
    (found,) = [each for each in statements(None, pd.DataFrame(rows)) if claim in each.claim]
    return found.verdict, found.evidence


@pytest.mark.parametrize(
    ("iodide", "chloride", "verdict"),
    [
        (1e-6, 1e-5, "holds"),
        (-1e-6, 1e-5, "holds"),  # an upper bound below the lower end
        (-1e-5, 1e-5, "not resolved"),
        (9e-6, 1e-5, "not resolved"),  # intervals overlap
        (1e-6, -1e-5, "not resolved"),  # an upper bound of the faster one says nothing
        (1e-4, 1e-5, "does not hold"),
    ],
)
def test_iodide_is_slower_only_where_95_percent_bounds_tell(iodide: float, chloride: float, verdict: str) -> None:
    assert judged("slower", row("I", 700, iodide), row("Cl", 700, chloride))[0] == verdict


def test_only_ordered_bulk_at_the_same_temperature_is_compared() -> None:
    rows = [row("I", 700, 1e-6, exchange=50), row("Cl", 700, 1e-5), row("I", 600, 1e-6)]
    assert judged("slower", *rows)[0] == "not resolved"
    rows += [row("I", 700, 1e-6), row("I", 700, 8e-6, structure="another arrangement")]
    assert judged("slower", *rows)[0] == "not resolved", "all arrangements have to agree"


def test_rise_with_temperature_needs_intervals_apart() -> None:
    assert judged("rises", row("Cl", 600, 1e-6), row("Cl", 700, 1e-5))[0] == "holds"
    assert judged("rises", row("Cl", 600, -1e-6), row("Cl", 700, 1e-5))[0] == "holds"
    assert judged("rises", row("Cl", 600, 9e-6), row("Cl", 700, 1e-5))[0] == "not resolved"
    verdict, evidence = judged("rises", row("Cl", 600, 1e-4), row("Cl", 700, 1e-5))
    assert verdict == "does not hold"
    assert "600 to 700 K" in evidence


def test_mobility_is_not_resolved_where_a_material_never_diffuses() -> None:
    assert judged("mobile", row("Cl", 600, 1e-6), row("Cl", 700, -1e-5))[0] == "holds"
    verdict, evidence = judged("mobile", row("Cl", 600, 1e-6), row("I", 700, -1e-5))
    assert verdict == "not resolved"
    assert "Li6PS5I" in evidence


def test_broken_units_are_named() -> None:
    intact, broken = (statements(each, None)[0] for each in (runs(0, 0), runs(0, 2)))
    assert (intact.verdict, broken.verdict) == ("holds", "does not hold")
    assert "1 of 2 runs: s1 at 600 K: 2 bonds broke" in broken.evidence


def test_missing_tables_are_not_resolved() -> None:
    assert set(verdicts(statements(None, None)).values()) == {"not resolved"}


def test_every_unresolved_row_is_told_with_its_reason() -> None:
    table_ = pd.DataFrame([row("Cl", 600, 1e-6), row("I", 700, -1e-5)])
    (found,) = unresolved({"diffusivity": table_, "boundaries": pd.DataFrame({"a": [1]})})
    assert found[0] == "diffusivity"
    assert "Li6PS5I" in found[1]
    assert "700 K" in found[1]
    assert found[2] == "not diffusive: too short"


def test_text_stands_for_itself_in_the_page() -> None:
    text = "a_ *b* |c| `d` {{e}} \\f"
    html = publish_parts(table(["x"], [[text], [""]], "none"), writer_name="html")["body"]
    assert "a_ *b* |c| `d` { {e} } \\f" in html
    assert "{{" not in escaped(text)
    assert table(["x"], [], "none\n").strip() == "none"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A campaign with two tables, a label, a potential and benchmark files."""
    for name in ("transport", "dynamics", "labels", "learning/LiPSCl/r0", "benchmarks/dynamics", "figures"):
        (tmp_path / name).mkdir(parents=True)
    pd.DataFrame([row("Cl", 600, 1e-6), row("I", 700, -1e-5)]).to_parquet(tmp_path / "transport/diffusivity.parquet")
    runs(0, 1).assign(seconds=3.0, seed="7").to_parquet(tmp_path / "dynamics/runs.parquet")
    (tmp_path / "labels/abc.extxyz").write_text("a label")
    (tmp_path / "learning/LiPSCl/r0/potential.almtp").write_text("a potential")
    (tmp_path / "figures/arrhenius.png").write_text("a picture")
    (tmp_path / "config.yaml").write_text("campaign: argyro\n")
    head = "s\th:m:s\tmax_rss\tcpu_time\n"
    (tmp_path / "benchmarks/dynamics/a.tsv").write_text(f"{head}90\t0:01:30\t1\t150\n")
    (tmp_path / "benchmarks/dynamics/b.tsv").write_text(f"{head}30\t0:00:30\t1\tNA\n")
    return tmp_path


def test_page_tells_what_ran_with_times_numbers_and_what_is_not_resolved(folder: Path) -> None:
    page = overview(read_campaign(folder, Config()), {"argyro": "0.1.0"})
    parts = publish_parts(page, writer_name="html", settings_overrides={"halt_level": 2})
    html = " ".join(parts["html_body"].split())
    for text in ("2 runs, 0.16 ns in all", "2.0 min", "2.5 min", "9.00e-07 to 1.10e-06", "&lt; 1.0e-05 (95 %)"):
        assert text in html, text
    assert "not diffusive: too short" in html
    assert "s1 at 600 K: a bond broke" in html
    assert "There is no Arrhenius fit." in html


def test_manifest_holds_hashes_of_labels_potentials_and_tables(folder: Path) -> None:
    found = manifest(folder, Config(seed=5))
    assert found["seed"] == 5
    assert [entry["path"] for entry in found["labels"]] == ["labels/abc.extxyz"]
    # printf 'a label' | sha256sum
    assert found["labels"][0]["sha256"] == "e1da61bb22fcdbad13d1f72dd033ef6c58cda1ad6c45f92ec82d46c5823b15b8"
    assert [entry["path"] for entry in found["potentials"]] == ["learning/LiPSCl/r0/potential.almtp"]
    tables = {entry["path"]: entry for entry in found["tables"]}
    assert tables["dynamics/runs.parquet"]["seeds"] == ["7"]
    assert tables["transport/diffusivity.parquet"]["rows"] == 2
    assert found["software"]["argyro"]


def test_hash_of_a_table_knows_values_but_no_times() -> None:
    one = pd.DataFrame({"a": [1.0, 2.0], "seconds": [3.0, 4.0], "fit_wall_s": [1.0, 1.0]})
    assert content_hash(one) == content_hash(one.assign(seconds=9.0, fit_wall_s=0.0))
    assert content_hash(one) != content_hash(one.assign(a=[1.0, np.nextafter(2.0, 3.0)]))
    assert content_hash(one) != content_hash(one.rename(columns={"a": "b"}))


def test_crate_describes_every_file_and_the_run_that_made_them(folder: Path) -> None:
    """What RO-Crate 1.1 and the profile Workflow Run Crate 0.5 ask for."""
    graph = {entity["@id"]: entity for entity in crate(folder, manifest(folder, Config()))["@graph"]}
    root, workflow, run = graph["./"], graph["Snakefile"], graph["#run"]
    assert graph["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    assert root["mainEntity"] == {"@id": "Snakefile"}
    assert {"File", "SoftwareSourceCode", "ComputationalWorkflow"} == set(workflow["@type"])
    assert run["@type"] == "CreateAction"
    assert run["instrument"] == {"@id": "Snakefile"}
    assert run["object"] == [{"@id": "config.yaml"}]
    parts = {part["@id"] for part in root["hasPart"]}
    results = {"labels/abc.extxyz", "figures/arrhenius.png", "transport/diffusivity.parquet"}
    assert results <= parts
    assert results <= {result["@id"] for result in run["result"]}
    for entity in graph.values():
        for value in entity.values():
            for reference in value if isinstance(value, list) else [value]:
                if isinstance(reference, dict) and "://" not in reference["@id"]:
                    assert reference["@id"] in graph, f"{reference} is described nowhere"
