"""Trials of a teacher tell what became of a run, whatever that was."""

from pathlib import Path

from argyro.config.materials import Material
from argyro.config.reference import TrialConfig
from argyro.config.structures import DistanceLimits
from argyro.md.lammps import PotentialFile
from argyro.reference.dynamics import Trial, run_trial, trial_report, trial_table

ROOT = Path(__file__).parents[2]
TEACHER = PotentialFile(ROOT / "config/reference/teacher/Cl-12.mtp", ("Li", "P", "S", "Cl"))
SHORT = TrialConfig(equilibration_ps=1.0, production_ps=2.0)


def test_trial_that_flies_apart_is_reported_with_its_reason_and_no_folder(tmp_path: Path) -> None:
    trial = Trial(Material(id="Li6PS5Cl-0", formula="Li6PS5Cl", anion="Cl"), "bulk", 100_000.0)
    result = run_trial(trial, TEACHER, SHORT, DistanceLimits(), tmp_path / "trial", seed=1)
    report = trial_report(trial, result, ROOT / "config/reference/published_diffusivity.csv")
    assert report["status"] == "burst"
    assert report["atoms"] == 416
    assert 15 < report["volume_per_atom_angstrom3"] < 25
    assert report["diffusion"] == {"diffusive": "the run ended early"}
    (row,) = trial_table([report]).to_dict("records")
    assert "the run ended early" in row["violations"]
    assert "below min_dist 1.1500 of Cl-12.mtp" in row["violations"]
    assert str(ROOT) not in row["violations"]
