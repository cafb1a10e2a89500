"""Figures show what their CSV holds, and published lines at the same temperatures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase.units import kB
from matplotlib.image import imread
from matplotlib.markers import CARETDOWNBASE
from scipy.spatial.transform import Rotation

from argyro.config.continuum import ContinuumConfig, Grains
from argyro.continuum.curves import curve_table
from argyro.continuum.grains import draw_grains
from argyro.continuum.pairs import Arrhenius, Pair
from argyro.figures.arrhenius import arrhenius_data, draw_arrhenius
from argyro.figures.barriers import barriers_data, draw_barriers, linear_law
from argyro.figures.boundaries import boundaries_data, draw_boundaries
from argyro.figures.boundary_ratio import boundary_ratio_data, draw_boundary_ratio
from argyro.figures.contrast_map import contrast_map_data, draw_contrast_map
from argyro.figures.crossover import crossover_data, draw_crossover
from argyro.figures.forces import draw_forces, forces_data
from argyro.figures.grain_size import draw_grain_size, grain_size_data
from argyro.figures.learning import draw_learning, learning_data, modes_data
from argyro.figures.microstructure import Picture, draw_microstructure, microstructure_data, orientation_colors
from argyro.figures.profile import boundary_heights, draw_profile, profile_data
from argyro.figures.style import save_figure
from argyro.microstructure.model import Microstructure
from argyro.transport.table import arrhenius_table

REFERENCE = Path(__file__).parents[2] / "config/reference"
PUBLISHED, EXPERIMENTS = REFERENCE / "published_diffusivity.csv", REFERENCE / "experiments.csv"


def diffusivities() -> pd.DataFrame:
    """Two lines of Cl, one of them with an upper bound, and a row of a region that is not shown."""
    rows = []
    for exchange, energy in ((0.0, 0.4), (50.0, 0.2)):
        for T in (600, 700, 850):
            D = 1e-3 * np.exp(-energy / (kB * T))
            rows.append(
                {
                    "kind": "bulk", "structure": f"a-{exchange:g}", "material": f"a-{exchange:g}", "anion": "Cl",
                    "exchange_percent": exchange, "boundary": "none", "repeat": 0, "temperature_K": T,
                    "mean_temperature_K": T + 1.0, "method": "tracer", "region": "cell", "direction": "mean",
                    "width_angstrom": np.nan, "status": "diffusive", "D_cm2_per_s": D, "D_error_cm2_per_s": 0.05 * D,
                    "D_cm2_per_s_lo68": 0.95 * D, "D_cm2_per_s_hi68": 1.05 * D, "D_cm2_per_s_upper95": np.nan,
                }
            )  # fmt: skip
    rows[0] |= {"status": "not diffusive: too short", "D_cm2_per_s_upper95": rows[0]["D_cm2_per_s"]}
    rows[0] |= dict.fromkeys(["D_cm2_per_s", "D_error_cm2_per_s", "D_cm2_per_s_lo68", "D_cm2_per_s_hi68"], np.nan)
    rows.append(rows[1] | {"region": "grain", "method": "regions"})
    return pd.DataFrame(rows)


def test_published_lines_stand_at_the_temperatures_of_the_campaign() -> None:
    data = arrhenius_data(diffusivities(), pd.read_csv(PUBLISHED, comment="#"))
    theirs = data[data["source"] == "published"]
    assert sorted(theirs["temperature_K"]) == [600, 600, 700, 700, 850, 850]
    value = theirs.query("exchange_percent == 0 and temperature_K == 700")["D_cm2_per_s"].item()
    assert value == pytest.approx(2.9e4 * 1e-7 * np.exp(-0.3843 / (kB * 700)), rel=1e-6)
    assert len(data) - len(theirs) == 6, "regions are not shown"
    assert (arrhenius_data(diffusivities(), None)["source"] == "this campaign").all()


def test_figure_and_its_data_are_written_and_the_same_every_time(tmp_path: Path) -> None:
    table = diffusivities()
    data = arrhenius_data(table, pd.read_csv(PUBLISHED, comment="#"))
    fits = arrhenius_table(table, 300.0, 1)
    written = []
    for name in ("one", "other"):
        paths = {kind: tmp_path / f"{name}.{kind}" for kind in ("pdf", "png", "csv")}
        figure = draw_arrhenius(data, fits)
        save_figure(figure, data, paths, dpi=60)
        written.append([path.read_bytes() for path in paths.values()])
    assert written[0] == written[1]
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    assert axes.get_title() == "X = Cl"
    labels = {text.get_text() for text in figure.legends[0].get_texts()}
    assert labels == {"bulk, 0 %", "bulk, 50 %", "published"}
    assert len(pd.read_csv(tmp_path / "one.csv")) == len(data)


def test_points_bars_and_posterior_of_the_arrhenius_plot_are_those_of_the_tables() -> None:
    table = diffusivities()
    (axes,) = draw_arrhenius(arrhenius_data(table, None), arrhenius_table(table, 300.0, 1)).axes
    points = {bars.get_label(): bars for bars in axes.containers if bars.get_label().startswith("bulk")}
    known = table[(table["method"] == "tracer") & (table["exchange_percent"] == 50)]
    line, _, (bars,) = points["bulk, 50 %"].lines
    assert line.get_xdata() == pytest.approx(1000 / known["mean_temperature_K"].to_numpy())
    assert line.get_ydata() == pytest.approx(known["D_cm2_per_s"].to_numpy())
    ends = np.array([segment[:, 1] for segment in bars.get_segments()]).T
    assert ends == pytest.approx(known[["D_cm2_per_s_lo68", "D_cm2_per_s_hi68"]].to_numpy().T)
    (bound,) = [bars for bars in axes.containers if bars.lines[0] is None]
    top = table["D_cm2_per_s_upper95"].max()
    assert bound.lines[1][0].get_marker() == CARETDOWNBASE, "the arrow points down"
    assert bound.lines[2][0].get_segments()[0][:, 1].max() == pytest.approx(top), "from the bound"
    fit = next(each for each in axes.lines if len(each.get_xdata()) == 50)
    slope = np.polyfit(fit.get_xdata() / 1000, np.log(fit.get_ydata()), 1)[0]
    assert -kB * slope == pytest.approx(0.2, abs=0.01)


def test_figure_says_where_its_data_are_from_if_not_from_its_campaign(tmp_path: Path) -> None:
    data = arrhenius_data(diffusivities(), None)
    paths = {kind: tmp_path / f"a.{kind}" for kind in ("pdf", "png", "csv")}
    for origin in ("", "shipped tables"):
        figure = draw_arrhenius(data, arrhenius_table(diffusivities(), 300.0, 1))
        save_figure(figure, data, paths, dpi=40, origin=origin)
        assert figure.get_suptitle() == origin


def test_labels_add_up_through_all_levels_of_each_repeat() -> None:
    ledger = pd.DataFrame(
        {
            "system": ["LiPSCl"] * 5,
            "repeat": [0, 0, 0, 1, 1],
            "level": [8, 6, 6, 6, 8],
            "round": [0, 0, 1, 0, 0],
            "labels_accepted": [2, 10, 5, 7, 1],
            "largest_grade_explored": [3.0, 90.0, 9.0, 80.0, 2.0],
        }
    )
    data = learning_data(ledger)
    first = data[data["repeat"] == 0][["level", "step", "labels"]]
    assert first.to_numpy().tolist() == [[6, 1, 10], [6, 2, 15], [8, 3, 17]]
    assert data[data["repeat"] == 1]["labels"].tolist() == [7, 8]
    assert len(draw_learning(data).axes) == 3


def test_modes_of_learning_stand_beside_each_other() -> None:
    error = "force_rmse_boundary_eV_per_angstrom"
    ends = pd.DataFrame(
        {
            "mode": ["global", "local", "global", "local"],
            "repeat": [0, 0, 1, 1],
            "level": 6,
            "labels": [200, 50, 300, 70],
            "label_cost": [9000, 500, 7000, 900],
            error: [0.08, 0.10, 0.07, 0.11],
        }
    )
    ledger = pd.DataFrame({"system": ["LiPSCl"] * 2, "repeat": 0, "level": 6, "round": [0, 1], "labels_accepted": 9})
    panels = draw_learning(learning_data(ledger), modes_data(ends)).axes[1::2]
    drawn = [[list(line.get_ydata()) for line in axes.lines] for axes in panels]
    assert drawn[0] == [[50, 70], [60, 60], [200, 300], [250, 250]]
    assert drawn[1] == [[500, 900], [700, 700], [9000, 7000], [8000, 8000]]
    np.testing.assert_allclose(drawn[2], [[0.10, 0.11], [0.105, 0.105], [0.08, 0.07], [0.075, 0.075]])


def test_only_the_best_candidate_of_a_boundary_is_shown() -> None:
    row = {
        "material": "a", "boundary": "S3", "misorientation_degrees": 70.5, "repeat": 0, "energy_meV_per_angstrom2": 9.0,
        "energy_meV_per_angstrom2_lo68": 8.0, "energy_meV_per_angstrom2_hi68": 10.0, "excess_volume_angstrom": 0.5,
    }  # fmt: skip
    data = boundaries_data(pd.DataFrame([row | {"rank": 0}, row | {"rank": 1, "energy_meV_per_angstrom2": 12.0}]))
    assert data["energy_meV_per_angstrom2"].tolist() == [9.0]
    energies, volumes, anisotropies = draw_boundaries(data, published=True).axes
    assert anisotropies.texts[0].get_text().startswith("not resolved")
    assert energies.get_ylabel().startswith("energy")
    assert volumes.get_ylabel().startswith("excess")


def test_effective_diffusivities_are_drawn_for_a_few_temperatures() -> None:
    rows = [
        {
            "anion": "Cl", "exchange_percent": 0.0, "temperature_K": T, "gb_width_nm": 2.5, "grain_size_nm": size,
            "D_bulk_cm2_per_s": 1e-9, "D_eff_cm2_per_s": 1e-9 * (1 + 10 / size), "discretization_error": 0.01,
            "model_error": 0.0,
        }
        for T in (300, 400, 500, 600, 700)
        for size in (10.0, 100.0)
    ]  # fmt: skip
    figure = draw_grain_size(grain_size_data(pd.DataFrame(rows)))
    assert [axes.get_title() for axes in figure.axes] == ["300 K", "400 K", "600 K", "700 K"]
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([2.0, 1.1])
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert [band.min(), band.max()] == pytest.approx([0.99 * 1.1, 1.01 * 2.0])


def boundary_rows() -> pd.DataFrame:
    """A bicrystal at 700 K whose bulk does not diffuse, and at 850 K whose bulk does."""
    rows = []
    for T, bulk in ((700, np.nan), (850, 2e-5)):
        common = {"material": "a-0", "anion": "I", "exchange_percent": 0.0, "repeat": 0, "temperature_K": T}
        common |= {"width_angstrom": np.nan, "D_cm2_per_s_upper95": np.nan, "share": 0.1, "z_angstrom": np.nan}
        cell = common | {"kind": "bulk", "boundary": "none", "structure": "a-bulk", "method": "tracer"}
        cell |= {"region": "cell", "direction": "mean", "D_cm2_per_s": bulk, "D_error_cm2_per_s": 0.1 * bulk}
        cell |= {"status": "not diffusive: too short"} if np.isnan(bulk) else {"status": "diffusive"}
        cell |= {"D_cm2_per_s_upper95": 1e-5 if np.isnan(bulk) else np.nan}
        rows.append(cell)
        other = common | {"kind": "bicrystal", "boundary": "S3", "structure": "a-S3-k0", "region": "boundary"}
        other |= {"D_error_cm2_per_s": 4e-6, "D_cm2_per_s_lo95": 3e-5, "D_cm2_per_s": 4e-5, "status": "resolved"}
        rows += [other | {"method": "regions", "direction": each} for each in ("parallel", "perpendicular")]
        rows.append(other | {"kind": "bicrystal", "method": "tracer", "region": "cell", "direction": "mean"})
    return pd.DataFrame(rows).assign(D_cm2_per_s_lo68=3.6e-5, D_cm2_per_s_hi68=4.4e-5)


def test_ratio_of_boundary_and_bulk_has_both_errors_or_is_a_lower_bound() -> None:
    data = boundary_ratio_data(boundary_rows(), pd.read_csv(PUBLISHED, comment="#"))
    mine = data[(data["source"] == "this campaign") & (data["over"] == "bulk") & (data["direction"] == "parallel")]
    cold, hot = (mine[mine["temperature_K"] == T].iloc[0] for T in (700, 850))
    assert (cold["status"], cold["ratio_lower95"]) == ("lower bound", pytest.approx(3e-5 / 1e-5))
    assert np.isnan(cold["ratio"])
    assert hot["ratio"] == pytest.approx(2)
    spread = np.hypot(0.1, 0.1)
    assert [hot["ratio_lo68"], hot["ratio_hi68"]] == pytest.approx([2 * np.exp(-spread), 2 * np.exp(spread)])
    theirs = data[data["source"] == "published"].set_index("temperature_K")["ratio"]
    assert theirs[700] == pytest.approx(2.907e5 / 2.839e5 * np.exp((0.6940 - 0.5891) / (kB * 700)), rel=1e-6)
    assert [axes.get_title() for axes in draw_boundary_ratio(data).axes] == ["700 K", "850 K"]


def test_published_ordered_barriers_follow_the_published_linear_law() -> None:
    """0.80 eV/angstrom (Ou et al., Nat. Commun. 17, 8726 (2026))."""
    published = pd.read_csv(PUBLISHED, comment="#").query("exchange_percent == 0 and region == 'bulk'")
    law = linear_law(published["anion_radius_angstrom"], published["Ea_eV"])
    assert law is not None
    assert law.slope == pytest.approx(0.80, abs=0.005)
    assert linear_law(published["anion_radius_angstrom"][:2], published["Ea_eV"][:2]) is None


def test_error_of_the_law_is_that_of_weighted_least_squares() -> None:
    """Of points at -1, 0, 1 with alike errors e, the slope has the error e / sqrt(2)."""
    law = linear_law(pd.Series([-1.0, 0.0, 1.0]), pd.Series([0.1, 0.3, 0.5]), pd.Series([0.02] * 3))
    assert law is not None
    assert [law.slope, law.error, law.intercept] == pytest.approx([0.2, 0.02 / np.sqrt(2), 0.3])


def test_barriers_that_are_not_resolved_are_named() -> None:
    fits = arrhenius_table(diffusivities(), 300.0, 1)
    data = barriers_data(fits, pd.read_csv(PUBLISHED, comment="#"), pd.read_csv(EXPERIMENTS))
    ordered, exchanged = draw_barriers(data, published=True).axes
    assert "not resolved here: Cl" in ordered.texts[0].get_text()
    assert "linear law not resolved" in ordered.texts[0].get_text()
    assert not exchanged.texts, "50 % is resolved"
    mine = data[(data["source"] == "this campaign") & (data["status"] == "resolved")]
    assert mine["activation_energy_eV"].tolist() == pytest.approx([0.2], abs=0.01)
    assert {"this campaign", "published", "experiment"} == set(data["source"])


def test_profile_marks_the_boundaries_where_the_grains_meet() -> None:
    grains = Microstructure(
        name="two", seed=0, cell_angstrom=((9.0, 0, 0), (0, 9.0, 0), (0, 0, 40.0)),
        seeds_fractional=((0, 0, 0.3), (0, 0, 0.8)), weights_angstrom2=(0.0, 0.0),
        orientations_quaternion=((1, 0, 0, 0), (0, 1, 0, 0)),
    )  # fmt: skip
    assert boundary_heights(grains) == pytest.approx([0.05, 0.55])
    layers = boundary_rows().query("kind == 'bicrystal' and direction == 'parallel' and temperature_K == 850")
    layers = pd.concat([layers.assign(method="profile", z_angstrom=z, width_angstrom=4.0) for z in (2.0, 6.0, 10.0)])
    data = profile_data(pd.concat([boundary_rows(), layers]), [("a-S3-k0", 0, grains)])
    assert data[data["status"] == "boundary"]["z_angstrom"].tolist() == pytest.approx([0.6, 6.6])
    (axes,) = draw_profile(data).axes
    labels = axes.get_legend_handles_labels()[1]
    assert "850 K" in labels
    assert "700 K: not resolved" in labels
    (curve,) = [line for line in axes.lines if line.get_label() == "850 K"]
    assert curve.get_ydata() == pytest.approx([4e-5] * 3)
    marks = [line.get_xdata()[0] for line in axes.lines if line.get_label() == "boundary"]
    assert marks == pytest.approx([0.6, 6.6])


def test_anisotropy_is_shown_beside_energies() -> None:
    row = {
        "material": "a-0", "boundary": "S3", "misorientation_degrees": 70.5, "repeat": 0, "rank": 0,
        "energy_meV_per_angstrom2": 9.0, "excess_volume_angstrom": 0.5,
    }  # fmt: skip
    data = boundaries_data(pd.DataFrame([row]), boundary_rows())
    shown = data.dropna(subset=["D_perp_over_D_par"])
    assert shown["D_perp_over_D_par"].tolist() == [1, 1]
    assert shown["D_perp_over_D_par_hi68"].tolist() == pytest.approx([np.exp(np.hypot(0.1, 0.1))] * 2)
    assert shown["misorientation_degrees"].tolist() == [70.5, 70.5]


def force_rows() -> pd.DataFrame:
    """Two levels, four structures of one kind of which one is fitted to; errors of 0.1 and 0.3 eV/angstrom."""
    rows = []
    for level, error in ((6, 0.3), (8, 0.1)):
        for structure in range(4):
            for label in (-1.0, 0.5, 2.0):
                rows.append({"level": level, "structure": structure, "label_eV_per_angstrom": label})
                rows[-1] |= {"force_eV_per_angstrom": label + error, "fitted": structure == 0}
    return pd.DataFrame(rows).assign(system="LiPSCl", repeat=0, kind="seed")


def test_force_errors_tell_fitted_from_other_structures() -> None:
    data = forces_data(force_rows(), seed=1)
    errors = data[data["shows"] == "errors"].set_index(["level", "fitted"])
    name = "force_rmse_eV_per_angstrom"
    assert errors[name].to_dict() == pytest.approx({(6, True): 0.3, (6, False): 0.3, (8, True): 0.1, (8, False): 0.1})
    assert errors["structures"].to_dict() == {(6, True): 1, (6, False): 3, (8, True): 1, (8, False): 3}
    assert np.isnan(errors.loc[(8, True), f"{name}_lo68"]), "one structure tells no interval"
    parity = data[data["shows"] == "parity"]
    assert parity["components"].sum() == 12, "every component of the last level is counted once"
    upper, lower = draw_forces(data).axes
    counts = np.ma.filled(upper.collections[0].get_array(), 0)
    corners = upper.collections[0].get_coordinates()
    assert counts.sum() == 12
    row, column = np.argwhere(counts)[0]
    assert corners[row, column, 1] > corners[row, column, 0] - 0.1, "forces, above labels by 0.1, are upwards"
    fills = {bars.get_label(): bars.lines[0].get_markerfacecolor() for bars in lower.containers}
    assert fills["seed, not fitted to"] == "none" != fills["seed, fitted to"]


def contrast_maps() -> pd.DataFrame:
    """A made-up map D_eff / D_bulk = contrast^s with s of 0.2 or 0.8 of small and large grains."""
    rows = [
        {"contrast": c, "grain_size_nm": size, "gb_width_nm": 2.5, "D_eff_over_D_bulk": c**share}
        for size, share in ((10.0, 0.8), (1000.0, 0.2))
        for c in 10.0 ** np.arange(-2, 2.1, 0.5)
    ]
    return pd.DataFrame(rows).assign(engine="voxel", discretization_error=0.01, model_error=0.0)


def test_curve_over_temperature_has_the_barrier_that_the_share_of_boundaries_says() -> None:
    """E = E_bulk + s (E_gb - E_bulk)."""
    pair = Pair("I", 0.0, *(Arrhenius(0.5, 1e-3), Arrhenius(0.4, 1e-3), Arrhenius(0.4, 1e-3)))
    curves = curve_table(ContinuumConfig(crossover_min_K=300, crossover_max_K=600), contrast_maps(), [pair])
    for size, share in ((10.0, 0.8), (1000.0, 0.2)):
        curve = curves[curves["grain_size_nm"] == size].dropna(subset=["D_eff_cm2_per_s"])
        slope = np.polyfit(1 / (kB * curve["temperature_K"]), np.log(curve["D_eff_cm2_per_s"]), 1)[0]
        assert -slope == pytest.approx(0.5 - 0.1 * share)
        assert curve["boundary_share"].to_numpy() == pytest.approx(share)
    assert (curves["contrast"] < 100).all(), "all of it is inside the map"
    wide = curve_table(ContinuumConfig(crossover_min_K=150, crossover_max_K=600), contrast_maps(), [pair])
    outside = wide[wide["contrast"] > 100]
    assert len(outside)
    assert outside["D_eff_cm2_per_s"].isna().all()
    assert set(outside["reason"]) == {"contrast outside the map"}


def test_crossover_stands_on_its_curve_and_disordered_phases_have_none() -> None:
    pairs = [
        Pair("I", 0.0, Arrhenius(0.5, 1e-3), Arrhenius(0.4, 1e-3), Arrhenius(0.4, 1e-3)),
        Pair("I", 50.0, Arrhenius(0.2, 1e-3), Arrhenius(0.2, 1e-3), Arrhenius(0.2, 1e-3)),
    ]
    settings = ContinuumConfig(crossover_min_K=300, crossover_max_K=600)
    curves = curve_table(settings, contrast_maps(), pairs).assign(microstructure="cell")
    columns = ["microstructure", "anion", "exchange_percent", "grain_size_nm"]
    crossovers = pd.DataFrame([["cell", "I", 0.0, 10.0, 400.0, ""]], columns=[*columns, "crossover_K", "reason"])
    crossovers = crossovers.assign(crossover_K_lo68=np.nan, crossover_K_hi68=np.nan)
    solved = pd.DataFrame(columns=[*columns, "tessellation", "discretization_error", "model_error"])
    data = crossover_data(curves, solved, crossovers, None)
    star = data[data["source"] == "crossover"].iloc[0]
    assert star["D_eff_cm2_per_s"] == pytest.approx(1e-3 * np.exp(-0.42 / (kB * 400)), rel=1e-2)
    ordered, disordered = draw_crossover(data).axes
    (curve,) = [line for line in ordered.lines if line.get_label() == "grains of 10 nm"]
    at = np.interp(1000 / 400, curve.get_xdata()[::-1], np.log(curve.get_ydata())[::-1])
    assert at == pytest.approx(np.log(star["D_eff_cm2_per_s"]), abs=1e-2), "stars are drawn on lines"
    assert disordered.texts[0].get_text().startswith("no crossover")
    assert not ordered.texts


def test_map_shows_materials_at_their_contrast() -> None:
    table = pd.DataFrame(
        {
            "microstructure": ["cell"] * 2, "anion": ["I", "Cl"], "exchange_percent": [0.0, 50.0],
            "temperature_K": [300.0] * 2, "D_bulk_cm2_per_s": [1e-9, 1e-9], "D_gb_par_cm2_per_s": [5e-9, 1e-10],
            "D_gb_perp_cm2_per_s": [5e-9, 1e-10],
        }
    )  # fmt: skip
    data = contrast_map_data({"cell": contrast_maps()}, table)
    assert data[data["source"] == "material"]["contrast"].tolist() == pytest.approx([5, 0.1])
    assert draw_contrast_map(data).axes[0].get_title() == "cell"


def test_colours_of_orientations_are_those_of_the_standard_triangle() -> None:
    """A crystal whose <100>, <110> or <111> points up is red, green or blue."""
    directions = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 1]])
    rotations = [Rotation.align_vectors([[0, 0, 1]], [d / np.linalg.norm(d)])[0].as_matrix() for d in directions]
    assert orientation_colors(np.array(rotations)) == pytest.approx(np.eye(3), abs=1e-9)


def test_picture_tells_the_volume_of_every_grain(tmp_path: Path) -> None:
    grains = draw_grains(Grains(name="few", grains=4, seed=1), 0, 1)
    data = microstructure_data([Picture("few", grains)])
    assert data["volume"].sum() == pytest.approx(4), "in mean grain volumes"
    assert (data["faces"] >= 4).all()
    figure = draw_microstructure([Picture("few", grains)])
    save_figure(figure, data, {kind: tmp_path / f"a.{kind}" for kind in ("pdf", "png", "csv")}, dpi=40)
    image = imread(tmp_path / "a.png")
    assert (image[..., :3].std(axis=(0, 1)) > 0.05).all(), "something coloured is there"


def test_nothing_to_draw_is_said() -> None:
    """No panel is ever empty, and none fails."""
    nothing = boundary_rows().head(0)
    curves = pd.DataFrame(columns=["microstructure", "anion", "exchange_percent", "grain_size_nm", "reason"])
    for figure in (
        draw_profile(profile_data(nothing, [])),
        draw_boundary_ratio(boundary_ratio_data(nothing, None)),
        draw_crossover(crossover_data(curves, curves, curves, None)),
        draw_forces(forces_data(force_rows().head(0), 1)),
        draw_microstructure([]),
        draw_arrhenius(arrhenius_data(nothing, None), pd.DataFrame()),
    ):
        (axes,) = figure.axes
        assert (
            "not resolved" in axes.texts[0].get_text().replace("\n", " ") or "there is no" in axes.texts[0].get_text()
        )
