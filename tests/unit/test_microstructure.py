"""Microstructures: the contract, tessellations, regions, and drawing of grains."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.geometry import get_distances
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.stats import norm, qmc

from argyro.common.errors import FileError, StructureError
from argyro.microstructure.generate import draw_microstructure
from argyro.microstructure.model import Microstructure, read_microstructure, strained, write_microstructure
from argyro.microstructure.regions import Regions, sampled_boundary_fraction
from argyro.microstructure.tessellation import tessellate

CUBE = np.eye(3) * 50.0
TRICLINIC = np.array([[50.0, 0, 0], [10.0, 45.0, 0], [-8.0, 12.0, 55.0]])


def random(count: int, seed: int = 1, cell: Any = CUBE, spread: float = 0.0) -> Microstructure:
    """Grains around random seeds; their weights differ by up to a part of the smallest square distance of seeds."""
    generator = np.random.default_rng(seed)
    seeds = generator.random((count, 3))
    distances = get_distances(seeds @ cell, cell=cell, pbc=True)[1]
    closest = distances[distances > 0].min(initial=50.0)
    return Microstructure(
        name="random",
        seed=seed,
        cell_angstrom=cell.tolist(),
        seeds_fractional=seeds.tolist(),
        weights_angstrom2=(generator.random(count) * spread * closest**2).tolist(),
        orientations_quaternion=Rotation.random(count, rng=generator).as_quat(scalar_first=True).tolist(),
    )


def nearest_by_search(microstructure: Microstructure, points: Any) -> Any:
    """Grains of points, by the power distance to every seed and image."""
    shifts = np.array(list(product(range(-3, 4), repeat=3))) @ microstructure.cell
    best = np.full(len(points), np.inf)
    grain = np.full(len(points), -1)
    for index, (seed, weight) in enumerate(zip(microstructure.seeds, microstructure.weights, strict=True)):
        for shift in shifts:
            power = ((points - seed - shift) ** 2).sum(axis=1) - weight
            grain[power < best] = index
            best = np.minimum(best, power)
    return grain


def test_file_of_a_microstructure_is_what_the_contract_says(tmp_path: Path) -> None:
    microstructure = random(3)
    write_microstructure(tmp_path / "m.json", microstructure)
    content = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert set(content) == {
        "schema", "name", "seed", "cell_angstrom", "pbc", "seeds_fractional", "weights_angstrom2",
        "orientations_quaternion",
    }  # fmt: skip
    assert content["schema"] == "argyro-microstructure/1"
    assert content["pbc"] == [True, True, True]
    assert read_microstructure(tmp_path / "m.json") == microstructure


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema": "argyro-microstructure/2"}, "schema: Input should be"),
        ({"pbc": [True, True, False]}, "pbc.2"),
        ({"weights_angstrom2": [0.0]}, "weights_angstrom2 has 1 members for 3 seeds"),
        ({"orientations_quaternion": [[1, 1, 0, 0]] * 3}, "number 0 is not of length one"),
        ({"cell_angstrom": [[1, 0, 0], [0, 1, 0], [1, 1, 0]]}, "flat or left-handed"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_file_that_breaks_the_contract_is_refused(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    content = random(3).model_dump(mode="json", by_alias=True) | change
    (tmp_path / "m.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(FileError, match=complaint):
        read_microstructure(tmp_path / "m.json")


@given(count=st.integers(1, 20), seed=st.integers(0, 1000), spread=st.sampled_from([0.0, 0.9]), skew=st.booleans())
@settings(deadline=None, max_examples=25)
def test_grains_fill_the_cell_exactly(count: int, seed: int, spread: float, skew: bool) -> None:  # noqa: FBT001
    microstructure = random(count, seed, TRICLINIC if skew else CUBE, spread)
    tessellation = tessellate(microstructure)
    assert tessellation.volumes.sum() == pytest.approx(microstructure.volume, rel=1e-10)
    facets = tessellation.facets
    # A cone over each facet: the volumes once more, and Gauss's theorem of each closed surface
    cones = np.bincount(facets.grain, weights=facets.offset * facets.area / 3, minlength=count)
    np.testing.assert_allclose(cones, tessellation.volumes, rtol=1e-6)
    for grain in range(count):
        mine = facets.grain == grain
        np.testing.assert_allclose(facets.area[mine] @ facets.normal[mine], 0, atol=1e-5 * facets.area.sum())
        heights = np.einsum("fi,fi->f", facets.center[mine], facets.normal[mine])
        np.testing.assert_allclose(heights, facets.offset[mine], atol=1e-6)


@pytest.mark.parametrize(("count", "cell", "spread"), [(1, CUBE, 0), (2, CUBE, 0), (9, TRICLINIC, 0), (12, CUBE, 0.9)])
def test_points_belong_to_the_grain_of_the_smallest_power_distance(count: int, cell: Any, spread: float) -> None:
    microstructure = random(count, 3, cell, spread)
    regions = Regions(tessellate(microstructure))
    points = np.random.default_rng(0).random((2000, 3)) @ cell
    found = regions.find(points + np.array([2, -1, 3]) @ cell)
    assert (found.grain == nearest_by_search(microstructure, points)).all()
    assert (found.distance >= -1e-6).all()


def test_distance_to_a_boundary_is_where_the_grain_changes() -> None:
    microstructure = random(6, 4)
    regions = Regions(tessellate(microstructure))
    points = np.random.default_rng(1).random((500, 3)) @ CUBE
    region = regions.find(points)
    normal = regions.tessellation.facets.normal[region.facet]
    neighbour = regions.tessellation.facets.neighbour[region.facet]
    before = regions.find(points + normal * (region.distance - 1e-4)[:, None]).grain
    behind = regions.find(points + normal * (region.distance + 1e-4)[:, None]).grain
    assert (before == region.grain).all()
    assert (behind == neighbour).all()


@pytest.mark.parametrize(("count", "spread"), [(5, 0), (27, 0), (20, 0.9)])
def test_boundary_fraction_at_small_width_is_area_times_width(count: int, spread: float) -> None:
    tessellation = tessellate(random(count, 5, spread=spread))
    regions = Regions(tessellation)
    for width in (0.2, 0.4):
        sampled = sampled_boundary_fraction(regions, width, 2**17, seed=1)
        # Edges, counted once in the sample, are of second order; the sample knows 1 % of 2^17 points to 3 %
        assert sampled == pytest.approx(tessellation.boundary_fraction(width), rel=0.08)
        assert sampled < tessellation.boundary_fraction(width) * 1.03


def test_bricks_have_the_area_of_their_faces() -> None:
    seeds = np.array(list(product((0.25, 0.75), repeat=3)))
    bricks = random(8).model_copy(
        update={"seeds_fractional": tuple(map(tuple, seeds.tolist())), "weights_angstrom2": (0.0,) * 8}
    )
    assert tessellate(bricks).boundary_area == pytest.approx(6 * 50.0**2)


def test_columns_meet_their_own_image_without_a_boundary() -> None:
    microstructure = draw_microstructure("c", np.diag([60.0, 60, 7]), 4, column=np.array([1.0, 1, 0]), seed=2)
    tessellation = tessellate(microstructure)
    assert microstructure.column_axes == (2,)
    normals = tessellation.facets.normal[tessellation.facets.is_boundary]
    np.testing.assert_allclose(normals[:, 2], 0, atol=1e-9)
    fibre = microstructure.rotations @ (np.array([1.0, 1, 0]) / np.sqrt(2))
    np.testing.assert_allclose(fibre, [[0, 0, 1]] * 4, atol=1e-12)
    tall = draw_microstructure("c", np.diag([60.0, 60, 70]), 4, column=np.array([1.0, 1, 0]), seed=2)
    assert tessellate(tall).boundary_area == pytest.approx(10 * tessellation.boundary_area)


def test_single_crystal_has_no_boundary() -> None:
    tessellation = tessellate(random(1))
    assert tessellation.boundary_area == 0
    assert np.isinf(Regions(tessellation).find(np.zeros((1, 3))).distance).all()


@pytest.mark.parametrize(("grains", "spread"), [(8, 0.2), (27, 0.35)])
def test_grain_diameters_are_lognormal_with_the_asked_spread(grains: int, spread: float) -> None:
    microstructure = draw_microstructure("l", CUBE * 4, grains, diameter_spread=spread, seed=3)
    logarithms = np.sort(np.log(np.cbrt(tessellate(microstructure).volumes)))
    centred = (logarithms - logarithms.mean()) / spread
    # Quantiles of the normal distribution in the middle of each of equal parts
    np.testing.assert_allclose(centred, norm.ppf((np.arange(grains) + 0.5) / grains), atol=1e-4)


def test_grain_that_neighbours_swallow_is_refused() -> None:
    crowded = random(6).model_copy(update={"weights_angstrom2": (0.0,) * 5 + (-5000.0,)})
    with pytest.raises(StructureError, match="no room for grain 5"):
        tessellate(crowded)


def test_orientations_are_uniformly_random_or_as_given() -> None:
    drawn = draw_microstructure("u", CUBE * 10, 400, seed=1)
    images = drawn.rotations @ np.array([0.0, 0, 1])
    # The mean of 400 unit vectors and their second moments, each within five standard deviations
    assert np.abs(images.mean(axis=0)).max() < 5 / np.sqrt(3 * 400)
    assert np.abs(images.T @ images / 400 - np.eye(3) / 3).max() < 5 * np.sqrt(4 / 45 / 400)
    given_ones = ((1.0, 0, 0, 0), (0.0, 1, 0, 0))
    assert draw_microstructure("g", CUBE, 2, orientations=given_ones, seed=1).orientations_quaternion == given_ones
    with pytest.raises(StructureError, match="2 orientations for 3 grains"):
        draw_microstructure("g", CUBE, 3, orientations=given_ones, seed=1)


def test_seeds_are_the_published_sobol_sequence() -> None:
    published = qmc.Sobol(d=3, seed=42).random_base2(5)[:27]
    np.testing.assert_array_equal(draw_microstructure("p", CUBE, 27, seed=42).seeds_fractional, published)


def test_same_seed_draws_the_same_grains_and_another_seed_others() -> None:
    first, again, other = (draw_microstructure("s", CUBE, 9, diameter_spread=0.2, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.seeds_fractional != other.seeds_fractional


def test_strained_slabs_keep_their_fractions_and_strained_grains_their_shape() -> None:
    slabs = Microstructure(
        name="slabs",
        seed=1,
        cell_angstrom=((10.0, 0, 0), (0, 12.0, 0), (0, 0, 50.0)),
        seeds_fractional=((0, 0, 0.2), (0, 0, 0.7)),
        weights_angstrom2=(-100.0, 0.0),
        orientations_quaternion=((1, 0, 0, 0), (1, 0, 0, 0)),
    )
    longer = strained(slabs, slabs.cell * [[1.01], [1.0], [1.1]])
    before, after = tessellate(slabs).volumes, tessellate(longer).volumes
    np.testing.assert_allclose(after / after.sum(), before / before.sum(), rtol=1e-9)
    grains = draw_microstructure("grains", np.eye(3) * 40.0, 6, diameter_spread=0.3, seed=2)
    larger = strained(grains, grains.cell * 1.05)
    np.testing.assert_allclose(tessellate(larger).volumes, 1.05**3 * tessellate(grains).volumes, rtol=1e-9)
    np.testing.assert_allclose(tessellate(larger).boundary_area, 1.05**2 * tessellate(grains).boundary_area, rtol=1e-9)


def test_strain_that_would_turn_boundaries_is_refused() -> None:
    grains = draw_microstructure("grains", np.eye(3) * 40.0, 6, seed=2)
    with pytest.raises(StructureError, match="boundaries would turn"):
        strained(grains, grains.cell * [[1.0], [1.0], [1.01]])


@pytest.mark.parametrize(("count", "spread"), [(1, 0), (7, 0), (12, 0.9)])
def test_centroids_are_means_of_points_of_grains(count: int, spread: float) -> None:
    tessellation = tessellate(random(count, 6, TRICLINIC, spread))
    points = qmc.Sobol(3, rng=1).random_base2(16) @ TRICLINIC
    regions = Regions(tessellation)
    grain = regions.find(points).grain
    for index, seed in enumerate(tessellation.microstructure.seeds):
        # Each point in the image that its grain's whole polyhedron holds
        shifts = np.array(list(product((-1, 0, 1), repeat=3))) @ TRICLINIC
        images = points[grain == index, None, :] + shifts - seed
        facets = tessellation.facets
        mine = facets.grain == index
        inside = (images @ facets.normal[mine].T <= facets.offset[mine] + 1e-9).all(axis=2)
        assert (inside.sum(axis=1) == 1).all()
        np.testing.assert_allclose(images[inside].mean(axis=0), tessellation.centroids[index], atol=0.15)


def test_lloyd_makes_grains_round_and_alike_and_poisson_does_not() -> None:
    """Mean isoperimetric quotient and spread of volumes of Lloyd's, Sobol's and independent seeds."""
    spread, area = {}, {}
    for arrangement in ("lloyd", "sobol", "poisson"):
        tessellation = tessellate(draw_microstructure("a", CUBE, 16, arrangement=arrangement, seed=4))
        spread[arrangement] = tessellation.volumes.std() / tessellation.volumes.mean()
        area[arrangement] = tessellation.boundary_area
    assert spread["lloyd"] < 0.5 * spread["sobol"] < 0.5 * spread["poisson"]
    assert area["lloyd"] < area["sobol"]
    # Voronoi grains of a Poisson process: 0.423 (Tanemura, Forma 18, 221 (2003))
    drawn = [draw_microstructure("a", CUBE, 40, arrangement="poisson", seed=seed) for seed in range(6)]
    volumes = np.concatenate([tessellate(each).volumes for each in drawn])
    assert volumes.std() / volumes.mean() == pytest.approx(0.423, rel=0.15)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_tessellations_scale_with_their_cells(scale: float) -> None:
    small = random(5, 3, CUBE, 0.9)
    cell, weights = small.cell * scale, small.weights * scale**2
    large = small.model_copy(update={"cell_angstrom": tuple(map(tuple, cell)), "weights_angstrom2": tuple(weights)})
    first, second = tessellate(small), tessellate(large)
    np.testing.assert_allclose(second.volumes, first.volumes * scale**3, rtol=1e-9)
    assert second.boundary_area == pytest.approx(first.boundary_area * scale**2, rel=1e-9)
    for grain in range(5):
        neighbours = [np.sort(each.facets.neighbour[each.facets.grain == grain]) for each in (first, second)]
        np.testing.assert_array_equal(*neighbours)
