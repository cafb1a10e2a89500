"""Targets beside the stages, each alone: what would be run for it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TIMEOUT = 300  # seconds; far more than any dry run takes
TEACHER = Path(__file__).parents[2] / "config/reference/teacher/Cl.mtp"
SETTINGS = f"""
campaign: test
materials:
  - {{id: Li6PS5Cl, formula: Li6PS5Cl, anion: Cl}}
structures:
  bulk: {{supercell: [1, 1, 1], arrangements: 2}}
  bicrystals: {{build: [S3_1-12], min_grain_angstrom: 12}}
  polycrystals: [{{name: nano, grains: 2, edge_angstrom: 30}}]
learning:
  mode: given
  potentials: {{LiPSCl: "{TEACHER}"}}
dynamics:
  temperatures_K: [600, 700, 800]
  relaxation: {{replicas: 1}}
"""


def looked_at(folder: Path, target: str, settings: str = SETTINGS) -> str:
    (folder / "settings.yaml").write_text(settings)
    command = [sys.executable, "-P", "-m", "argyro.campaign.run", "--configfile", str(folder / "settings.yaml")]
    process = subprocess.run(
        [*command, "-n", target],
        env=os.environ | {"ARGYRO_RESULTS": str(folder / "results")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    return process.stdout


def planned(output: str) -> dict[str, int]:
    table = re.search(r"^job +count\n[- ]+\n(.*?)^total", output, re.MULTILINE | re.DOTALL)
    assert table is not None, output
    return {rule: int(count) for rule, count in (line.split() for line in table.group(1).splitlines())}


TABLES = {"tabulate_part": 1, "fit_part": 1, "take_potential": 1}


@pytest.mark.parametrize(
    ("target", "jobs"),
    [
        ("bulk", {"build_bulk": 2, "run_dynamics": 6, "measure_transport": 6}),
        (
            "boundaries",
            {"build_bulk": 2, "build_bicrystal": 1, "relax_structure": 3, "choose_boundary": 1}
            | {"run_dynamics": 9, "measure_transport": 9},
        ),
        (
            "polycrystal",
            {"build_bulk": 2, "build_polycrystal": 1, "relax_structure": 3, "choose_polycrystal": 1}
            | {"run_dynamics": 9, "measure_transport": 9},
        ),
    ],
)
def test_structures_of_one_kind_are_run_alone_beside_bulk(tmp_path: Path, target: str, jobs: dict[str, int]) -> None:
    assert planned(looked_at(tmp_path, target)) == jobs | TABLES | {target: 1}


def test_target_without_structures_says_which_settings_give_it_some(tmp_path: Path) -> None:
    settings = re.sub("  polycrystals.*\n", "", SETTINGS)
    assert "describe one in structures.polycrystals" in looked_at(tmp_path, "polycrystal", settings)


def test_figures_ask_for_all_stages_they_draw(tmp_path: Path) -> None:
    """Without learning there is nothing of it to draw."""
    jobs = planned(looked_at(tmp_path, "figures"))
    drawn = {rule.removeprefix("draw_") for rule in jobs if rule.startswith("draw_")} - {"grains"}
    assert drawn == {
        "arrhenius", "barriers", "boundaries", "boundary_ratio", "profile", "grain_size", "crossover", "contrast_map",
        "microstructure",
    }  # fmt: skip
    assert jobs["run_dynamics"] == 12
    assert "label" not in jobs
