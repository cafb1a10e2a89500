"""What goes into the continuum stage: materials, pairs, settings, microstructures; wrong input is refused by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ase.units import kB
from pydantic import ValidationError

from argyro.common.errors import ContinuumError, FileError, StructureError
from argyro.common.files import read_json, write_json
from argyro.config.continuum import ContinuumConfig, FieldCase, Grains
from argyro.config.load import ROOT
from argyro.continuum.cases import cases_of, grain_sizes
from argyro.continuum.field_cases import fields_of_case
from argyro.continuum.grains import draw_grains, grain_size_nm, require_narrower, scaled_to
from argyro.continuum.interface import InterfaceEngine
from argyro.continuum.material import GrainBoundaryMaterial
from argyro.continuum.pairs import read_pairs, read_samples
from argyro.continuum.switch import choose
from argyro.continuum.voxel import effective_diffusivity_voxel
from argyro.microstructure.generate import draw_microstructure
from argyro.microstructure.model import read_microstructure, write_microstructure
from argyro.microstructure.tessellation import tessellate

PUBLISHED = ROOT / "config/reference/published_diffusivity.csv"
CUBE = np.eye(3) * 100.0


@pytest.mark.parametrize("name", ["D_bulk", "D_par", "D_perp", "width_nm"])
@pytest.mark.parametrize("value", [-1.0, 0.0, np.nan, np.inf])
def test_diffusivities_and_widths_must_be_positive(name: str, value: float) -> None:
    values = {"D_bulk": 1.0, "D_par": 1.0, "D_perp": 1.0, "width_nm": 1.0} | {name: value}
    with pytest.raises(ContinuumError, match=rf"{name} is {value:g}; it must be a positive"):
        GrainBoundaryMaterial(**values)


def test_boundaries_wider_than_grains_are_refused() -> None:
    microstructure = scaled_to(draw_microstructure("p", CUBE, 3, seed=1), 2.0)
    require_narrower(1.99, microstructure)
    with pytest.raises(ContinuumError, match=r"2.5 nm wide .* grains of 2 nm \(sphere-equivalent diameter\)"):
        require_narrower(2.5, microstructure)
    with pytest.raises(ContinuumError, match=r"2.5 nm wide"):
        InterfaceEngine(microstructure).effective_diffusivity(GrainBoundaryMaterial(1, 2, 2, 2.5), 2.0)


def test_grain_size_is_the_diameter_of_the_sphere_of_the_mean_volume() -> None:
    microstructure = scaled_to(draw_microstructure("p", CUBE, 7, seed=1), 12.0)
    assert grain_size_nm(microstructure) == pytest.approx(12.0)
    assert np.pi / 6 * 120.0**3 == pytest.approx(tessellate(microstructure).volumes.mean())
    for size in (0.0, -1.0, np.inf):
        with pytest.raises(ContinuumError, match="grain size"):
            scaled_to(microstructure, size)


def test_two_seeds_at_one_place_are_refused_by_number() -> None:
    drawn = draw_microstructure("p", CUBE, 3, seed=1)
    first = drawn.seeds_fractional[0]
    twice = drawn.model_copy(
        update={"seeds_fractional": (first, drawn.seeds_fractional[1], (first[0] + 1, *first[1:]))}
    )
    with pytest.raises(StructureError, match="seeds 0 and 2 are at one place"):
        tessellate(twice)


def test_seeds_that_are_not_periodic_are_refused(tmp_path: Path) -> None:
    write_microstructure(tmp_path / "m.json", draw_microstructure("p", CUBE, 3, seed=1))
    write_json(tmp_path / "m.json", read_json(tmp_path / "m.json") | {"pbc": [True, False, True]})
    with pytest.raises(FileError, match="pbc"):
        read_microstructure(tmp_path / "m.json")


def test_published_pairs_are_nine_and_two_are_skipped_for_lack_of_boundaries() -> None:
    pairs, skipped = read_pairs(PUBLISHED)
    assert len(pairs) == 9
    assert skipped.to_dict("records") == [
        {"anion": "Br", "exchange_percent": 100.0, "reason": "no row of gb"},
        {"anion": "I", "exchange_percent": 100.0, "reason": "no row of gb"},
    ]
    published = pd.read_csv(PUBLISHED, comment="#").set_index(["anion", "exchange_percent", "region"]).sort_index()
    for pair in pairs:
        D_bulk, D_par, D_perp = pair.at(300.0)
        at_300 = published.loc[(pair.anion, pair.exchange_percent), "D_300K_1e-7_cm2_per_s"] * 1e-7
        assert D_par == D_perp
        # The published 300 K values and pairs agree within their digits: 0.001 eV is 4 % at 300 K
        np.testing.assert_allclose([D_bulk, D_par], at_300[["bulk", "gb"]], rtol=0.1)


def table_of(tmp_path: Path, rows: list[tuple[Any, ...]], **changes: Any) -> Path:
    columns = ["anion", "exchange_percent", "region", "Ea_eV", "D0_cm2_per_s"]
    path = tmp_path / "pairs.csv"
    pd.DataFrame(rows, columns=columns).rename(columns=changes).to_csv(path, index=False)
    return path


def test_boundaries_may_be_anisotropic(tmp_path: Path) -> None:
    rows = [("Cl", 0, "bulk", 0.3, 1e-3), ("Cl", 0, "gb_par", 0.2, 2e-3), ("Cl", 0, "gb_perp", 0.25, 3e-3)]
    ((pair,), skipped) = read_pairs(table_of(tmp_path, rows))
    assert skipped.empty
    expected = [D0 * np.exp(-Ea / (kB * 500)) for _, _, _, Ea, D0 in rows]
    assert pair.at(500.0) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([("Cl", 0, "bulk", 0.3, -1e-3)], "Cl 0 % bulk: D0 is -0.001"),
        ([("Cl", 0, "bulk", "high", 1e-3)], "Ea_eV must be a number"),
        ([("Cl", 0, "surface", 0.3, 1e-3)], "the region is unknown; allowed: bulk, gb"),
        ([("Cl", 0, "bulk", 0.3, 1e-3), ("Cl", 0, "bulk", 0.2, 1e-3)], "two rows of bulk"),
    ],
)
def test_wrong_pairs_are_refused(tmp_path: Path, rows: list[tuple[Any, ...]], complaint: str) -> None:
    with pytest.raises(ContinuumError, match=complaint):
        read_pairs(table_of(tmp_path, rows))


def test_tables_without_a_column_or_a_file_are_refused(tmp_path: Path) -> None:
    path = table_of(tmp_path, [("Cl", 0, "bulk", 0.3, 1e-3)], Ea_eV="barrier")
    with pytest.raises(FileError, match="has no column Ea_eV"):
        read_pairs(path)
    with pytest.raises(FileError, match="cannot be read"):
        read_pairs(tmp_path / "none.csv")
    with pytest.raises(FileError, match="no column sample"):
        read_samples(PUBLISHED)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"gb_width_nm": 30.0}, "gb_width_nm 30.0 is not below size_min_nm 20.0"),
        ({"size_min_nm": 1e6}, "size_min_nm 1000000.0 is above size_max_nm"),
        ({"interface_below": 0.5}, "interface_below 0.5 is above voxel_above"),
        ({"crossover_min_K": 2000}, "crossover_min_K 2000.0 is not below"),
        ({"microstructures": [{"name": "a", "grains": 3}, {"name": "a", "grains": 4}]}, "'a' is given twice"),
        ({"microstructures": [{"name": "a"}]}, "needs either grains or a file"),
        ({"microstructures": [{"name": "a", "grains": 1001}]}, "less than or equal to 1000"),
        ({"max_voxels": 1024}, "less than or equal to 512"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        ContinuumConfig.model_validate(change)


def test_published_cell_is_there_by_name() -> None:
    (published,) = ContinuumConfig().microstructures
    drawn = draw_grains(published, 0, seed=99)
    assert drawn.seeds_fractional == draw_microstructure("p", CUBE, 27, seed=42).seeds_fractional
    assert grain_size_nm(drawn) == pytest.approx(1.0)


def test_tessellations_differ_and_a_file_gives_its_own(tmp_path: Path) -> None:
    grains = Grains(name="a", grains=5, seed=3, tessellations=2)
    assert draw_grains(grains, 0, 1).seeds_fractional != draw_grains(grains, 1, 1).seeds_fractional
    assert draw_grains(Grains(name="a", grains=5), 0, 1) != draw_grains(Grains(name="a", grains=5), 0, 2)
    given = draw_microstructure("mine", CUBE * 7, 4, seed=5)
    write_microstructure(tmp_path / "m.json", given)
    taken = draw_grains(Grains(name="a", microstructure=tmp_path / "m.json"), 0, 1)
    assert taken.seeds_fractional == given.seeds_fractional


def test_sizes_cover_the_range_with_at_least_so_many_a_decade() -> None:
    sizes = grain_sizes(ContinuumConfig(size_min_nm=5.9, size_max_nm=5000, sizes_per_decade=12))
    assert (sizes[0], sizes[-1]) == (pytest.approx(5.9), pytest.approx(5000))
    assert np.diff(np.log10(sizes)).max() <= 1 / 12
    assert len(sizes) == 37


def test_cases_are_all_materials_temperatures_and_sizes() -> None:
    settings = ContinuumConfig(temperatures_K=(300.0, 600.0), size_min_nm=10, size_max_nm=1000, sizes_per_decade=1)
    cases = cases_of(settings, read_pairs(PUBLISHED)[0])
    assert len(cases) == 9 * 2 * 3
    assert not cases.duplicated().any()


@pytest.mark.parametrize(
    ("size", "contrast", "limit", "interface", "voxels"),
    [
        (1000.0, 10.0, 512, True, False),  # thin boundaries
        (125.0, 10.0, 512, True, False),
        (40.0, 10.0, 256, True, True),  # both
        (40.0, 0.1, 256, True, False),  # both wanted, but ten voxels across would take 387
        (40.0, 0.1, 512, True, True),
        (31.0, 10.0, 256, False, True),  # wide boundaries
        (31.0, 0.1, 256, False, True),  # with as many voxels as there may be, which are fewer than wanted
        (31.0, 0.1, 64, True, False),  # not resolved
    ],
)
def test_engine_is_chosen_by_width_and_size(
    size: float,
    contrast: float,
    limit: int,
    interface: bool,  # noqa: FBT001
    voxels: bool,  # noqa: FBT001
) -> None:
    settings = ContinuumConfig(max_voxels=limit)
    grains = scaled_to(draw_microstructure("p", CUBE, 27, seed=42), size)
    choice = choose(settings, grains, GrainBoundaryMaterial(1.0, contrast, contrast, 2.5))
    assert (choice.interface, choice.voxels > 0) == (interface, voxels)
    if voxels:
        edge = np.linalg.norm(grains.cell, axis=1).min() / 10
        wanted = min((10 if contrast < 1 else 5) * edge / 2.5, limit)
        assert wanted <= choice.voxels <= min(1.15 * wanted + 2, limit)
        assert choice.voxels % 2 == 0


def test_field_cases_need_a_known_material_and_microstructure() -> None:
    case = FieldCase(name="a", anion="F", grain_size_nm=8.0, voxels=32)
    pairs, _ = read_pairs(PUBLISHED)
    with pytest.raises(ContinuumError, match=r"a is of F at 0 % exchange, .* it has Cl 0 %, Cl 25 %"):
        fields_of_case(case, draw_microstructure("p", CUBE, 2, seed=1), pairs, 2.5, threads=1)
    other = {"name": "a", "microstructure": "mine", "anion": "I", "grain_size_nm": 8.0}
    with pytest.raises(ValidationError, match="a is of the microstructure 'mine'; there are published"):
        ContinuumConfig.model_validate({"fields": [other]})
    with pytest.raises(ValidationError, match="direction"):
        FieldCase(name="a", anion="I", grain_size_nm=8.0, direction=(0.0, 0.0, 0.0))


def test_mean_flux_of_a_field_is_the_effective_diffusivity_along_it() -> None:
    case = FieldCase(name="a", anion="I", grain_size_nm=8.0, voxels=24, direction=(0.0, 1.0, 0.0))
    pairs, _ = read_pairs(PUBLISHED)
    pair = next(pair for pair in pairs if (pair.anion, pair.exchange_percent) == ("I", 0.0))
    grains = draw_microstructure("p", CUBE, 2, seed=1)
    fields = fields_of_case(case, grains, pairs, 2.5, threads=1)
    material = GrainBoundaryMaterial(*pair.at(300.0), 2.5)
    found = effective_diffusivity_voxel(tessellate(scaled_to(grains, 8.0)), material, 24)
    along = fields.flux.mean(axis=(0, 1, 2)) @ np.array(case.direction)
    assert along == pytest.approx(found.tensor[1, 1], rel=0.1)  # of one grid, not extrapolated
