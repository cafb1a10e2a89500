"""The continuum stage as a campaign: from a table of diffusivities to the tables of the stage, with nothing else."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from argyro.config.load import ROOT

SETTINGS = """
campaign: test
continuum:
  diffusivity: PAIRS
  microstructures: [{name: few, grains: 3, seed: 1, tessellations: 2}]
  temperatures_K: [400]
  size_min_nm: 6
  size_max_nm: 600
  sizes_per_decade: 1
  max_voxels: 24
  map_contrasts_per_decade: 1
"""
PAIRS = """# anion,exchange and so on
anion,exchange_percent,region,Ea_eV,D0_1e-7_cm2_per_s
Cl,0,bulk,0.38,2.9e4
Cl,0,gb,0.32,2.4e4
Br,100,bulk,0.34,3.2e4
"""


@pytest.mark.long
def test_tables_come_from_a_table_of_diffusivities_alone(run: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text(PAIRS)
    settings = SETTINGS.replace("PAIRS", str(tmp_path / "pairs.csv"))
    run("continuum", settings=settings)
    folder = tmp_path / "results/test"
    table = pd.read_parquet(folder / "continuum/effective_diffusivity.parquet")
    assert len(table) == 2 * 3
    assert set(table["engine"]) == {"voxel", "interface"}
    assert (table["tessellations"] == 2).all()
    assert table["tessellation_scatter"].notna().all()
    assert (table["grain_interior_nm"] < table["grain_size_nm"]).all()
    # Fast boundaries: between grains and boundaries, and the more the smaller grains are
    assert (table["D_eff_cm2_per_s"] > table["D_bulk_cm2_per_s"]).all()
    assert (table["D_eff_cm2_per_s"] < table["D_gb_par_cm2_per_s"]).all()
    for _, curve in table.groupby("tessellation"):
        assert (np.diff(curve.sort_values("grain_size_nm")["D_eff_cm2_per_s"]) < 0).all()
    skipped = pd.read_csv(folder / "continuum/skipped.csv")
    assert skipped.to_dict("records") == [{"anion": "Br", "exchange_percent": 100.0, "reason": "no row of gb"}]
    assert len(pd.read_parquet(folder / "continuum/few/map.parquet")) == 3 * 5
    assert not (folder / "structures").exists()
    assert "Nothing to be done" in run("continuum", settings=settings)


def test_published_curves_are_one_target_with_settings_of_their_own(planned: Callable[..., dict[str, int]]) -> None:
    assert planned("published_continuum") == {
        "draw_grains": 1,
        "find_crossovers": 1,
        "map_contrasts": 1,
        "published_continuum": 1,
        "solve_interface": 1,
        "solve_voxels": 1,
        "tabulate_continuum": 1,
    }


def test_stage_runs_without_md_potentials_or_lammps() -> None:
    """Imports of what its jobs import do not load them."""
    scripts = (ROOT / "scripts/continuum").glob("*.py")
    modules = sorted(
        {line.split()[1] for path in scripts for line in path.read_text().splitlines() if "argyro" in line}
    )
    modules = [module for module in modules if module.startswith("argyro.")]
    code = f"import {', '.join(modules)}, sys; print([m for m in ('lammps', 'mtpcore', 'torch') if m in sys.modules])"
    process = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


def test_wrong_pairs_stop_the_campaign_with_the_reason(run: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text(PAIRS.replace("2.9e4", "-2.9e4"))
    output = run("continuum", settings=SETTINGS.replace("PAIRS", str(tmp_path / "pairs.csv")), status=2)
    assert "continuum.diffusivity" in output
    assert "Cl 0 % bulk: D0 is -0.0029" in output
