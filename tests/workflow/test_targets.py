"""Targets beside the stages, each alone: what would be run for it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from argyro.config.load import ROOT

TEACHER = ROOT / "config/reference/teacher/Cl-12.mtp"
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
def test_structures_of_one_kind_are_run_alone_beside_bulk(
    planned: Callable[..., dict[str, int]], target: str, jobs: dict[str, int]
) -> None:
    assert planned(target, settings=SETTINGS) == jobs | TABLES | {target: 1}


def test_target_without_structures_says_which_settings_give_it_some(run: Callable[..., str]) -> None:
    settings = re.sub("  polycrystals.*\n", "", SETTINGS)
    assert "describe one in structures.polycrystals" in run("-n", "polycrystal", settings=settings, status=1)


def test_figures_ask_for_all_stages_they_draw(planned: Callable[..., dict[str, int]]) -> None:
    """Without learning there is nothing of it to draw."""
    jobs = planned("figures", settings=SETTINGS)
    drawn = {rule.removeprefix("draw_") for rule in jobs if rule.startswith("draw_")} - {"grains"}
    assert drawn == {
        "arrhenius", "barriers", "boundaries", "boundary_ratio", "profile", "grain_size", "crossover", "contrast_map",
        "microstructure",
    }  # fmt: skip
    assert jobs["run_dynamics"] == 12
    assert "label" not in jobs


def test_shipped_tables_are_drawn_without_any_other_job(planned: Callable[..., dict[str, int]]) -> None:
    """All figures there are, whatever the campaign itself would run."""
    jobs = planned("figures", "--config", "figures.tables=shipped", settings=SETTINGS)
    assert jobs.pop("figures") == 1
    assert set(jobs) == {f"draw_{path.stem.removeprefix('draw_')}" for path in ROOT.glob("scripts/figures/draw_*.py")}
    assert set(jobs.values()) == {1}


@pytest.mark.long
def test_every_figure_is_drawn_from_shipped_tables(run: Callable[..., str], tmp_path: Path) -> None:
    words = ("figures", "--config", "figures.tables=shipped", "figures.dpi=50")
    run(*words, settings=SETTINGS)
    folder = tmp_path / "results/test"
    names = {path.stem for path in folder.glob("figures/*.png")}
    assert names == {path.stem.removeprefix("draw_") for path in ROOT.glob("scripts/figures/draw_*.py")}
    assert all((folder / f"figures/{name}.{kind}").stat().st_size for name in names for kind in ("pdf", "csv"))
    assert not {path.name for path in folder.iterdir()} & {"structures", "labels", "learning", "dynamics", "transport"}
    assert "Nothing to be done" in run(
        "figures", "--config", "figures.tables=shipped", "figures.dpi=50", settings=SETTINGS
    )
