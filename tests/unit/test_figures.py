"""Figures show what their CSV holds, and published lines at the same temperatures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase.units import kB

from argyro.figures.arrhenius import arrhenius_data, draw_arrhenius
from argyro.figures.boundaries import boundaries_data, draw_boundaries
from argyro.figures.grain_size import draw_grain_size, grain_size_data
from argyro.figures.learning import draw_learning, learning_data
from argyro.figures.style import save_figure
from argyro.transport.table import arrhenius_table

PUBLISHED = Path(__file__).parents[2] / "config/reference/published_diffusivity.csv"


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


def test_only_the_best_candidate_of_a_boundary_is_shown() -> None:
    row = {
        "material": "a", "boundary": "S3", "misorientation_degrees": 70.5, "repeat": 0, "energy_meV_per_angstrom2": 9.0,
        "energy_meV_per_angstrom2_lo68": 8.0, "energy_meV_per_angstrom2_hi68": 10.0, "excess_volume_angstrom": 0.5,
    }  # fmt: skip
    data = boundaries_data(pd.DataFrame([row | {"rank": 0}, row | {"rank": 1, "energy_meV_per_angstrom2": 12.0}]))
    assert data["energy_meV_per_angstrom2"].tolist() == [9.0]
    energies, volumes = draw_boundaries(data, published=True).axes
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
