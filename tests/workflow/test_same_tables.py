"""Same configuration, same machine, same tables: small campaigns in two folders, compared by their manifests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from argyro.common.files import read_json
from argyro.config.load import ROOT

TEACHER = ROOT / "config/reference/teacher/Cl-12.mtp"
COMMON = f"""
campaign: test
materials:
  - {{id: Li6PS5Cl-25, formula: Li6PS5Cl, anion: Cl, exchange_percent: 25}}
structures:
  bulk: {{supercell: [1, 1, 1]}}
  seeds: {{count: 4}}
labels:
  backend: mtp
  mtp: {{potentials: {{LiPSCl: "{TEACHER}"}}}}
"""
LEARNING = """
learning:
  ladder:
    - {level: 4, temperatures_K: [300], duration_ps: 0.1, max_labels: 3, max_rounds: 2, on_limit: continue}
  exploration: {grade_every: 2, max_snapshots: 3}
  fit: {hops: 0, max_iterations: 10, tolerance: 0.01, min_dist_angstrom: 1.4}
"""
RUNS = f"""
learning: {{mode: given, potentials: {{LiPSCl: "{TEACHER}"}}}}
dynamics:
  temperatures_K: [600]
  equilibration_ps: 0.4
  production_ps: 0.8
  all_atoms_frame_ps: 0.1
  segment_ps: 0.4
continuum:
  microstructures: [{{name: few, grains: 3, seed: 1}}]
  sizes_per_decade: 1
  max_voxels: 16
  map_contrasts_per_decade: 1
"""
POTENTIAL = "learning/LiPSCl/r0/potential.almtp"
TABLES = {
    "labels": {"labels/outcomes.parquet"},
    "learning": {"learning/ledger.parquet", "learning/forces.parquet"},
    "dynamics": {"dynamics/runs.parquet"},
    "transport": {"transport/diffusivity.parquet", "transport/arrhenius.parquet"},
    "continuum": {
        "continuum/effective_diffusivity.parquet",
        "continuum/few/map.parquet",
        "continuum/crossover.parquet",
    },
}


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "stages"),
    [(COMMON + LEARNING, ["labels", "learning"]), (COMMON + RUNS, ["dynamics", "transport", "continuum"])],
    ids=["learning", "dynamics"],
)
def test_two_runs_of_a_configuration_give_the_same_tables_labels_and_potentials(
    run_in: Callable[..., str], tmp_path: Path, settings: str, stages: list[str]
) -> None:
    found = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        targets = [table for stage in stages for table in sorted(TABLES[stage])]
        run_in(tmp_path / name, *targets, POTENTIAL, "report", settings=settings)
        found.append(read_json(tmp_path / name / "results/test/manifest.json"))
    one, other = found
    hashes = {entry["path"]: entry["content_sha256"] for entry in one["tables"]}
    assert set().union(*(TABLES[stage] for stage in stages)) <= set(hashes)
    assert hashes == {entry["path"]: entry["content_sha256"] for entry in other["tables"]}
    assert [entry["sha256"] for entry in one["potentials"]] == [entry["sha256"] for entry in other["potentials"]]
    assert [entry["path"] for entry in one["labels"]] == [entry["path"] for entry in other["labels"]]
    assert len(one["potentials"]) == 1
    assert (len(one["labels"]) > 4) == ("learning" in stages), "seeds, and what was learned"
