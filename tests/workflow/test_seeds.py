"""Where labels to begin with come from, in campaigns: molecular dynamics by the labelling backend, or ready files."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from argyro.common.extxyz import read_structures
from argyro.config.load import ROOT

SETTINGS = f"""
campaign: test
materials:
  - {{id: Li6PS5Cl-50, formula: Li6PS5Cl, anion: Cl, exchange_percent: 50}}
structures:
  bulk: {{supercell: [1, 1, 1]}}
  seeds: {{kind: md, md: {{duration_ps: 0.24, seed_every_steps: 20}}}}
labels:
  backend: mtp
  structures_per_job: 1
  mtp: {{potentials: {{LiPSCl: "{ROOT}/config/reference/teacher/Cl-12.mtp"}}}}
learning:
  ladder: [{{level: 4, temperatures_K: [300], duration_ps: 0.1}}]
  fit: {{hops: 0, max_iterations: 3}}
"""
LABELS = "labels/sets/Li6PS5Cl-50-seeds.extxyz"


def test_seeds_of_dynamics_come_with_their_labels_and_only_ready_labels_need_neither(
    run: Callable[..., str], planned: Callable[..., dict[str, int]], tmp_path: Path
) -> None:
    folder = tmp_path / "results/test"
    new = {"check_backend": 1, "sample_seeds": 1, "label": 1, "collect_labels": 1, "join_outcomes": 1, "labels": 1}
    assert planned("labels", settings=SETTINGS) == new
    run("labels", settings=SETTINGS)
    outcomes = pd.read_parquet(folder / "labels/outcomes.parquet")
    assert outcomes["status"].tolist() == ["ok"] * 6
    assert outcomes["reused"].all()
    assert len(read_structures(folder / LABELS)) == 6
    assert planned("labels", settings=SETTINGS) == {}
    assert "sample_seeds" not in planned("labels", "--config", "structures.seeds.count=7", settings=SETTINGS)

    ready = tmp_path / "ready.extxyz"
    (folder / LABELS).rename(ready)
    settings = SETTINGS.replace("kind: md", "kind: none").replace("campaign: test", "campaign: none")
    settings = settings.replace("backend: mtp", f'backend: mtp\n  import: ["{ready}"]')
    assert planned("structures", "labels", settings=settings) == {
        "build_bulk": 1,
        "structures": 1,
        "import_labels": 1,
        "labels": 1,
    }
    run("learning/LiPSCl/r0/l4/0/potential.almtp", settings=settings)
    training = read_structures(tmp_path / "results/none/learning/LiPSCl/r0/l4/0/training.extxyz")
    assert [atoms.info["seed_index"] for atoms in training] == list(range(6))
