"""Voxels of polycrystals, their preconditioner, guards and repeatability."""

from typing import Any

import numpy as np
import pytest

from argyro.common.errors import ContinuumError
from argyro.continuum.material import GrainBoundaryMaterial
from argyro.continuum.voxel import (
    VoxelEngine,
    coated_spheres,
    effective_diffusivity_voxel,
    grid_shape,
    needed_voxels,
)
from argyro.continuum.voxel_grid import voxelize
from argyro.continuum.voxel_reference import ReferenceInverse
from argyro.continuum.voxel_solver import Voxels, solve_voxels
from argyro.continuum.workers import Workers
from argyro.microstructure.generate import draw_microstructure
from argyro.microstructure.regions import Regions
from argyro.microstructure.tessellation import Tessellation, tessellate

CUBE = np.eye(3) * 100.0
TRICLINIC = np.array([[90.0, 0, 0], [18.0, 81.0, 0], [-14.0, 22.0, 99.0]])
FAST = GrainBoundaryMaterial(D_bulk=1.0, D_par=10.0, D_perp=5.0, width_nm=2.0)
SLOW = GrainBoundaryMaterial(D_bulk=1.0, D_par=0.5, D_perp=0.1, width_nm=2.0)


def grains(count: int, cell: Any = CUBE, **settings: Any) -> Tessellation:
    return tessellate(draw_microstructure("grains", cell, count, seed=5, **settings))


@pytest.mark.parametrize("width", [0.4, 2.0, 30.0])
@pytest.mark.parametrize(
    "tessellation",
    [
        grains(9),
        grains(9, TRICLINIC, diameter_spread=0.3),
        grains(2),
        grains(4, np.diag([90.0, 90.0, 10.0]), column=np.array([0, 0, 1])),
    ],
    ids=["cubic", "laguerre", "two", "columns"],
)
def test_voxels_are_boundary_where_the_next_facet_is_near(tessellation: Tessellation, width: float) -> None:
    shape = (21, 16, 25)
    found = voxelize(tessellation, width, shape)
    fractional = [(np.arange(count) + 0.5) / count for count in shape]
    places = np.stack(np.meshgrid(*fractional, indexing="ij"), axis=-1).reshape(-1, 3)
    region = Regions(tessellation).find(places @ tessellation.microstructure.cell)
    near = region.is_boundary(10 * width)
    number = found.number.ravel()
    np.testing.assert_array_equal(number > 0, near)
    assert found.fraction == near.mean()
    # Each has the normal of its facet, up to its sign
    cosine = np.einsum("vi,vi->v", found.normals[number[near] - 1], tessellation.facets.normal[region.facet[near]])
    np.testing.assert_allclose(np.abs(cosine), 1, atol=1e-9)


def test_both_sides_of_a_boundary_have_one_number() -> None:
    tessellation = grains(27)
    found = voxelize(tessellation, 1.0, (32, 32, 32))
    assert len(found.normals) == tessellation.facets.is_boundary.sum() / 2
    assert found.number.max() == len(found.normals)


def test_single_crystal_is_all_grain() -> None:
    found = voxelize(grains(1, column=np.array([1.0, 0, 0])), 2.0, (5, 6, 7))
    assert found.fraction == 0


@pytest.mark.parametrize("shape", [(8, 8, 8), (7, 10, 9), (5, 6, 16), (13, 3, 1)])
def test_preconditioner_inverts_the_stiffness_of_equal_voxels(shape: tuple[int, int, int]) -> None:
    tensor = np.array([[2.0, 0.3, -0.2], [0.3, 1.0, 0.4], [-0.2, 0.4, 3.0]])
    fine = Voxels(np.zeros(shape, np.uint16), tensor[None], np.diag(shape).astype(float))
    field = np.random.default_rng(2).normal(size=shape)
    field -= field.mean()
    force = _product(fine, field)
    found, work = ReferenceInverse(shape, tensor, Workers(1)).solve(force.astype(np.float32))
    np.testing.assert_allclose(found, field, atol=1e-5)
    assert work == pytest.approx((force * field).sum(), rel=1e-5)


def _product(voxels: Voxels, field: Any) -> Any:
    """Stiffness times field, from the definition: Gauss points of each voxel, node by node."""
    points = np.array(list(np.ndindex(2, 2, 2)))
    product = np.zeros_like(field)
    for point in (points * 2 - 1) / np.sqrt(3) / 2 + 0.5:
        slopes = []
        for corner in points:
            factors = np.where(corner == 1, point, 1 - point)
            signs = np.where(corner == 1, 1.0, -1.0)
            slopes.append([signs[a] * np.prod(np.delete(factors, a)) for a in range(3)])
        gradient = sum(
            np.roll(field, -corner, axis=(0, 1, 2))[..., None] * np.array(slope)
            for corner, slope in zip(points, slopes, strict=True)
        )
        flux = gradient @ voxels.tensors[0] / 8
        for corner, slope in zip(points, slopes, strict=True):
            product += np.roll(flux @ np.array(slope), corner, axis=(0, 1, 2))
    return product


def test_number_of_threads_does_not_change_a_bit() -> None:
    tessellation = grains(6, TRICLINIC)
    boundaries = voxelize(tessellation, 2.0, (21, 18, 23))
    voxels = Voxels(boundaries.number, boundaries.tensors(SLOW), TRICLINIC)
    alone, together = solve_voxels(voxels), solve_voxels(voxels, threads=3)
    np.testing.assert_array_equal(alone.tensor, together.tensor)
    np.testing.assert_array_equal(alone.potentials, together.potentials)
    np.testing.assert_array_equal(boundaries.number, voxelize(tessellation, 2.0, (21, 18, 23), threads=3).number)


def test_warm_start_is_shorter_and_ends_at_the_same() -> None:
    boundaries = voxelize(grains(6), 2.0, (24, 24, 24))
    near = GrainBoundaryMaterial(D_bulk=1.0, D_par=0.49, D_perp=0.11, width_nm=2.0)
    first = solve_voxels(Voxels(boundaries.number, boundaries.tensors(near), CUBE))
    voxels = Voxels(boundaries.number, boundaries.tensors(SLOW), CUBE)
    cold, warm = solve_voxels(voxels), solve_voxels(voxels, start=first.potentials)
    assert max(warm.iterations) < min(cold.iterations)
    np.testing.assert_allclose(warm.tensor, cold.tensor, rtol=0, atol=1e-12)


def test_sweep_gives_what_single_cases_give() -> None:
    engine = VoxelEngine(20, tolerance=1e-8)
    for size in (1.0, 1.1):
        for D_gb in (5.0, 20.0):
            material = GrainBoundaryMaterial(D_bulk=1.0, D_par=D_gb, D_perp=D_gb, width_nm=2.5)
            tessellation = grains(4, CUBE * size)
            alone = effective_diffusivity_voxel(tessellation, material, 20, tolerance=1e-8)
            found = engine.effective_diffusivity(tessellation, material)
            np.testing.assert_allclose(found.tensor, alone.tensor, rtol=0, atol=1e-12 * alone.mean)
            assert found.discretization_error == pytest.approx(alone.discretization_error, rel=1e-8)


def test_unit_of_diffusivity_and_of_length_do_not_matter() -> None:
    boundaries = voxelize(grains(3), 2.0, (12, 12, 12))
    tensors = boundaries.tensors(SLOW)
    first = solve_voxels(Voxels(boundaries.number, tensors, CUBE))
    second = solve_voxels(Voxels(boundaries.number, 1e-19 * tensors, 1e-7 * CUBE))
    np.testing.assert_allclose(1e19 * second.tensor, first.tensor, rtol=0, atol=1e-13)


def test_grid_has_equal_edges_along_all_cell_vectors() -> None:
    microstructure = draw_microstructure("brick", np.diag([80.0, 100.0, 120.0]), 3, seed=1)
    assert grid_shape(microstructure, 16) == (16, 20, 24)
    with pytest.raises(ContinuumError, match="at least 1"):
        grid_shape(microstructure, 0)


@pytest.mark.parametrize(("material", "across", "kind"), [(FAST, 4, "faster"), (SLOW, 8, "slower")])
def test_grid_that_does_not_resolve_boundaries_is_refused(
    material: GrainBoundaryMaterial, across: int, kind: str
) -> None:
    tessellation = grains(3)
    needed = needed_voxels(tessellation.microstructure, material)
    assert needed == across * 5  # 10 nm of cell, 2 nm of boundary
    with pytest.raises(ContinuumError, match=rf"{kind} than the grains: {across} voxels .* at least {needed}"):
        effective_diffusivity_voxel(tessellation, material, needed - 1)
    found = effective_diffusivity_voxel(tessellation, material, needed)
    assert found.engine == "voxel"
    assert 0 < found.discretization_error < 0.2


@pytest.mark.parametrize("D_gb", [1e-3, 0.5, 1.0, 20.0])
def test_spheres_with_isotropic_coats_are_at_the_bound_of_hashin_and_shtrikman(D_gb: float) -> None:
    material = GrainBoundaryMaterial(D_bulk=2.0, D_par=D_gb, D_perp=D_gb, width_nm=1.0)
    for part in (0.01, 0.3, 1.0):
        bound = D_gb + (1 - part) * 3 * D_gb * (2.0 - D_gb) / (3 * D_gb + part * (2.0 - D_gb))
        assert coated_spheres(material, part) == pytest.approx(bound, rel=1e-12)


def test_thin_coats_conduct_along_and_resist_across() -> None:
    part = 1e-5
    along = GrainBoundaryMaterial(D_bulk=2.0, D_par=5.0, D_perp=2.0, width_nm=1.0)
    assert coated_spheres(along, part) - 2.0 == pytest.approx(2 / 3 * 3.0 * part, rel=1e-3)
    across = GrainBoundaryMaterial(D_bulk=2.0, D_par=2.0, D_perp=0.1, width_nm=1.0)
    assert 1 / coated_spheres(across, part) - 1 / 2.0 == pytest.approx((1 / 0.1 - 1 / 2.0) / 3 * part, rel=1e-3)


def test_tensor_that_is_not_positive_definite_is_refused() -> None:
    material = np.zeros((4, 4, 4), np.uint16)
    with pytest.raises(ContinuumError, match="material 1 is not positive definite: -1"):
        Voxels(material, np.array([np.eye(3), np.diag([1.0, -1.0, 1.0])]), CUBE)
    with pytest.raises(ContinuumError, match="voxels of material 2, but 1 tensors"):
        Voxels(material + np.uint16(2), np.eye(3)[None], CUBE)


def test_what_does_not_converge_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("argyro.continuum.voxel_solver.ITERATIONS", 1)
    boundaries = voxelize(grains(4), 2.0, (16, 16, 16))
    material = GrainBoundaryMaterial(D_bulk=1.0, D_par=1e-4, D_perp=1e4, width_nm=2.0)
    with pytest.raises(ContinuumError, match="contrast"):
        solve_voxels(Voxels(boundaries.number, boundaries.tensors(material), CUBE))
