"""On a GPU all runs of a structure are one job."""

from collections.abc import Callable
from pathlib import Path

TEACHER = Path(__file__).parents[2] / "config/reference/teacher/Cl.mtp"
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
  engine: gpu
  temperatures_K: [600, 800]
  replicas: 3
"""


def test_runs_of_a_structure_are_one_job_that_asks_for_a_gpu(planned: Callable[..., dict[str, int]]) -> None:
    jobs = planned("dynamics/runs.parquet", settings=SETTINGS)
    assert jobs["run_dynamics"] == 2  # bulk and a bicrystal, 2 temperatures and 3 replicas each
    assert jobs["tabulate_runs"] == 1
    one_by_one = planned("dynamics/runs.parquet", "--config", "dynamics.engine=lammps", settings=SETTINGS)
    assert one_by_one["run_dynamics"] == 12
    assert {rule: n for rule, n in jobs.items() if rule != "run_dynamics"} == {
        rule: n for rule, n in one_by_one.items() if rule != "run_dynamics"
    }
