"""Bicrystals: the same for the same seed, as large as asked for, and refused with the nearest possible."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from pydantic import ValidationError

from argyro.common.errors import StructureError
from argyro.common.extxyz import read_structure
from argyro.config.materials import Material
from argyro.config.structures import BicrystalsConfig, Boundary, DistanceLimits, Polycrystal, StructuresConfig
from argyro.microstructure.regions import Regions
from argyro.microstructure.tessellation import tessellate
from argyro.structures.bicrystal import bicrystal_microstructure, build_bicrystal
from argyro.structures.output import report_path, write_structure
from argyro.structures.validator import validate

LIMITS = DistanceLimits()
TILT = Boundary(name="tilt", plane=(1, -1, 2), sigma=3)


def material(**settings: Any) -> Material:
    return Material(**({"id": "a", "formula": "Li6PS5Cl", "anion": "Cl"} | settings))


def build(boundary: Boundary = TILT, of: Material | None = None, thickness: float = 8, **settings: Any) -> Atoms:
    settings = {"seed": 1} | settings
    return build_bicrystal(of or material(), boundary, min_grain_angstrom=thickness, limits=LIMITS, **settings)


def test_same_seed_gives_the_same_bicrystal_and_another_seed_another() -> None:
    half = material(exchange_percent=50)
    first, again, other = (build(of=half, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.info == again.info
    assert first != other
    assert (first.positions[first.symbols == "P"] == other.positions[other.symbols == "P"]).all()


@pytest.mark.parametrize("percent", [0, 25, 50, 100])
@pytest.mark.parametrize(
    ("formula", "anion"), [("Li6PS5I", "I"), ("Li6PS5Cl0.5Br0.5", "ClBr"), ("Li5.5PS4.5Cl1.5", "Cl")]
)
def test_composition_is_exact_and_the_grains_grow_as_far_as_it_takes(formula: str, anion: str, percent: float) -> None:
    if formula.startswith("Li5.5") and percent > 50:
        return  # more sulfur than there is outside the tetrahedra
    of = material(formula=formula, anion=anion, exchange_percent=percent)
    report = validate(build(of=of), of, LIMITS)
    assert report.ok
    assert (report.formula_units * percent / 100) % 1 == 0


def test_width_and_thickness_are_at_least_what_is_asked_for() -> None:
    atoms = build(thickness=15, min_width_angstrom=20)
    assert (atoms.cell.lengths()[:2] >= 20).all()
    assert (atoms.cell.lengths()[:2] < 40).all()
    assert 15 <= atoms.info["boundary_z_angstrom"] < 15 + 2.1 + 2
    assert atoms.cell.angles() == pytest.approx([90, 90, 90])


def test_candidates_are_ordered_by_excess_volume() -> None:
    volumes = [build(translation_step_angstrom=2, candidate=k).get_volume() for k in range(3)]
    assert volumes == sorted(volumes)
    assert len(set(volumes)) == 3
    with pytest.raises(StructureError, match=r"different stackings, numbered from 0; there is no number 99"):
        build(translation_step_angstrom=2, candidate=99)


def test_grain_and_distance_arrays_say_where_atoms_are() -> None:
    atoms = build(thickness=20)
    regions = Regions(tessellate(bicrystal_microstructure(atoms, "tilt", 1)))
    region = regions.find(atoms.positions)
    np.testing.assert_allclose(region.distance, atoms.arrays["boundary_distance_angstrom"], atol=1e-6)
    inside = atoms.arrays["boundary_distance_angstrom"] > 3
    assert (region.grain[inside] == atoms.arrays["grain"][inside]).all()
    area = 2 * np.linalg.norm(np.cross(*atoms.cell.array[:2]))
    assert regions.tessellation.boundary_area == pytest.approx(area)


def test_slabs_of_unequal_thickness_meet_where_the_boundaries_are() -> None:
    atoms = build()
    height = atoms.cell.array[2, 2]
    atoms.info["boundary_z_angstrom"] = 0.3 * height
    tessellation = tessellate(bicrystal_microstructure(atoms, "unequal", 1))
    np.testing.assert_allclose(tessellation.volumes / atoms.get_volume(), [0.3, 0.7], atol=1e-9)
    points = np.linspace(0.01, 0.99, 50)[:, None] * [0, 0, height]
    assert (Regions(tessellation).find(points).grain == (points[:, 2] > 0.3 * height)).all()


@pytest.mark.parametrize("name", ["S3_-111", "S11_50.48"])
def test_slabs_of_oblique_cells_are_a_microstructure_too(name: str) -> None:
    boundary = next(b for b in BicrystalsConfig().boundaries if b.name == name)
    atoms = build(boundary, thickness=12)
    tessellation = tessellate(bicrystal_microstructure(atoms, name, 1))
    assert tessellation.boundary_area == pytest.approx(2 * np.linalg.norm(np.cross(*atoms.cell.array[:2])))
    assert tessellation.volumes.sum() == pytest.approx(atoms.get_volume())


def test_file_and_report_hold_what_is_known_of_the_boundary(tmp_path: Path) -> None:
    atoms = build()
    path = tmp_path / "Li6PS5Cl-S3_70.53-c0.extxyz"
    write_structure(path, atoms, validate(atoms, material(), LIMITS), atoms.info)
    written = read_structure(path)
    assert (written.positions == atoms.positions).all()
    assert (written.arrays["grain"] == atoms.arrays["grain"]).all()
    details = json.loads(report_path(path).read_text(encoding="utf-8"))["details"]
    assert details["sigma"] == written.info["sigma"] == 3
    assert details["boundary_z_angstrom"] == written.info["boundary_z_angstrom"]
    assert {"boundaries_equivalent", "charge_e_per_angstrom2", "terminations", "gaps_angstrom"} <= set(details)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"plane": (1, -1, 2), "sigma": 7}, r"rotations about \[1, 1, 0\] give no Sigma 7; .* are 3 and 9"),
        ({"plane": (1, -1, 2), "sigma": 4}, r"give no Sigma 4; the nearest possible are 3 and 9"),
        ({"plane": (1, -1, 2), "angle_degrees": 60}, r"gives no coincidence site lattice; .* 58\.99\d+ and 61\.\d+"),
        ({"plane": (1, -1, 2), "sigma": 3, "angle_degrees": 38.94}, r"of Sigma 3; .* 70\.5288 and 109\.4712"),
    ],
)
def test_impossible_boundary_is_refused_with_the_nearest_possible(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(StructureError, match=complaint):
        build(Boundary(name="none", **settings))


def test_grains_too_thin_for_two_boundaries_are_refused() -> None:
    with pytest.raises(StructureError, match=r"grains of 3 angstrom two boundaries would touch; take 6 or more"):
        build(thickness=3)


def test_impossible_exchange_is_refused_with_the_nearest_possible() -> None:
    with pytest.raises(StructureError, match=r"exchange_percent 0\.37, is not possible .* multiples of \d.* percent"):
        build(of=material(exchange_percent=0.37))


def test_angle_given_to_two_decimals_is_taken_for_the_exact_one() -> None:
    atoms = build(Boundary(name="rounded", plane=(1, -1, 2), angle_degrees=70.53))
    assert atoms.info["misorientation_degrees"] == pytest.approx(70.528779, abs=1e-6)
    assert atoms.info["sigma"] == 3


@pytest.mark.parametrize(
    ("model", "settings", "complaint"),
    [
        (Boundary, {"name": "a", "plane": (0, 0, 0), "sigma": 3}, "no direction"),
        (Boundary, {"name": "a", "plane": (1, -1, 2)}, "give sigma, or angle_degrees"),
        (BicrystalsConfig, {"build": ("publishd",)}, "no boundary or group 'publishd'; there are published"),
        (BicrystalsConfig, {"boundaries": (TILT, TILT)}, "'tilt' is given to several"),
        (Polycrystal, {"name": "a", "grains": 3}, "needs grains and edge_angstrom, or microstructure"),
        (
            Polycrystal,
            {"name": "a", "grains": 3, "edge_angstrom": 9, "microstructure": __file__},
            "leave one of the two",
        ),
        (StructuresConfig, {"polycrystals": [{"name": "a", "grains": 2, "edge_angstrom": 20}] * 2}, "given twice"),
    ],
)
def test_wrong_settings_are_refused(model: Any, settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        model(**settings)


def test_library_holds_the_46_tilt_boundaries_and_the_38_published_ones() -> None:
    def built(*names: str) -> list[Boundary]:
        return BicrystalsConfig(build=names).chosen

    assert len(built("tilt_110")) == 46
    published = built("published")
    assert len(published) == 38
    assert sorted({b.sigma for b in published if b.sigma}) == [
        3, 9, 11, 17, 19, 27, 33, 41, 43, 51, 57, 59, 67, 73, 81, 83, 89, 97, 99
    ]  # fmt: skip
    assert len(BicrystalsConfig().boundaries) == 49
    assert [b.name for b in built("S5_001", "S3_1-12", "S5_001")] == ["S3_1-12", "S5_001"]
    angles = [float(b.name.split("_")[1]) for b in published]
    assert all(any(abs(180 - a - b) < 0.011 for b in angles) for a in angles)
