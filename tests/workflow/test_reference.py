"""The reference campaign from nothing, with a small teacher as the foundation model: killed, it ends the same."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from argyro.common.extxyz import read_structures

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 900  # seconds; far more than any run here takes
KILLS = 4
SETTINGS = f"""
campaign: test
materials:
  - {{id: Li6PS5Cl-0, formula: Li6PS5Cl, anion: Cl}}
  - {{id: Li6PS5Cl-50, formula: Li6PS5Cl, anion: Cl, exchange_percent: 50}}
labels:
  backend: mtp
  mtp: {{potentials: {{LiPSCl: "{ROOT}/config/reference/teacher/Cl-12.mtp"}}}}
  structures_per_job: 8
  gates: {{max_force_eV_per_angstrom: 2000, minimum_distance_angstrom: 1.15}}
reference:
  generations:
    - {{bulk: 10, boundary: 2, carved: 0, contact: 4, level: 6}}
    - {{bulk: 5, boundary: 2, carved: 1, contact: 2, anions: [Br]}}
    - {{bulk: 3, boundary: 2, carved: 1, contact: 2, rattled: 2}}
  sampling: {{run_ps: 0.05, temperatures_K: [300]}}
  teacher: {{labels: sampled, levels: [4, 6], cutoff_angstrom: 5.0, radial_basis_size: 8, ladder_share: 0.5,
    delta: false}}
  trial: {{exchange_percent: [0], temperatures_K: [300], barrier_temperatures_K: [], equilibration_ps: 1,
    production_ps: 2}}
"""
LABELS, TRIALS = "reference/LiPSCl/labels.extxyz.xz", "reference/LiPSCl/teacher/trials.csv"
POTENTIAL = "reference/LiPSCl/teacher/potential.mtp"


def start(folder: Path) -> subprocess.Popen[bytes]:
    """The campaign in a session of its own."""
    settings = folder / "settings.yaml"
    settings.write_text(SETTINGS)
    with (folder / "output").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "argyro.campaign.run", "--configfile", settings, LABELS, TRIALS],
            env=os.environ | {"ARGYRO_RESULTS": str(folder / "results")},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def finish(folder: Path) -> Path:
    """Run to the end; the folder of results."""
    process = start(folder)
    assert process.wait(timeout=TIMEOUT) == 0, (folder / "output").read_text()
    return folder / "results/test"


def test_campaign_from_nothing_gives_labels_and_a_teacher_with_trials_and_killed_gives_the_same(
    tmp_path: Path, kill_all: Callable[[int], None]
) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    undisturbed.mkdir()
    killed.mkdir()
    began = time.monotonic()
    whole = finish(undisturbed)
    took = time.monotonic() - began
    labelled = read_structures(whole / LABELS)
    assert [atoms.info["generation"] for atoms in labelled] == [0] * 16 + [2] * 10
    trials = pd.read_csv(whole / TRIALS)
    assert trials["kind"].tolist() == ["bulk", "bicrystal"]
    assert (trials["atoms"] >= 416).all()

    rng = random.Random(1)
    for _ in range(KILLS):
        process = start(killed)
        time.sleep(rng.uniform(0.2, 1.5) * took / KILLS)
        running = process.poll() is None
        kill_all(process.pid)
        assert process.wait() == (-signal.SIGKILL if running else 0)
    again = finish(killed)
    for file in (LABELS, POTENTIAL, TRIALS):
        assert (again / file).read_bytes() == (whole / file).read_bytes(), file
