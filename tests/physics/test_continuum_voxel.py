"""The voxel engine against exact results, bounds, limits and another assembly of the same voxels."""

from itertools import permutations, product
from typing import Any

import mpi4py.MPI
import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve
from scipy.spatial.transform import Rotation

from argyro.continuum.grains import interior_fraction
from argyro.continuum.material import GrainBoundaryMaterial
from argyro.continuum.voxel import coated_spheres, effective_diffusivity_voxel
from argyro.continuum.voxel_grid import voxelize
from argyro.continuum.voxel_solver import Voxels, solve_voxels
from argyro.microstructure.generate import draw_microstructure
from argyro.microstructure.model import Microstructure
from argyro.microstructure.tessellation import Tessellation, tessellate

BRICK = np.diag([80.0, 100.0, 120.0])
TRICLINIC = np.array([[90.0, 0, 0], [18.0, 81.0, 0], [-14.0, 22.0, 99.0]])


def tensors(count: int, contrast: float, seed: int = 0) -> Any:
    """Random positive definite tensors with eigenvalues between 1 and the contrast."""
    generator = np.random.default_rng(seed)
    rotations = Rotation.random(count, rng=generator).as_matrix()
    values = contrast ** generator.random((count, 3))
    return rotations @ (values[:, :, None] * rotations.transpose(0, 2, 1))


def grains(count: int, cell: Any = BRICK, seed: int = 3) -> Microstructure:
    return draw_microstructure("grains", cell, count, seed=seed)


def polycrystal(shape: tuple[int, int, int], cell: Any, material: GrainBoundaryMaterial, count: int = 4) -> Voxels:
    boundaries = voxelize(tessellate(grains(count, cell)), material.width_nm, shape)
    return Voxels(boundaries.number, boundaries.tensors(material), cell)


def effective(voxels: Voxels, tolerance: float = 1e-10) -> Any:
    return solve_voxels(voxels, tolerance=tolerance).tensor


def laminate(layers: Any, weights: Any, normal: Any) -> Any:
    """Exact effective tensor of layers across a direction (Milton, The Theory of Composites, chapter 9)."""
    flux = layers @ normal  # of a unit gradient along the normal
    resistance = 1 / (flux @ normal)
    mean_resistance = weights @ resistance
    mixed = np.einsum("l,l,li->i", weights, resistance, flux) / mean_resistance
    fluctuation = np.einsum("l,l,li,lj->ij", weights, resistance, flux, flux)
    return np.einsum("l,lij->ij", weights, layers) - fluctuation + np.outer(mixed, mixed) * mean_resistance


def second_assembly(voxels: Voxels) -> Any:
    """Effective tensor by Gauss points, a sparse matrix and a direct solver."""
    edges = voxels.cell / np.array(voxels.shape)[:, None]
    corners = np.array(list(product((0, 1), repeat=3)))
    points = (np.array(list(product((-1, 1), repeat=3))) / np.sqrt(3) + 1) / 2
    slopes = []
    for point in points:
        factors = np.where(corners == 1, point, 1 - point)
        steps = np.where(corners == 1, 1.0, -1.0)
        local = [steps[:, a] * np.prod(np.delete(factors, a, axis=1), axis=1) for a in range(3)]
        slopes.append(np.linalg.solve(edges, local))  # (3, 8)
    slope = np.array(slopes)
    stiffness = np.einsum("pia,mij,pjb->mab", slope, voxels.tensors, slope) / 8
    forces = np.einsum("pia,mij->maj", slope, voxels.tensors) / 8
    places = np.array(list(np.ndindex(*voxels.shape)))[:, None, :] + corners
    nodes = np.ravel_multi_index(tuple(np.moveaxis(places % voxels.shape, 2, 0)), voxels.shape)
    material = voxels.material.ravel()
    rows, columns = np.repeat(nodes, 8, axis=1).ravel(), np.tile(nodes, 8).ravel()
    size = voxels.material.size
    matrix = coo_array((stiffness[material].ravel(), (rows, columns)), shape=(size, size)).tocsc()
    loads = np.zeros((size, 3))
    np.add.at(loads, nodes, forces[material])
    fields = np.zeros((size, 3))
    fields[1:] = spsolve(matrix[1:, 1:], -loads[1:])
    mean = np.einsum("m,mij->ij", voxels.fractions(), voxels.tensors)
    return mean + fields.T @ loads / size


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_laminate_of_anisotropic_layers_is_exact_along_and_across(axis: int) -> None:
    layers = tensors(5, 30.0)
    material = np.array([0, 1, 1, 2, 3, 3, 3, 4, 0, 0, 2], np.uint16)
    shape, column = [4, 6, 5], [1, 1, 1]
    shape[axis] = column[axis] = len(material)
    voxels = Voxels(np.broadcast_to(material.reshape(column), shape).copy(), layers, np.diag([1.0, 2.0, 3.0]))
    exact = laminate(layers, np.bincount(material) / len(material), np.eye(3)[axis])
    np.testing.assert_allclose(effective(voxels, 1e-8), exact, rtol=0, atol=1e-8 * np.abs(exact).max())


@pytest.mark.parametrize(("D_par", "D_perp"), [(3.0, 0.001), (0.2, 40.0), (1000.0, 1000.0)])
def test_bicrystal_is_the_laminate_of_its_width(D_par: float, D_perp: float) -> None:
    material = GrainBoundaryMaterial(D_bulk=1.0, D_par=D_par, D_perp=D_perp, width_nm=4.0)
    bicrystal = grains(2, np.diag([100.0, 100.0, 160.0])).model_copy(
        update={"seeds_fractional": ((0.5, 0.5, 0.25), (0.5, 0.5, 0.75))}
    )
    found = effective_diffusivity_voxel(tessellate(bicrystal), material, 20)
    part = 8 / 16
    along, across = (1 - part) + part * D_par, 1 / ((1 - part) + part / D_perp)
    np.testing.assert_allclose(found.tensor, np.diag([along, along, across]), rtol=1e-8, atol=1e-8)
    assert found.discretization_error < 1e-8


def test_boundaries_like_grains_change_nothing() -> None:
    material = GrainBoundaryMaterial(D_bulk=2.5e-7, D_par=2.5e-7, D_perp=2.5e-7, width_nm=1.5)
    found = effective_diffusivity_voxel(tessellate(grains(5)), material, 22)
    np.testing.assert_allclose(found.tensor, 2.5e-7 * np.eye(3), rtol=1e-12, atol=1e-19)
    assert found.discretization_error < 1e-12


@pytest.mark.parametrize("shape", [(9, 10, 12), (8, 11, 7)])
@pytest.mark.parametrize("cell", [BRICK, TRICLINIC])
def test_another_assembly_of_the_same_voxels_gives_the_same(shape: tuple[int, int, int], cell: Any) -> None:
    material = GrainBoundaryMaterial(D_bulk=1.0, D_par=20.0, D_perp=0.05, width_nm=2.0)
    voxels = polycrystal(shape, cell, material)
    found, expected = effective(voxels), second_assembly(voxels)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_trilinear_hexahedra_of_dolfinx_give_the_same() -> None:
    import dolfinx  # noqa: PLC0415  starts MPI
    import ufl  # noqa: PLC0415

    count = 12
    material = GrainBoundaryMaterial(D_bulk=1.0, D_par=10.0, D_perp=0.1, width_nm=2.5)
    voxels = polycrystal((count,) * 3, np.eye(3) * 100, material)
    mesh = dolfinx.mesh.create_unit_cube(mpi4py.MPI.COMM_SELF, *(count,) * 3, dolfinx.mesh.CellType.hexahedron)
    middles = dolfinx.mesh.compute_midpoints(mesh, 3, np.arange(count**3, dtype=np.int32))
    tensor = dolfinx.fem.Function(dolfinx.fem.functionspace(mesh, ("DG", 0, (3, 3))))
    here = voxels.material[tuple((middles * count).astype(int).T)]
    tensor.x.array[:] = voxels.tensors[here].ravel()
    space = dolfinx.fem.functionspace(mesh, ("Lagrange", 1))
    trial, test = ufl.TrialFunction(space), ufl.TestFunction(space)  # type: ignore[no-untyped-call]
    energy = ufl.inner(tensor * ufl.grad(trial), ufl.grad(test)) * ufl.dx  # type: ignore[no-untyped-call]
    form = dolfinx.fem.form(energy)
    matrix = dolfinx.fem.assemble_matrix(form).to_scipy()
    places = np.rint(space.tabulate_dof_coordinates() * count).astype(int)
    nodes = np.ravel_multi_index(tuple(places.T % count), (count,) * 3)
    periodic = coo_array((np.ones(len(nodes)), (np.arange(len(nodes)), nodes))).tocsc()
    linear = places / count  # fields of a unit gradient along each axis
    loads = periodic.T @ (matrix @ linear)
    fluctuation = np.zeros_like(loads)
    fluctuation[1:] = spsolve((periodic.T @ matrix @ periodic).tocsc()[1:, 1:], -loads[1:])
    field = linear + periodic @ fluctuation
    expected = field.T @ (matrix @ field)
    np.testing.assert_allclose(effective(voxels, 1e-8), expected, rtol=0, atol=1e-7 * np.trace(expected) / 3)


@pytest.mark.parametrize("contrast", [0.1, 10.0, 1000.0])
def test_mean_lies_between_the_bounds_of_hashin_and_shtrikman(contrast: float) -> None:
    material = GrainBoundaryMaterial(D_bulk=1.0, D_par=contrast, D_perp=contrast, width_nm=1.0)
    boundaries = voxelize(tessellate(grains(16, np.eye(3) * 100)), material.width_nm, (48,) * 3)
    mean = np.trace(effective(Voxels(boundaries.number, boundaries.tensors(material), np.eye(3)), 1e-5)) / 3
    part = boundaries.fraction

    def bound(matrix: float, other: float, fraction: float) -> float:
        return matrix + fraction / (1 / (other - matrix) + (1 - fraction) / (3 * matrix))

    low, high = sorted([bound(1.0, contrast, part), bound(contrast, 1.0, 1 - part)])
    assert low < mean < high


@pytest.mark.parametrize(("D_par", "D_perp"), [(100.0, 0.01), (0.01, 100.0), (1e4, 1e4), (1e-4, 1e-4)])
def test_effective_tensor_is_symmetric_and_positive_definite(D_par: float, D_perp: float) -> None:
    material = GrainBoundaryMaterial(D_bulk=1.0, D_par=D_par, D_perp=D_perp, width_nm=2.0)
    voxels = polycrystal((16, 20, 24), TRICLINIC, material)
    solution = solve_voxels(voxels)
    np.testing.assert_array_equal(solution.tensor, solution.tensor.T)
    mean = np.einsum("m,mij->ij", voxels.fractions(), voxels.tensors)
    inverse_mean = np.einsum("m,mij->ij", voxels.fractions(), np.linalg.inv(voxels.tensors))
    # Between the bounds of Wiener, so positive definite
    assert np.linalg.eigvalsh(solution.tensor - np.linalg.inv(inverse_mean)).min() > 0
    assert np.linalg.eigvalsh(mean - solution.tensor).min() > 0
    assert max(solution.residuals) <= 1e-8


def test_translation_by_whole_voxels_changes_nothing() -> None:
    material = GrainBoundaryMaterial(D_bulk=1.0, D_par=10.0, D_perp=0.1, width_nm=2.0)
    shape = (16, 20, 24)
    microstructure = grains(4)
    moved = np.array(microstructure.seeds_fractional) + np.array([3, 7, 11]) / shape
    there = microstructure.model_copy(update={"seeds_fractional": tuple(map(tuple, moved.tolist()))})
    first, second = (
        effective(Voxels(found.number, found.tensors(material), BRICK), 1e-8)
        for found in (voxelize(tessellate(place), 2.0, shape) for place in (microstructure, there))
    )
    np.testing.assert_allclose(second, first, rtol=0, atol=1e-10 * np.abs(first).max())


@pytest.mark.parametrize("D_gb", [0.1, 10.0])
def test_translation_by_any_vector_is_within_the_discretization_error(D_gb: float) -> None:
    material = GrainBoundaryMaterial(D_bulk=1.0, D_par=D_gb, D_perp=D_gb, width_nm=2.2)
    microstructure = grains(4)
    moved = np.array(microstructure.seeds_fractional) + np.array([0.0213, 0.0171, 0.0307])
    there = microstructure.model_copy(update={"seeds_fractional": tuple(map(tuple, moved.tolist()))})
    first, second = (effective_diffusivity_voxel(tessellate(m), material, 30) for m in (microstructure, there))
    allowed = first.discretization_error + second.discretization_error
    assert abs(first.mean - second.mean) < allowed * first.mean
    assert first.discretization_error < 0.05


@pytest.mark.parametrize("order", list(permutations(range(3)))[1:])
def test_tensor_turns_with_the_axes(order: tuple[int, int, int]) -> None:
    material = GrainBoundaryMaterial(D_bulk=1.0, D_par=10.0, D_perp=0.1, width_nm=2.0)
    voxels = polycrystal((12, 15, 18), BRICK, material)
    turned = Voxels(
        voxels.material.transpose(order).copy(),
        voxels.tensors[:, order][:, :, order],
        voxels.cell[np.ix_(order, order)],
    )
    first, second = effective(voxels), effective(turned)
    np.testing.assert_allclose(second, first[np.ix_(order, order)], rtol=0, atol=1e-10 * np.abs(first).max())


def test_tensor_turns_with_the_whole_cell() -> None:
    material = GrainBoundaryMaterial(D_bulk=1.0, D_par=10.0, D_perp=0.1, width_nm=2.0)
    rotation = Rotation.from_euler("xyz", [0.4, 1.1, -0.7]).as_matrix()
    first, second = (
        effective(polycrystal((12, 14, 16), cell, material)) for cell in (TRICLINIC, TRICLINIC @ rotation.T)
    )
    np.testing.assert_allclose(second, rotation @ first @ rotation.T, rtol=0, atol=1e-9 * np.abs(first).max())


@pytest.mark.parametrize("direction", ["along", "across"])
def test_weak_boundaries_act_in_proportion_to_their_volume(direction: str) -> None:
    boundaries = voxelize(tessellate(grains(6)), 1.0, (24, 30, 36))

    def deviation(excess: float) -> float:
        D_par, D_perp = (1 + excess, 1.0) if direction == "along" else (1.0, 1 / (1 + excess))
        material = GrainBoundaryMaterial(D_bulk=1.0, D_par=D_par, D_perp=D_perp, width_nm=1.0)
        mean = float(np.trace(effective(Voxels(boundaries.number, boundaries.tensors(material), BRICK)))) / 3
        if direction == "along":  # D_bulk + (2/3) (D_par - D_bulk) f
            return mean - 1 - 2 / 3 * excess * boundaries.fraction
        return 1 / mean - 1 - 1 / 3 * excess * boundaries.fraction  # 1/D_bulk + (1/D_perp - 1/D_bulk) f / 3

    # What is left is of second order in the excess
    assert deviation(0.02) / deviation(0.01) == pytest.approx(4, rel=0.05)
    assert abs(deviation(0.01)) < 1e-4


@pytest.mark.parametrize("D_gb", [0.01, 30.0])
def test_error_falls_with_the_voxels_and_extrapolation_brings_it_down(D_gb: float) -> None:
    material = GrainBoundaryMaterial(D_bulk=1.0, D_par=D_gb, D_perp=D_gb, width_nm=2.0)
    tessellation = tessellate(grains(4, np.eye(3) * 80))
    means = {count: cube_mean(tessellation, material, count) for count in (10, 20, 40, 80)}
    limit = means[80] + (means[80] - means[40]) / ((means[40] - means[20]) / (means[80] - means[40]) - 1)  # Aitken
    errors = np.array([abs(means[count] - limit) for count in (10, 20, 40)])
    assert (errors[1:] < 0.7 * errors[:-1]).all()
    found = effective_diffusivity_voxel(tessellation, material, 40)
    assert abs(found.mean - limit) < 0.8 * errors[2]
    assert abs(found.mean - limit) < found.discretization_error * found.mean


def test_error_is_stated_where_it_falls_slowly() -> None:
    # Where boundaries meet that conduct along and resist across, it falls with about the root of the voxel
    material = GrainBoundaryMaterial(D_bulk=1.0, D_par=10.0, D_perp=0.1, width_nm=2.0)
    tessellation = tessellate(grains(4, np.eye(3) * 80))
    found = effective_diffusivity_voxel(tessellation, material, 32)
    finer = cube_mean(tessellation, material, 80)
    assert abs(found.mean - finer) < found.discretization_error * found.mean
    assert found.discretization_error > 0.3


def cube_mean(tessellation: Tessellation, material: GrainBoundaryMaterial, count: int) -> float:
    """Mean effective diffusivity on one grid, corrected for its part of boundary voxels."""
    boundaries = voxelize(tessellation, material.width_nm, (count,) * 3)
    voxels = Voxels(boundaries.number, boundaries.tensors(material), tessellation.microstructure.cell)
    exact = 1 - interior_fraction(tessellation, material.width_nm)
    corrected = coated_spheres(material, exact) / coated_spheres(material, boundaries.fraction)
    mean: float = np.trace(effective(voxels, 1e-4)) / 3 * corrected
    return mean
