"""What the report begins with, and what is told of where results come from."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_parts

from argyro.campaign.checks import checks
from argyro.campaign.crate import crate
from argyro.campaign.manifest import content_hash, manifest
from argyro.campaign.overview import overview, read_campaign
from argyro.campaign.rst import escaped, table
from argyro.campaign.statements import Statement, statements
from argyro.campaign.timing import PLAN, plan_and_actual, stage_time
from argyro.campaign.unresolved import unresolved
from argyro.common.files import write_json
from argyro.config.figures import FiguresConfig
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
                "repeat": 0,
                "replica": 1,
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
    table_ = pd.DataFrame([row("Cl", 600, 1e-6), row("I", 700, -1e-5), row("I", 800, -1e-5, repeat=1)])
    found = list(unresolved({"diffusivity": table_, "runs": pd.DataFrame({"reason": ["a", ""]})}))
    first = ("diffusivity", "Li6PS5I-bulk: 700 K, cell, mean, tracer", "not diffusive: too short")
    assert found == [first, (first[0], "Li6PS5I-bulk, potential 1: 800 K, cell, mean, tracer", first[2])]


def test_unresolved_rows_of_a_structure_and_reason_are_told_together_and_completely() -> None:
    rows = [row("I", float(T), -1e-5, width_angstrom=10.0) for T in range(100)]
    ((_, text, _),) = unresolved({"diffusivity": pd.DataFrame(rows)})
    assert text == "Li6PS5I-bulk: " + "; ".join(f"{T} K, cell, mean, tracer, width 10 angstrom" for T in range(100))


def test_crossovers_skipped_materials_and_energies_without_interval_are_not_resolved_either() -> None:
    crossover = pd.DataFrame(
        {"anion": "I", "exchange_percent": 0.0, "grain_size_nm": [20.0, 63.2], "microstructure": "m"}
    )
    crossover["reason"] = ["", "none in the range"]
    skipped = pd.DataFrame({"anion": ["Br"], "exchange_percent": [100.0], "reason": ["no row of gb"]})
    energies = pd.DataFrame({"structure": ["a-S3-c0", "b-S3-c0"], "boundary": "S3", "repeat": 0})
    energies["resolved"] = [True, False]
    found = list(unresolved({"crossover": crossover, "skipped": skipped, "boundaries": energies}))
    assert found[0] == ("crossover", "I, 0 %: grains of 63 nm, m", "none in the range")
    assert found[1] == ("skipped", "Br, 100 %", "no row of gb")
    assert found[2][:2] == ("boundaries", "b-S3-c0")
    assert "single relaxation" in found[2][2]
    assert len(found) == 3


def test_every_failed_check_is_named_by_run(tmp_path: Path) -> None:
    labels = pd.DataFrame({"set": "a-seeds", "status": ["ok", "rejected"], "message": ["", "a force of 30"]})
    ledger = pd.DataFrame(
        {
            "system": "LiPSCl", "repeat": [0, 0, 1], "level": [6, 8, 6], "round": [1, 0, 3],
            "labels_accepted": [4, 5, 6], "labels_rejected": [0, 2, 0], "labels_rejected_because": ["", "2 forces", ""],
            "converged": [False, True, False], "reason": ["", "", "the limit of rounds"],
        }
    )  # fmt: skip
    boundaries = pd.DataFrame({"structure": ["x", "y", "z"], "repeat": 0, "converged": [True, False, True]})
    boundaries["broken_units"] = [0, 0, 3]
    write_json(tmp_path / "structures/good.json", {"name": "good", "violations": []})
    write_json(tmp_path / "structures/bad.json", {"name": "bad", "violations": ["charge 1"]})
    write_json(tmp_path / "structures/good.microstructure.json", {"name": "grains"})
    tables = {"labels": labels, "ledger": ledger, "boundaries": boundaries, "runs": runs(0, 1, 0)}
    found = {check.name.partition(":")[0]: check for check in checks(tmp_path, tables)}
    assert {name: (check.passed, check.failures) for name, check in found.items()} == {
        "structures": (1, (("bad", "['charge 1']"),)),
        "labels of seeds": (1, (("a structure of a-seeds", "rejected: a force of 30"),)),
        "labels of learning": (15, (("2 of LiPSCl, potential 0, level 8, round 0", "2 forces"),)),
        "potentials": (1, (("LiPSCl, potential 1, level 6, round 3", "the limit of rounds"),)),
        "relaxed boundaries": (1, (("y, potential 0", "not converged"), ("z, potential 0", "3 rigid units broke"))),
        "runs": (2, (("s1, potential 0, 600 K, replica 1", "a bond broke"),)),
    }
    assert list(checks(tmp_path / "nowhere", {})) == []


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
    (tmp_path / "benchmarks/dynamics/s-r0-600K-0.tsv").write_text(f"{head}60\t0:01:00\t1\t2\n")
    return tmp_path


def test_page_tells_what_ran_with_times_numbers_and_what_is_not_resolved(folder: Path) -> None:
    page = overview(read_campaign(folder, Config()), {"argyro": "0.1.0"})
    parts = publish_parts(page, writer_name="html", settings_overrides={"halt_level": 2})
    html = " ".join(parts["html_body"].split())
    for text in ("2 runs, 0.16 ns in all", "3.0 min", "4.0 min", "9.00e-07 to 1.10e-06", "&lt; 1.0e-05 (95 %)"):
        assert text in html, text
    assert "Li6PS5I-bulk: 700 K, cell, mean, tracer" in html, "what is not resolved"
    assert "s1, potential 0, 600 K, replica 1" in html
    assert "There is no plan of this campaign" in html
    assert "There is no Arrhenius fit." in html


def test_page_says_that_figures_are_of_shipped_tables(folder: Path) -> None:
    computed, shipped = (
        overview(read_campaign(folder, Config(figures=FiguresConfig(tables=tables))), {})
        for tables in ("computed", "shipped")
    )
    assert "Figures are not of this campaign" in shipped
    assert "Figures are not of this campaign" not in computed


def test_jobs_hold_their_cores_by_the_clock(folder: Path) -> None:
    """Processor time lacks programs that a job starts; of ranks each holds a core."""
    assert stage_time(folder, "dynamics", ranks=1) == (3, 180, 150 + 30 + 60)
    assert stage_time(folder, "dynamics", ranks=4) == (3, 180, 150 + 30 + 4 * 60)
    assert stage_time(folder, "labels", ranks=4) == (0, 0, 0)


def test_plan_stands_against_what_was_used(folder: Path) -> None:
    assert list(plan_and_actual(folder, 1)) == []
    stages = [
        {"stage": "learning", "jobs": 20, "core_hours": 0.1, "exact": False},
        {"stage": "dynamics", "jobs": 3, "core_hours": 0.1, "exact": True},
    ]
    write_json(folder / PLAN, {"stages": stages})
    assert list(plan_and_actual(folder, 1)) == [
        ("learning", "about 20", "0", "0.1", "0", "0.00"),
        ("dynamics", "3", "3", "0.1", "0.0667", "0.67"),
        ("all", "about 23", "3", "0.2", "0.0667", "0.33"),
    ]
    page = overview(read_campaign(folder, Config()), {})
    assert "about 23" in page
    assert "There is no plan" not in page


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
    one = pd.DataFrame({"a": [1.0, 2.0], "seconds": [3.0, 4.0], "fit_wall_s": [1.0, 1.0], "time_s": [2.0, 2.0]})
    assert content_hash(one) == content_hash(one.assign(seconds=9.0, fit_wall_s=0.0, time_s=3.0))
    assert content_hash(one) != content_hash(one.assign(a=[1.0, np.nextafter(2.0, 3.0)]))
    assert content_hash(one) != content_hash(one.rename(columns={"a": "b"}))
    assert content_hash(one.assign(D_cm2_per_s=1.0)) != content_hash(one.assign(D_cm2_per_s=2.0)), "no time"


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
