"""Polycrystals keep their chemistry, and their grains are the crystals they are said to be."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from argyro.common.errors import StructureError
from argyro.config.materials import Material
from argyro.config.structures import Boundary, DistanceLimits, Polycrystal
from argyro.microstructure.generate import draw_microstructure
from argyro.microstructure.model import Microstructure
from argyro.microstructure.regions import Regions
from argyro.microstructure.tessellation import tessellate
from argyro.structures.argyrodite import LITHIUM_48H, orbit
from argyro.structures.bicrystal import build_bicrystal
from argyro.structures.crystal import crystal_of
from argyro.structures.polycrystal import BODY_MARGIN, Grains, build_polycrystal, polycrystal_microstructure
from argyro.structures.validator import validate

LIMITS = DistanceLimits()
HALIDES = ("Cl", "Br", "I")
CIF = """data_crystal
_cell_length_a {0}
_cell_length_b {1}
_cell_length_c {2}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M '{3}'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""
THIOPHOSPHATE = (
    CIF.format(12.819, 8.2195, 6.1236, "P n m a")
    + """\
Li1 Li 0.332 0.031 0.387 1.0
Li2 Li 0.0 0.0 0.5 0.7
Li3 Li 0.79 0.25 0.90 0.3
P1 P 0.0878 0.25 0.1646 1.0
S1 S 0.1543 0.0442 0.2732 1.0
S2 S 0.9358 0.25 0.2629 1.0
S3 S 0.1015 0.25 0.8432 1.0
"""
)
"""Like beta-Li3PS4 (Homma et al., Solid State Ionics 182, 53 (2011)), the scarce third lithium in its largest void."""
SULFIDE = CIF.format(5.719, 5.719, 5.719, "F m -3 m") + "S1 S 0 0 0 1\nLi1 Li 0.25 0.25 0.25 1\n"


def argyrodite(halide: str = "Cl", percent: float = 0) -> Material:
    return Material(id=f"Li6PS5{halide}", formula=f"Li6PS5{halide}", anion=halide, exchange_percent=percent)


def cube(edge: float, grains: int, seed: int = 1, **settings: Any) -> Microstructure:
    return draw_microstructure("cube", np.eye(3) * edge, grains, seed=seed, **settings)


def build(of: Material, grains: Microstructure, seed: int = 1, **settings: Any) -> Atoms:
    return build_polycrystal(of, grains, limits=LIMITS, seed=seed, **settings)


def from_cif(folder: Path, name: str, text: str, formula: str, **settings: Any) -> Material:
    path = folder / f"{name}.cif"
    path.write_text(text, encoding="utf-8")
    return Material(id=name, formula=formula, anion="S", cif=path, **settings)


@pytest.mark.parametrize("number", range(20))
def test_twenty_polycrystals_are_sound(number: int) -> None:
    material = argyrodite(HALIDES[number % 3], [0, 25, 50, 75, 100][number % 5])
    spread = 0.15 * (number % 2)
    atoms = build(material, cube(30 + number, 2 + number % 4, number, diameter_spread=spread), number)
    report = validate(atoms, material, LIMITS)
    assert report.ok
    assert report.charge == 0
    assert report.formula_units == report.rigid_units["PS4"]["whole"] == len(atoms) / 13
    assert (report.formula_units * material.exchange_percent / 100) % 1 == 0
    ideal = atoms.get_volume() / (material.cubic_lattice_constant**3 / 4)
    assert 0.7 < report.formula_units / ideal < 1


def test_same_seed_gives_the_same_polycrystal_and_another_seed_another() -> None:
    grains = cube(25, 2)
    first, again, other = (build(argyrodite(percent=50), grains, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_inside_grains_every_atom_is_on_the_lattice_of_its_orientation() -> None:
    material = argyrodite(percent=50)
    edge = material.cubic_lattice_constant
    bound = 0.5 + 2.05 / np.sqrt(3) / edge
    both = np.concatenate([orbit((0.25, 0.25, 0.25)), orbit((0, 0, 0))])
    sites = {
        "P": orbit((0.5, 0.5, 0.5)),
        "S": np.concatenate([orbit((bound,) * 3), both]),
        "Cl": both,
        "Li": orbit(LITHIUM_48H),
    }
    grains = cube(45, 3)
    atoms = build(material, grains)
    region = Regions(tessellate(grains)).find(atoms.positions)
    np.testing.assert_allclose(region.distance, atoms.arrays["boundary_distance_angstrom"])
    inside = region.distance > 5
    assert (region.grain[inside] == atoms.arrays["grain"][inside]).all()
    images = np.array(np.meshgrid(*[(-1, 0, 1)] * 3)).reshape(3, -1).T @ grains.cell
    for grain, rotation in enumerate(grains.rotations):
        mine = inside & (region.grain == grain)
        from_seed = atoms.positions[mine][:, None, :] - grains.seeds[grain] + images
        # Of the images of an atom the one in this grain, not in an image of it
        own = from_seed[np.arange(mine.sum()), np.linalg.norm(from_seed, axis=2).argmin(axis=1)]
        symbols = atoms.symbols[mine]
        phosphorus = own[symbols == "P"][0]
        fractional = (own - phosphorus) @ rotation / edge + 0.5
        assert mine.sum() > 50
        for element, at in zip(symbols, fractional, strict=True):
            missed = at - sites[element]
            assert np.linalg.norm((missed - missed.round()) * edge, axis=1).min() < 1e-6


def test_inside_grains_no_body_is_missing() -> None:
    material = argyrodite()
    grains = cube(60, 2)
    atoms = build(material, grains)
    regions = Regions(tessellate(grains))
    points = np.random.default_rng(0).random((200_000, 3)) * 60
    for depth in (4, 8):
        volume = (regions.find(points).distance > depth).mean() * 60**3
        inside = atoms.arrays["boundary_distance_angstrom"] > depth
        expected = volume / (material.cubic_lattice_constant**3 / 4)
        assert (inside & (atoms.symbols == "P")).sum() == pytest.approx(expected, rel=0.06)
        assert (inside & (atoms.symbols == "Li")).sum() == pytest.approx(6 * expected, rel=0.06)
        assert (inside & (atoms.symbols == "Cl")).sum() == pytest.approx(expected, rel=0.06)


def test_columns_are_perfect_along_their_axis() -> None:
    material = argyrodite()
    settings = Polycrystal(name="columns", grains=3, edge_angstrom=45, column=(1, 1, 0), column_periods=2)
    grains = polycrystal_microstructure(settings, material, lithium_sites="48h", limits=LIMITS, seed=1)
    period = material.cubic_lattice_constant / np.sqrt(2)
    assert grains.cell[2, 2] == pytest.approx(2 * period)
    atoms = build(material, grains)
    inside = (atoms.arrays["boundary_distance_angstrom"] > 5) & (atoms.symbols == "P")
    places = atoms.positions[inside]
    for place in places:
        image = places - place - [0, 0, period]
        image[:, 2] -= np.rint(image[:, 2] / grains.cell[2, 2]) * grains.cell[2, 2]
        assert np.linalg.norm(image, axis=1).min() < 1e-6


def test_columns_that_do_not_fit_the_crystal_are_refused_with_its_period() -> None:
    grains = draw_microstructure("columns", np.diag([40.0, 40, 10]), 3, column=np.array([1.0, 1, 0]), seed=1)
    with pytest.raises(StructureError, match=r"10\.000000 angstrom, which is no period .* 6\.973063 and its multiples"):
        build(argyrodite(), grains)


def test_more_attempts_are_no_less_dense() -> None:
    grains = cube(16, 2)
    counts = [len(build(argyrodite(), grains, attempts=attempts)) for attempts in (1, 5, 20)]
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


@pytest.mark.parametrize(("edge", "percent", "complaint"), [(6, 0, "room for"), (14, 1.3, "exchange such as")])
def test_what_does_not_fit_is_refused(edge: float, percent: float, complaint: str) -> None:
    with pytest.raises(StructureError, match=complaint):
        build(argyrodite(percent=percent), cube(edge, 2))


def test_other_chemistry_with_rigid_units_is_built(tmp_path: Path) -> None:
    material = from_cif(tmp_path, "thiophosphate", THIOPHOSPHATE, "Li3PS4")
    boundary = Boundary(name="twin", axis=None, plane=(1, 1, 0), angle_degrees=180)
    bicrystal = build_bicrystal(material, boundary, min_grain_angstrom=15, limits=LIMITS, seed=1)
    polycrystal = build(material, cube(45, 2))
    for atoms in (bicrystal, polycrystal):
        report = validate(atoms, material, LIMITS)
        assert report.ok
        assert report.rigid_units["PS4"] == {"whole": len(atoms) // 8, "broken": 0}
    # Inside, as many ions as occupancies say, not as many as there is room for, which would be four
    inside = polycrystal.arrays["boundary_distance_angstrom"] > 5
    lithium, phosphorus = (int((inside & (polycrystal.symbols == element)).sum()) for element in ("Li", "P"))
    assert phosphorus > 100
    assert lithium / phosphorus == pytest.approx(3, rel=0.12)
    with pytest.raises(StructureError, match=r"share no cell in the plane \[1, 0, 0\]; with axis: null"):
        build_bicrystal(
            material, boundary.model_copy(update={"axis": (0, 0, 1), "plane": (1, 0, 0), "angle_degrees": 30.0}),
            min_grain_angstrom=15, limits=LIMITS, seed=1,
        )  # fmt: skip


def test_boundaries_of_crystals_with_inversion_are_alike_even_if_planes_differ(tmp_path: Path) -> None:
    asymmetric = Boundary(name="asymmetric", plane=(1, -1, 1), sigma=9, angle_degrees=38.94)
    sulfide = from_cif(tmp_path, "sulfide", SULFIDE, "Li2S", rigid_units=())
    for material, alike in ((sulfide, True), (argyrodite(), False)):
        atoms = build_bicrystal(material, asymmetric, min_grain_angstrom=15, limits=LIMITS, seed=1)
        assert atoms.info["boundaries_equivalent"] == alike
        gaps = atoms.info["gaps_angstrom"]
        assert (gaps[0] == pytest.approx(gaps[1])) == alike


def test_other_chemistry_without_rigid_units_is_built(tmp_path: Path) -> None:
    material = from_cif(tmp_path, "sulfide", SULFIDE, "Li2S", rigid_units=())
    boundary = Boundary(name="twist", axis=(0, 0, 1), plane=(0, 0, 1), sigma=5)
    bicrystal = build_bicrystal(material, boundary, min_grain_angstrom=15, limits=LIMITS, seed=1)
    for atoms in (bicrystal, build(material, cube(25, 3))):
        assert validate(atoms, material, LIMITS).ok


@pytest.mark.long
def test_fifty_thousand_atoms_are_built_and_sound() -> None:
    atoms = build(argyrodite(), cube(100, 5))
    assert len(atoms) > 45_000
    assert validate(atoms, argyrodite(), LIMITS).ok


def test_bodies_beyond_sharp_edges_of_a_grain_stay_near_a_boundary() -> None:
    """Planes a margin beyond two facets that meet at a sharp angle meet far outside, deep in another grain."""
    microstructure = draw_microstructure("sharp", np.eye(3) * 70.0, 20, diameter_spread=0.5, seed=1)
    crystal, tessellation = (
        crystal_of(Material(id="Li6PS5Cl", formula="Li6PS5Cl", anion="Cl"), "48h", LIMITS),
        tessellate(microstructure),
    )
    grains = Grains(crystal, tessellation, np.zeros((20, 3)))
    for body in crystal.framework:
        placed = grains.bodies(body)
        outside = placed.depth < 0
        anchors = placed.positions[outside].mean(axis=1) if body.is_rigid else placed.positions[outside, 0]
        assert outside.any()
        assert Regions(tessellation).find(anchors).distance.max() <= BODY_MARGIN + 0.1
