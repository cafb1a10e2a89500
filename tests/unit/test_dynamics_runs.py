"""Runs are asked for as the configuration says, and their reports say what became of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

import mtpcore
from argyro.common.extxyz import write_structures
from argyro.common.files import write_json
from argyro.common.tables import write_table
from argyro.config.dynamics import DynamicsConfig, RelaxationConfig
from argyro.config.learning import Rung
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits
from argyro.dynamics.runs import checked, run_dynamics, run_report, run_settings, runs_table
from argyro.dynamics.snapshots import MOST, unknown_snapshots
from argyro.learning.decide import LearningError
from argyro.learning.handed_back import handed_back
from argyro.learning.selection import select_environments
from argyro.md.lammps import PotentialFile
from argyro.md.settings import Ensemble
from argyro.structures.bulk import build_bulk

CHLORIDE = Material(id="Li6PS5Cl", formula="Li6PS5Cl", anion="Cl")
SPECIES = ("Li", "P", "S", "Cl")
TEACHER = PotentialFile(Path(__file__).parents[2] / "config/reference/teacher/Cl-12.mtp", SPECIES)
SHORT = DynamicsConfig(equilibration_ps=0.4, production_ps=0.5, frame_ps=0.1, all_atoms_frame_ps=0.2, segment_ps=0.4)


def test_lengths_are_rounded_up_to_whole_frames_of_all_atoms() -> None:
    settings = run_settings(SHORT, Ensemble("nvt", 700.0), 0.5, CHLORIDE, TEACHER)
    assert settings.steps == 300
    assert [(stream.name, stream.every, stream.elements) for stream in settings.streams] == [
        ("mobile", 50, ("Li",)),
        ("all", 100, None),
    ]
    assert settings.segment_steps == 200
    assert settings.grading is None, "a potential without an active set has no grades"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"frame_ps": 0.1, "all_atoms_frame_ps": 0.25}, "all_atoms_frame_ps 0.25 is no multiple of frame_ps 0.1"),
        ({"segment_ps": 0.5}, "segment_ps 0.5 is no multiple of all_atoms_frame_ps 1"),
        ({"timestep_ps": 0.003}, "frame_ps 0.1 is no multiple of timestep_ps 0.003"),
        ({"select_grade": 30.0}, "select_grade 30 is above stop_grade 20"),
        ({"temperatures_K": []}, "at least 1"),
        ({"replica": 3}, "not permitted"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        DynamicsConfig(**settings)


def test_anneal_has_to_be_hotter_than_where_it_begins() -> None:
    with pytest.raises(ValidationError, match="must be below anneal_temperature_K 100"):
        RelaxationConfig(low_temperature_K=200.0, anneal_temperature_K=100.0)


def test_patterns_choose_structures() -> None:
    names = ["a-bulk-1x1x1-a0", "a-S3-k0", "a-S5-k0"]
    assert DynamicsConfig(structures=("*-bulk-*", "*-S5-*")).chosen(names) == ["a-bulk-1x1x1-a0", "a-S5-k0"]


def run(folder: Path, potential: PotentialFile) -> dict[str, Any]:
    atoms = build_bulk(CHLORIDE, (1, 1, 1), lithium_sites="48h", limits=DistanceLimits(), seed=1)
    result = run_dynamics(atoms, CHLORIDE, potential, SHORT, folder, temperature_K=700.0, coupling="isotropic", seed=3)
    checks = checked(result, CHLORIDE, SHORT.checks, 700.0)
    return run_report(result, checks, CHLORIDE, structure="bulk", temperature_K=700.0)


def test_production_is_run_at_the_mean_cell_of_the_equilibration(tmp_path: Path) -> None:
    report = run(tmp_path, TEACHER)
    assert (report["stage"], report["status"]) == ("production", "finished")
    assert report["duration_ps"] == pytest.approx(0.6)
    assert report["largest_grade"] is None
    assert (tmp_path / "equilibration/run.json").exists()
    write_json(tmp_path / "report.json", report)
    (row,) = runs_table([tmp_path / "report.json"]).to_dict("records")
    assert row["volume_per_atom_angstrom3"] > 15
    assert row["broken_bonds"] == 0


def test_run_that_leaves_what_the_potential_knows_is_marked_and_keeps_what_it_met(tmp_path: Path) -> None:
    """An active set of two frames that differ little: everything else is unknown."""
    atoms = build_bulk(CHLORIDE, (1, 1, 1), lithium_sites="24g", limits=DistanceLimits(), seed=1)
    known = mtpcore.select(mtpcore.read_potential(TEACHER.path), [atoms], species=SPECIES)
    mtpcore.write_potential(tmp_path / "narrow.almtp", known)
    report = run(tmp_path / "run", PotentialFile(tmp_path / "narrow.almtp", SPECIES))
    assert report["status"] == "grade"
    assert report["stage"] == "equilibration"
    assert not report["ok"]
    assert report["largest_grade"] > SHORT.stop_grade
    assert report["snapshots"] > 0
    assert np.isfinite(report["volume_per_atom_angstrom3"])


def test_table_of_runs_that_ended_before_anything_was_checked_can_be_written(tmp_path: Path) -> None:
    write_json(tmp_path / "report.json", {"status": "grade", "checks": {"framework_msd_angstrom2": {}}})
    write_table(tmp_path / "runs.parquet", runs_table([tmp_path / "report.json"]))
    assert pd.read_parquet(tmp_path / "runs.parquet")["status"].tolist() == ["grade"]


def test_what_a_run_did_not_know_is_collected_and_taken_up_by_learning(tmp_path: Path) -> None:
    atoms = build_bulk(CHLORIDE, (1, 1, 1), lithium_sites="24g", limits=DistanceLimits(), seed=1)
    known = mtpcore.select(mtpcore.read_potential(TEACHER.path), [atoms], species=SPECIES)
    mtpcore.write_potential(tmp_path / "narrow.almtp", known)
    report = run(tmp_path / "run", PotentialFile(tmp_path / "narrow.almtp", SPECIES))
    write_json(tmp_path / "run/report.json", report)
    found = unknown_snapshots([tmp_path / "run/report.json"])
    assert len(found) == min(MOST, report["snapshots"])
    assert max(snapshot.info["largest_grade"] for snapshot in found) == pytest.approx(report["largest_grade"])
    write_structures(tmp_path / "copy.extxyz", found)
    (tmp_path / "none.extxyz").touch()
    taken = handed_back([tmp_path / "copy.extxyz", tmp_path / "none.extxyz"], SPECIES, {CHLORIDE.id})
    assert [atoms.info["temperature_K"] for atoms in taken] == [700.0] * len(found)
    selection = select_environments(known, [atoms], taken, SPECIES, rung=Rung(level=6), mode="local")
    assert selection.environments
    assert handed_back([tmp_path / "copy.extxyz"], ("Li", "P", "S", "Br"), {CHLORIDE.id}) == []
    with pytest.raises(LearningError, match=f"is of the material '{CHLORIDE.id}'; it has to name one of other"):
        handed_back([tmp_path / "copy.extxyz"], SPECIES, {"other"})
