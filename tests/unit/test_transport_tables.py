"""Hops, distributions and tables are what they are of cases that can be counted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.io.cube import read_cube_data

from argyro.common.errors import DynamicsError
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits
from argyro.md.trajectory import Frames, Trajectory, write_trajectory
from argyro.structures.bulk import build_bulk
from argyro.transport.distribution import density_map, radial_distribution, write_density_cube
from argyro.transport.hops import cage_centers, hop_counts, join_hops, places_of, settled_places
from argyro.transport.published import single_origin_diffusivity
from argyro.transport.table import FITTED, arrhenius_table, with_arrangements, with_mixtures

CHLORIDE = Material(id="Li6PS5Cl", formula="Li6PS5Cl", anion="Cl")
CELL = np.eye(3) * 10.0


def stored(path: Path, positions: np.ndarray, elements: list[str], cell: np.ndarray = CELL) -> Trajectory:
    frames = len(positions)
    cells = np.repeat(cell[None], frames, axis=0)
    metadata = {"timestep_ps": 0.002, "elements": elements}
    spans = Frames(50 * np.arange(frames), positions, cells, np.zeros((frames, 3)))
    write_trajectory(path, spans, np.arange(len(elements)), metadata)
    return Trajectory(path)


@pytest.mark.parametrize("percent", [0.0, 50.0])
def test_cages_are_around_the_free_sulfur_sites_and_hold_six_lithium_each(percent: float) -> None:
    material = CHLORIDE.model_copy(update={"exchange_percent": percent})
    atoms = build_bulk(material, (2, 1, 1), lithium_sites="24g", limits=DistanceLimits(), seed=2)
    lattice_constant = float(atoms.cell.lengths()[1])
    centers = cage_centers(atoms, material.rigid_units, "Li", lattice_constant)
    assert len(centers) == 8
    if percent == 0:
        assert set(atoms.symbols[centers]) == {"S"}
    lithium = atoms.positions[atoms.symbols == "Li"]
    places = places_of(lithium[None], atoms.positions[centers], atoms.cell.array)[0]
    assert np.bincount(places // 6, minlength=8).tolist() == [6] * 8
    assert len(set(places.tolist())) == 48, "one at each place"


def test_hops_are_counted_when_ions_stay() -> None:
    places = np.array([[0, 0], [0, 1], [7, 0], [7, 1], [7, 1], [0, 1], [7, 1], [7, 1]])
    assert settled_places(places, 2)[:, 0].tolist() == [0, 0, 0, 7, 7, 7, 7, 7]
    found = join_hops([hop_counts(places[:, k : k + 1], interval_ps=0.5, patience_ps=1.0) for k in (0, 1)])
    assert found.hops_between == 1
    time = 7 * 0.5 * 2
    assert found.between_cages_per_ion_ns == pytest.approx(1 / time * 1000)
    assert found.within_cages_per_ion_ns == pytest.approx(1 / time * 1000)
    assert found.residence_ps == pytest.approx(time)
    assert join_hops([hop_counts(places[:1].repeat(5, axis=0), 0.5)]).residence_ps is None


def test_material_without_cages_is_refused() -> None:
    salt = Atoms("NaCl", positions=[[0, 0, 0], [2.8, 0, 0]], cell=[5.6, 5.6, 5.6], pbc=True)
    with pytest.raises(DynamicsError, match="no rigid units"):
        cage_centers(salt, (), "Na", 5.6)


def test_radial_distribution_of_an_ideal_gas_is_one(tmp_path: Path) -> None:
    positions = np.random.default_rng(0).random((10, 300, 3)) * 10
    trajectory = stored(tmp_path / "a.parquet", positions, ["Li"] * 200 + ["S"] * 100)
    for first, second in (("Li", "Li"), ("Li", "S")):
        _, g = radial_distribution(trajectory, first, second, cutoff=5.0, bins=10)
        np.testing.assert_allclose(g[2:], 1.0, atol=0.06)


def test_density_map_holds_all_ions_where_they_are(tmp_path: Path) -> None:
    positions = np.tile([[1.5, 2.5, 3.5], [1.5, 2.5, -6.5], [9.0, 9.0, 9.0]], (20, 1, 1))
    trajectory = stored(tmp_path / "a.parquet", positions, ["Li", "Li", "S"])
    density, cell = density_map(trajectory, "Li", spacing=1.0)
    assert density.sum() * np.linalg.det(cell) / density.size == pytest.approx(2.0)
    assert np.argwhere(density > 0).tolist() == [[1, 2, 3]]
    write_density_cube(tmp_path / "map.cube", Atoms("S", [[9, 9, 9]], cell=cell, pbc=True), density)
    data, atoms = read_cube_data(str(tmp_path / "map.cube"))
    np.testing.assert_allclose(data, density, atol=1e-5)
    assert len(atoms) == 1


def test_published_protocol_gives_the_slope_from_the_first_frame(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    positions = (rng.normal(size=(500, 2000, 3)) * np.sqrt(2 * 0.05 * 0.1)).cumsum(axis=0)
    trajectory = stored(tmp_path / "a.parquet", positions, ["Li"] * 2000)
    assert single_origin_diffusivity(trajectory, ["Li"]) == pytest.approx(0.05e-4, rel=0.05)


def rows(kind: str, structure: str, values: dict[int, float], **more: float | str) -> list[dict[str, object]]:
    common = {
        "kind": kind,
        "structure": structure,
        "material": "a",
        "anion": "Cl",
        "exchange_percent": 0.0,
        "repeat": 0,
    }
    line = {"method": "tracer", "region": "cell", "direction": "mean", "boundary": "none", "width_angstrom": None}
    return [
        common
        | line
        | {
            "temperature_K": T,
            "mean_temperature_K": float(T),
            "D_cm2_per_s": D,
            "D_error_cm2_per_s": 0.02 * D,
            "D_cm2_per_s_lo68": 0.98 * D,
            "D_cm2_per_s_hi68": 1.02 * D,
            "status": "diffusive",
        }
        | more
        for T, D in values.items()
    ]


def test_mixture_rows_stand_beside_the_cells() -> None:
    bulk = rows("bulk", "a-bulk", {700: 1e-5})
    cell = rows("bicrystal", "a-gb", {700: 2e-5}, boundary="gb", boundary_area_per_volume_per_angstrom=0.02)
    table = with_mixtures(pd.DataFrame(bulk + cell), [10.0, 25.0, 60.0])
    mixed = table[table["method"] == "mixture"].set_index("width_angstrom")
    assert mixed.loc[10.0, "D_cm2_per_s"] == pytest.approx((2e-5 - 0.8e-5) / 0.2)
    assert mixed.loc[25.0, "D_cm2_per_s"] == pytest.approx((2e-5 - 0.5e-5) / 0.5)
    assert "the rule needs 0 to 1" in mixed.loc[60.0, "status"]


def test_line_of_fewer_than_three_temperatures_says_so_and_has_no_value_at_room_temperature() -> None:
    table = pd.DataFrame(rows("bulk", "a-bulk", {700: 1e-5, 850: 2e-5}))
    (row,) = arrhenius_table(table, 300.0, 1).to_dict("records")
    assert row["status"].startswith("not resolved: diffusivities at 2 temperatures")
    assert np.isnan([row[name] for name in FITTED]).all()
    table = pd.DataFrame(rows("bulk", "a-bulk", {600: 1e-5, 700: 2e-5, 850: 4e-5}))
    unresolved, (row,) = set(row), arrhenius_table(table, 300.0, 1).to_dict("records")
    assert set(row) == unresolved, "a table has the same columns whether or not any of its lines was fitted"
    assert row["D_extrapolated_cm2_per_s_lo95"] < row["D_extrapolated_cm2_per_s"] < 1e-5


def test_scatter_of_arrangements_is_in_the_interval_of_their_mean() -> None:
    values = [1.0e-5, 1.2e-5, 1.7e-5]
    table = pd.DataFrame([row for k, D in enumerate(values) for row in rows("bulk", f"a-{k}", {700: D}, replicas=2)])
    (mean,) = with_arrangements(table).query("method == 'arrangements'").to_dict("records")
    assert (mean["structure"], mean["replicas"]) == ("mean of 3", 6)
    assert mean["D_cm2_per_s"] == pytest.approx(1.3e-5)
    assert mean["D_error_cm2_per_s"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(3))
    assert mean["D_cm2_per_s_hi95"] - mean["D_cm2_per_s"] == pytest.approx(4.303 * mean["D_error_cm2_per_s"], rel=1e-3)
    assert len(with_arrangements(table[:1])) == 1, "a single one has no scatter"
    assert len(arrhenius_table(with_arrangements(table), 300.0, 1)) == 1, "means are not fitted once more"
