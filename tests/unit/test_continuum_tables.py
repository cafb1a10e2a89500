"""Tables of the continuum stage: choice between engines, scatter over tessellations, map and crossovers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase.units import kB

from argyro.config.continuum import ContinuumConfig
from argyro.continuum.cases import CASE, DIFFUSIVITIES, EIGENVALUES, TENSOR, run_interface, run_voxels, with_interiors
from argyro.continuum.contrast_map import contrasts, crossings, crossover_table, make_map, temperature_of
from argyro.continuum.grains import grain_size_nm
from argyro.continuum.pairs import Arrhenius, Pair, read_samples
from argyro.continuum.tables import joined, with_scatter
from argyro.microstructure.generate import draw_microstructure
from argyro.microstructure.model import Microstructure

CELL = np.diag([120.0, 160.0, 160.0])  # angstrom
WIDTH = 3.0
SLABS = ContinuumConfig(size_min_nm=15.0, size_max_nm=150.0, sizes_per_decade=1, gb_width_nm=WIDTH)


def slabs() -> Microstructure:
    """Two layers, 6 nm thick at a grain size of 14.3 nm."""
    drawn = draw_microstructure("slabs", CELL, 2, seed=1)
    return drawn.model_copy(update={"seeds_fractional": ((0.25, 0.5, 0.5), (0.75, 0.5, 0.5))})


def results(engine: str, sizes: list[float], mean: float, error: float, model: float) -> pd.DataFrame:
    """Made-up results of an engine for one material and some sizes."""
    rows = pd.DataFrame({"grain_size_nm": sizes}).assign(
        microstructure="m", tessellation=0, anion="Cl", exchange_percent=0.0, temperature_K=300.0, gb_width_nm=2.5
    )
    numbers = dict.fromkeys(["D_eff_cm2_per_s", *TENSOR, *EIGENVALUES], mean)
    return rows.assign(**numbers, engine=engine, discretization_error=error, model_error=model)


def test_where_both_engines_ran_the_better_one_stays_and_their_difference_is_the_model_error() -> None:
    interface = results("interface", [50.0, 500.0], 1.1, 0.001, 0.05)
    table, comparison = joined(interface, results("voxel", [10.0, 50.0], 1.0, 0.01, 0.0))
    assert table[["grain_size_nm", "engine"]].to_numpy().tolist() == [
        [10.0, "voxel"],
        [50.0, "voxel"],
        [500.0, "interface"],
    ]
    assert table["model_error"].tolist() == [0.0, pytest.approx(0.1), 0.05]
    assert comparison["engine"].tolist() == ["interface", "voxel"]
    assert set(comparison["grain_size_nm"]) == {50.0}
    table, _ = joined(interface, results("voxel", [50.0], 1.0, 0.2, 0.0))
    assert table["engine"].tolist() == ["interface", "interface"]
    assert table["model_error"].tolist() == [pytest.approx(0.1 / 1.1), 0.05]


def test_scatter_is_that_of_tessellations_of_a_case() -> None:
    rows = [results("voxel", [10.0, 20.0], mean, 0.0, 0.0).assign(tessellation=t) for t, mean in enumerate([1.0, 1.2])]
    table = with_scatter(pd.concat(rows, ignore_index=True))
    assert table["tessellations"].tolist() == [2] * 4
    np.testing.assert_allclose(table["tessellation_scatter"], np.std([1.0, 1.2], ddof=1) / 1.1)
    assert with_scatter(rows[0])["tessellation_scatter"].isna().all()


def test_both_engines_find_layers_exactly_and_their_rows_hold_the_whole_tensor() -> None:
    grains = slabs()
    size = grain_size_nm(grains)
    along, across, part = 8e-9, 4e-9, WIDTH / 6
    names = ["anion", "exchange_percent", "temperature_K", "gb_width_nm", "grain_size_nm", *DIFFUSIVITIES]
    cases = pd.DataFrame([["Cl", 0.0, 300.0, WIDTH, size, 1e-9, along, across]], columns=names)
    settings = SLABS.model_copy(update={"voxel_above": 0.5, "voxels_across_fast": 8.0})  # whole voxels on both grids
    expected = {
        "D_xx_cm2_per_s": 1 / ((1 - part) / 1e-9 + part / across),
        "D_yy_cm2_per_s": (1 - part) * 1e-9 + part * along,
        "D_zz_cm2_per_s": (1 - part) * 1e-9 + part * along,
    }
    for table in (run_interface(settings, grains, cases), run_voxels(settings, grains, cases, threads=1)):
        (row,) = table.to_dict("records")
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-6)
        assert row["D_eff_cm2_per_s"] == pytest.approx(sum(row[name] for name in expected) / 3)
        assert [row[name] for name in EIGENVALUES] == pytest.approx(sorted(expected.values()), rel=1e-6)
    assert with_interiors(grains, cases)["grain_interior_nm"].tolist() == [pytest.approx(size * np.cbrt(1 - part))]


def test_contrasts_are_even_in_the_logarithm_with_one_in_the_middle() -> None:
    values = contrasts(ContinuumConfig(map_contrast_max=100.0, map_contrasts_per_decade=2))
    assert values == pytest.approx(np.logspace(-2, 2, 9))
    assert values[4] == 1


def test_map_of_layers_is_their_exact_mean() -> None:
    settings = SLABS.model_copy(update={"voxel_above": 0.5, "map_contrast_max": 10.0})
    table = make_map(settings, slabs(), threads=1)
    part, contrast = WIDTH / 6 * grain_size_nm(slabs()) / table["grain_size_nm"], table["contrast"]
    expected = (2 * (1 - part + part * contrast) + 1 / (1 - part + part / contrast)) / 3
    np.testing.assert_allclose(table["D_eff_over_D_bulk"], expected, rtol=1e-8)
    assert len(table) == 2 * 5


def test_boundaries_have_half_a_share_where_parallel_paths_carry_alike() -> None:
    """Of F = 1 - f + f c, the share f c / F is a half at c = (1 - f) / f."""
    contrast = np.logspace(-3, 3, 25)
    found = crossings(contrast, 0.9 + 0.1 * contrast)
    assert [each.contrast for each in found] == [pytest.approx(9.0, rel=1e-3)]
    assert 0 < found[0].error < 0.05


PAIR = Pair("Cl", 0.0, Arrhenius(0.4, 3e-3), Arrhenius(0.3, 1e-3), Arrhenius(0.3, 1e-3))


def test_crossover_temperature_is_where_the_pair_has_the_contrast() -> None:
    temperature = temperature_of(PAIR, 9.0)
    D_bulk, D_gb, _ = PAIR.at(temperature)
    assert D_gb / D_bulk == pytest.approx(9.0)
    same = Arrhenius(0.3, 1e-3)
    assert not temperature_of(Pair("Cl", 0.0, same, same, same), 2.0) > 0


def test_barrier_at_the_crossover_is_midway_between_grains_and_boundaries() -> None:
    temperature = temperature_of(PAIR, 9.0)
    step = 1e-4
    curve = []
    for inverse in np.array([1 - step, 1 + step]) / (kB * temperature):
        D_bulk, D_gb, _ = PAIR.at(1 / (kB * inverse))
        curve.append(np.log(0.9 * D_bulk + 0.1 * D_gb))
    slope = -(curve[1] - curve[0]) / (2 * step / (kB * temperature))
    assert slope == pytest.approx(0.35, abs=1e-5)


def test_interval_of_a_crossover_is_that_of_the_draws(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = []
    for sample in range(400):
        rows += [("Cl", 0.0, "bulk", 0.4 + rng.normal(0, 0.004), 3e-3, sample), ("Cl", 0.0, "gb", 0.3, 1e-3, sample)]
    columns = ["anion", "exchange_percent", "region", "Ea_eV", "D0_cm2_per_s", "sample"]
    pd.DataFrame(rows, columns=columns).to_parquet(tmp_path / "samples.parquet")
    contrast = np.logspace(-3, 3, 25)
    grid = pd.DataFrame({"contrast": contrast, "D_eff_over_D_bulk": 0.9 + 0.1 * contrast, "grain_size_nm": 50.0})
    samples = read_samples(tmp_path / "samples.parquet")
    (row,) = crossover_table(ContinuumConfig(), grid, [PAIR], samples).to_dict("records")
    # T = (E_gb - E_bulk) / (k ln(...)): 4 % of the difference of barriers is 4 % of T
    assert row["crossover_K"] == pytest.approx(temperature_of(PAIR, 9.0), rel=1e-3)
    assert row["crossover_K_lo68"] == pytest.approx(0.96 * row["crossover_K"], rel=0.01)
    assert row["crossover_K_hi68"] == pytest.approx(1.04 * row["crossover_K"], rel=0.01)
    assert row["samples"] == 400


def test_pair_without_a_crossover_is_listed_with_the_reason() -> None:
    contrast = np.logspace(-3, 3, 25)
    grid = pd.DataFrame({"contrast": contrast, "D_eff_over_D_bulk": 0.9 + 0.1 * contrast, "grain_size_nm": 50.0})
    slow = Pair("Cl", 0.0, Arrhenius(0.3, 3e-3), Arrhenius(0.4, 1e-3), Arrhenius(0.4, 1e-3))
    anisotropic = Pair("Br", 0.0, Arrhenius(0.4, 3e-3), Arrhenius(0.3, 1e-3), Arrhenius(0.35, 1e-3))
    table = crossover_table(ContinuumConfig(), grid, [slow, anisotropic], {})
    assert table["crossover_K"].isna().all()
    assert table["reason"].tolist() == ["none in the range", "boundaries are anisotropic"]
    assert set(CASE[:2]) <= set(table)
