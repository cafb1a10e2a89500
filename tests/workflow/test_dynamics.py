"""Relaxation and runs as a campaign: tables of all boundaries and runs, and nothing to do afterwards."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from argyro.common.extxyz import read_structure

TEACHER = Path(__file__).parents[2] / "config/reference/teacher/Cl-12.mtp"
SETTINGS = f"""
campaign: test
materials:
  - {{id: Li6PS5Cl, formula: Li6PS5Cl, anion: Cl}}
structures:
  bulk: {{supercell: [1, 1, 1]}}
  bicrystals: {{build: [S3_1-12], min_grain_angstrom: 12, candidates: 2}}
labels:
  backend: mtp
  mtp: {{potentials: {{LiPSCl: "{TEACHER}"}}}}
learning:
  mode: given
  potentials: {{LiPSCl: "{TEACHER}"}}
dynamics:
  temperatures_K: [600, 800]
  equilibration_ps: 0.4
  production_ps: 0.8
  all_atoms_frame_ps: 0.1
  segment_ps: 0.4
  relaxation: {{replicas: 2, warm_ps: 0.2, anneal_ps: 0.2, cool_ps: 0.4, keep: 2}}
"""


def test_every_structure_temperature_and_replica_is_a_job(planned: Callable[..., dict[str, int]]) -> None:
    """1 bulk and 2 candidates relaxed twice; 1 bulk and 2 kept bicrystals run at 2 temperatures, 3 times each."""
    assert planned("dynamics", "--config", "dynamics.replicas=3", settings=SETTINGS) == {
        "build_bulk": 1,
        "build_bicrystal": 2,
        "take_potential": 1,
        "relax_structure": 6,
        "choose_boundary": 1,
        "join_boundaries": 1,
        "run_dynamics": 18,
        "tabulate_runs": 1,
        "collect_snapshots": 1,
        "dynamics": 1,
    }


def test_runs_of_a_structure_on_a_gpu_are_one_job(planned: Callable[..., dict[str, int]]) -> None:
    options = ["--config", "dynamics.engine=gpu", "dynamics.replicas=3", "dynamics.relaxation.keep=1"]
    jobs = planned("dynamics/runs.parquet", *options, settings=SETTINGS)
    assert jobs["run_dynamics"] == 2  # bulk and a bicrystal, 2 temperatures and 3 replicas each
    assert jobs["tabulate_runs"] == 1


@pytest.mark.parametrize(("engine", "jobs", "gpus"), [("lammps", 4, 0), ("kokkos", 4, 1), ("gpu", 2, 1)])
def test_runs_ask_for_what_their_engine_needs(run: Callable[..., str], engine: str, jobs: int, gpus: int) -> None:
    """Of bulk and a bicrystal at two temperatures: a job each, or those of a structure side by side."""
    options = ["--config", f"dynamics.engine={engine}", "dynamics.relaxation.keep=1", "dynamics.ranks=2"]
    output = run("-n", "dynamics/runs.parquet", *options, settings=SETTINGS)
    shown = re.findall(r"^(?:local)?rule run_dynamics:\n((?: +.*\n)+)", output, re.MULTILINE)
    assert len(shown) == jobs
    for text in shown:
        assert re.search(rf"resources: .*\bgpu={gpus}\b", text)
        assert ("threads: 2" in text) == (engine == "lammps")


def test_patterns_choose_what_is_run(planned: Callable[..., dict[str, int]]) -> None:
    jobs = planned("dynamics/runs.parquet", "--config", "dynamics.structures=['*-bulk-*']", settings=SETTINGS)
    assert jobs == {"build_bulk": 1, "take_potential": 1, "run_dynamics": 2, "tabulate_runs": 1}


@pytest.mark.long
def test_tables_hold_all_boundaries_and_runs_and_nothing_is_left_to_do(run: Callable[..., str], tmp_path: Path) -> None:
    run("dynamics", settings=SETTINGS)
    folder = tmp_path / "results/test/dynamics"
    boundaries, runs = pd.read_parquet(folder / "boundaries.parquet"), pd.read_parquet(folder / "runs.parquet")
    assert boundaries["rank"].tolist() == [0, 1]
    assert boundaries["lowest_energy_meV_per_angstrom2"].is_monotonic_increasing
    assert (boundaries["energy_meV_per_angstrom2_lo68"] < boundaries["energy_meV_per_angstrom2_hi68"]).all()
    assert (boundaries["relaxations"] == 2).all()
    assert sorted(set(runs["structure"])) == ["Li6PS5Cl-S3_1-12-k0", "Li6PS5Cl-S3_1-12-k1", "Li6PS5Cl-bulk-1x1x1-a0"]
    assert len(runs) == 6
    assert set(runs["status"]) == {"finished"}
    assert runs["seed"].is_unique
    start = read_structure(folder / "Li6PS5Cl-S3_1-12-k0/r0/start.extxyz")
    assert {"is_boundary", "is_boundary_by_structure", "boundary_distance_angstrom"} <= set(start.arrays)
    assert np.linalg.norm(start.cell[2]) > 24
    assert "Nothing to be done" in run("dynamics", settings=SETTINGS)


@pytest.mark.long
def test_damaged_trajectory_is_found_repeated_and_the_same_as_before(run: Callable[..., str], tmp_path: Path) -> None:
    run("dynamics", settings=SETTINGS)
    trajectory = tmp_path / "results/test/dynamics/Li6PS5Cl-bulk-1x1x1-a0/r0/600K/0/trajectory/mobile.parquet"
    whole = trajectory.read_bytes()
    trajectory.write_bytes(whole[: len(whole) // 2])
    output = run("transport", settings=SETTINGS, status=1)
    assert f"{'/'.join(trajectory.parts[-7:])} is damaged" in output
    assert "start it again" in output
    run("transport", settings=SETTINGS)
    assert trajectory.read_bytes() == whole
    table = pd.read_parquet(tmp_path / "results/test/transport/diffusivity.parquet")
    tracer = table[(table["method"] == "tracer") & (table["direction"] == "mean")]
    assert len(tracer) == 6
    assert tracer["status"].str.startswith("not diffusive").all(), "0.8 ps tell no diffusivity"
    assert tracer["D_cm2_per_s"].isna().all()
    assert (tracer["D_cm2_per_s_upper95"] > 0).all()
    fits = pd.read_parquet(tmp_path / "results/test/transport/arrhenius.parquet")
    assert fits["status"].str.startswith("not resolved").all()
    assert "Nothing to be done" in run("transport", settings=SETTINGS)
