"""Trials of a teacher tell what became of a run, whatever that was."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.units import kB

from argyro.config.materials import Material
from argyro.config.reference import TrialConfig
from argyro.config.structures import DistanceLimits
from argyro.md.lammps import PotentialFile
from argyro.reference.dynamics import Trial, barrier_table, run_trial, trial_report, trial_table

ROOT = Path(__file__).parents[2]
TEACHER = PotentialFile(ROOT / "config/reference/teacher/Cl-12.mtp", ("Li", "P", "S", "Cl"))
PUBLISHED = ROOT / "config/reference/published_diffusivity.csv"
SHORT = TrialConfig(equilibration_ps=1.0, production_ps=2.0)


def test_trial_that_flies_apart_is_reported_with_its_reason_and_no_folder(tmp_path: Path) -> None:
    trial = Trial(Material(id="Li6PS5Cl-0", formula="Li6PS5Cl", anion="Cl"), "bulk", 100_000.0)
    result = run_trial(trial, TEACHER, SHORT, DistanceLimits(), tmp_path / "trial", seed=1)
    report = trial_report(trial, result, PUBLISHED)
    assert report["status"] == "burst"
    assert report["atoms"] == 416
    assert 15 < report["volume_per_atom_angstrom3"] < 25
    assert report["diffusion"] == {"diffusive": "the run ended early"}
    (row,) = trial_table([report]).to_dict("records")
    assert "the run ended early" in row["violations"]
    assert "below min_dist 1.1500 of Cl-12.mtp" in row["violations"]
    assert str(ROOT) not in row["violations"]


def report(
    temperature_K: float, exchange_percent: float = 0.0, kind: str = "bulk", barrier_eV: float = 0.4
) -> dict[str, Any]:
    """Of a trial whose lithium diffuses as Arrhenius says."""
    D = 1e-3 * np.exp(-barrier_eV / (kB * temperature_K))
    diffusion = {"diffusive": "yes", "D_cm2_per_s": D, "D_cm2_per_s_lo68": 0.95 * D, "D_cm2_per_s_hi68": 1.05 * D}
    return {
        "material": f"Li6PS5Cl-{exchange_percent:g}",
        "anion": "Cl",
        "exchange_percent": exchange_percent,
        "kind": kind,
        "temperature_K": temperature_K,
        "mean_temperature_K": {"value": temperature_K, "error": 0.5},
        "diffusion": diffusion,
    }


def test_barrier_is_that_of_runs_whose_lithium_diffuses_and_not_resolved_below_three() -> None:
    trapped = report(300.0) | {"diffusion": {"diffusive": "too few hops", "D_upper95_cm2_per_s": 1e-6}}
    ordered = [report(k) for k in (1000.0, 850.0, 925.0)]
    boundary = [report(k, kind="bicrystal", barrier_eV=2.0) for k in (850.0, 1000.0)]
    exchanged = [report(k, exchange_percent=50.0) for k in (700.0, 1000.0)]
    first, second = barrier_table([trapped, *ordered, *boundary, *exchanged], PUBLISHED, seed=1).to_dict("records")
    assert first["material"] == "Li6PS5Cl-0"
    assert first["temperatures_K"] == "850 925 1000"
    assert abs(first["Ea_eV"] - 0.4) < 0.01
    # Errors of 5 % in D at these temperatures, by the textbook's formula for a straight line
    inverse = 1 / (kB * np.array([850.0, 925.0, 1000.0]))
    error = 0.05 / np.sqrt(((inverse - inverse.mean()) ** 2).sum())
    assert (first["Ea_eV_hi68"] - first["Ea_eV_lo68"]) / 2 == pytest.approx(error, rel=0.05)
    assert first["published_Ea_eV"] == pytest.approx(0.384, abs=0.02)
    assert "needs 3 resolved ones" in second["not_resolved"]
    assert np.isnan(second["Ea_eV"])


def test_ordered_bulk_alone_has_runs_for_its_barrier() -> None:
    materials = [
        Material(id=f"Li6PS5Cl-{x}", formula="Li6PS5Cl", anion="Cl", exchange_percent=float(x)) for x in (0, 25, 50)
    ]
    settings = TrialConfig(temperatures_K=(300, 1000), barrier_temperatures_K=(850, 1000))
    runs = [(material.id, kind, temperature) for material, kind, temperature in settings.runs(materials)]
    assert sorted(runs) == sorted(
        [("Li6PS5Cl-0", "bulk", k) for k in (300, 850, 1000)]
        + [("Li6PS5Cl-50", "bulk", k) for k in (300, 1000)]
        + [("Li6PS5Cl-0", "bicrystal", k) for k in (300, 1000)]
    )
