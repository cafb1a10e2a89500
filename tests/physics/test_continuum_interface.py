"""Claims about the interface engine: layers, limits, bounds, symmetry, and what a second code says."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.spatial.transform import Rotation

from argyro.continuum import interface_level
from argyro.continuum.grains import grain_size_nm, interior_fraction, interior_size_nm, scaled_to
from argyro.continuum.interface import InterfaceEngine
from argyro.continuum.interface_level import Level
from argyro.continuum.interface_matrices import assemble
from argyro.continuum.interface_mesh import mesh_grains, refined
from argyro.continuum.interface_topology import topology_of
from argyro.continuum.material import GrainBoundaryMaterial
from argyro.continuum.voxel import effective_diffusivity_voxel
from argyro.microstructure.generate import draw_microstructure
from argyro.microstructure.model import Microstructure
from argyro.microstructure.tessellation import tessellate

CUBE = np.eye(3) * 100.0
SKEW = np.array([[100.0, 0, 0], [20.0, 90.0, 0], [-10.0, 30.0, 110.0]])


def grains(seeds: Any, cell: Any = CUBE) -> Microstructure:
    """Grains of one orientation around seeds."""
    return Microstructure(
        name="test",
        seed=0,
        cell_angstrom=np.asarray(cell).tolist(),
        seeds_fractional=tuple(map(tuple, np.asarray(seeds).tolist())),
        weights_angstrom2=(0.0,) * len(seeds),
        orientations_quaternion=((1.0, 0.0, 0.0, 0.0),) * len(seeds),
    )


def layers(count: int, cell: Any = CUBE) -> Microstructure:
    """Layers of equal thickness across the first cell vector."""
    return grains([((layer + 0.5) / count, 0.5, 0.5) for layer in range(count)], cell)


@pytest.fixture(scope="module")
def polycrystal() -> InterfaceEngine:
    return InterfaceEngine(draw_microstructure("p", CUBE, 12, seed=3))


def specific_area(engine: InterfaceEngine) -> float:
    """Area of boundaries in a volume, times the grain size."""
    return tessellate(engine.microstructure).boundary_fraction(1.0)


BOX = np.diag([100.0, 80.0, 130.0])
TURN = Rotation.random(rng=5).as_matrix()


@pytest.fixture(scope="module", params=[2, 3])
def stack(request: pytest.FixtureRequest) -> tuple[InterfaceEngine, float]:
    """Layers in a cell turned anyhow, and their thickness relative to the grain size."""
    microstructure = layers(request.param, BOX @ TURN.T)
    return InterfaceEngine(microstructure), 10.0 / request.param / grain_size_nm(microstructure)


@pytest.mark.parametrize("relative", [1e-4, 0.02, 0.3])
@pytest.mark.parametrize(
    ("D_par", "D_perp"),
    [(1e3, 1e3), (1e3, 1e-3), (1e-3, 1e3), (1e-3, 1e-3), (1.5, 0.9), (2.0, 3.0), (0.7, 1.2), (1.0, 1.0), (64.0, 1.0)],
)
def test_laminate_is_exact(stack: tuple[InterfaceEngine, float], D_par: float, D_perp: float, relative: float) -> None:
    """Series across layers, parallel along them, also with anisotropic boundaries and however the cell is turned."""
    engine, thickness = stack
    size = 40.0
    part = relative * min(1 / thickness, 1)
    material = GrainBoundaryMaterial(2.0, 2 * D_par, 2 * D_perp, part * thickness * size)
    along = (1 - part) * 2 + part * 2 * D_par
    across = 1 / ((1 - part) / 2 + part / (2 * D_perp))
    expected = TURN @ np.diag([across, along, along]) @ TURN.T
    found = engine.effective_diffusivity(material, size)
    np.testing.assert_allclose(found.tensor, expected, rtol=0, atol=1e-8 * max(along, across))
    assert found.discretization_error < 1e-8


def test_boundaries_like_grains_change_nothing(polycrystal: InterfaceEngine) -> None:
    found = polycrystal.effective_diffusivity(GrainBoundaryMaterial(3.0, 3.0, 3.0, 1.0), 20.0)
    np.testing.assert_allclose(found.tensor, 3 * np.eye(3), rtol=0, atol=1e-12)
    assert (found.discretization_error, found.model_error) == (pytest.approx(0, abs=1e-12), 0)


def test_dilute_conductance_adds_two_thirds_of_its_area(polycrystal: InterfaceEngine) -> None:
    """D_bulk + (2/3) sigma S_v on the trace, with an error of second order in the excess."""
    errors = []
    for excess in (0.02, 0.01):
        found = polycrystal.effective_diffusivity(GrainBoundaryMaterial(1.0, 1 + excess / 0.01, 1.0, 0.1), 10.0)
        errors.append(abs(found.mean - 1 - 2 / 3 * excess * specific_area(polycrystal)))
    assert errors[0] < excess**2 * specific_area(polycrystal) ** 2
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("excess", [0.002, 0.05])
def test_dilute_resistance_adds_a_third_of_its_area(polycrystal: InterfaceEngine, sign: int, excess: float) -> None:
    """1 / D = 1 / D_bulk + R S_v / 3 on the trace, for slow and for fast boundaries, by equations or to first order."""
    errors = []
    for part in (excess, excess / 2):
        width = 1.0
        D_perp = 1 / (1 + sign * part * 10 / width)
        found = polycrystal.effective_diffusivity(GrainBoundaryMaterial(1.0, 1.0, D_perp, width), 10.0)
        errors.append(abs(1 / found.mean - 1 - sign * part * specific_area(polycrystal) / 3))
        assert errors[-1] < (part * specific_area(polycrystal) / 3) ** 2 + found.discretization_error
    if excess < 0.01:
        assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("contrast", [1e-3, 0.1, 0.5, 2, 10, 1000])
@pytest.mark.parametrize("width", [0.002, 0.02])
def test_isotropic_boundaries_stay_within_hashin_shtrikman_bounds(
    polycrystal: InterfaceEngine, contrast: float, width: float
) -> None:
    """Bounds of the mean of a two-phase composite (Hashin and Shtrikman, J. Appl. Phys. 33, 3125 (1962))."""
    found = polycrystal.effective_diffusivity(GrainBoundaryMaterial(1.0, contrast, contrast, width * 10), 10.0)
    fraction = 1 - interior_fraction(tessellate(scaled_to(polycrystal.microstructure, 10.0)), width * 10)
    low_first = contrast >= 1
    slow, fast = sorted((1.0, contrast))
    part_fast = fraction if low_first else 1 - fraction
    lower = slow + part_fast / (1 / (fast - slow) + (1 - part_fast) / (3 * slow))
    upper = fast + (1 - part_fast) / (1 / (slow - fast) + part_fast / (3 * fast))
    error = (found.discretization_error + found.model_error) * found.mean
    assert lower - error <= found.mean <= upper + error
    # The engine itself does not push the mean out of them by more than a fiftieth
    assert 0.98 * lower < found.mean < 1.02 * upper


def test_effective_tensor_is_symmetric_and_positive_definite(polycrystal: InterfaceEngine) -> None:
    for D_par, D_perp in product((1e-4, 0.3, 5.0, 1e4), repeat=2):
        found = polycrystal.effective_diffusivity(GrainBoundaryMaterial(1.0, D_par, D_perp, 0.2), 10.0)
        np.testing.assert_allclose(found.tensor, found.tensor.T, rtol=0, atol=1e-12 * found.mean)
        assert found.eigenvalues[0] > 0


def test_rotation_of_the_whole_cell_rotates_the_tensor() -> None:
    rotation = Rotation.random(rng=5).as_matrix()
    drawn = draw_microstructure("p", SKEW, 5, seed=8)
    turned = drawn.model_copy(update={"cell_angstrom": tuple(map(tuple, (SKEW @ rotation.T).tolist()))})
    for material in (GrainBoundaryMaterial(1, 30, 8, 0.3), GrainBoundaryMaterial(1, 0.2, 0.05, 0.3)):
        before, after = (InterfaceEngine(m).effective_diffusivity(material, 10.0) for m in (drawn, turned))
        error = (before.discretization_error + after.discretization_error) * before.mean
        np.testing.assert_allclose(after.tensor, rotation @ before.tensor @ rotation.T, rtol=0, atol=error)
        assert error < 0.02 * before.mean


def test_shift_of_all_seeds_and_choice_of_images_change_nothing_but_the_mesh() -> None:
    drawn = draw_microstructure("p", SKEW, 6, seed=2)
    shifted = grains(np.add(drawn.seeds_fractional, (0.37, -1.2, 0.11)), SKEW)
    material = GrainBoundaryMaterial(1, 0.2, 0.1, 0.2)
    first, second = (InterfaceEngine(m).effective_diffusivity(material, 10.0) for m in (drawn, shifted))
    assert second.mean == pytest.approx(first.mean, rel=first.discretization_error + second.discretization_error)


@pytest.mark.parametrize("material", [GrainBoundaryMaterial(1, 30, 30, 0.1), GrainBoundaryMaterial(1, 0.1, 0.03, 0.1)])
def test_finer_meshes_converge_within_the_stated_error(material: GrainBoundaryMaterial) -> None:
    drawn = draw_microstructure("p", CUBE, 4, seed=1)
    coarse, fine = (InterfaceEngine(drawn, element_size=h).effective_diffusivity(material, 10.0) for h in (1.0, 0.12))
    assert fine.discretization_error < coarse.discretization_error < 0.01
    assert coarse.mean == pytest.approx(fine.mean, rel=coarse.discretization_error + fine.discretization_error)


@pytest.mark.long
def test_more_grains_are_less_anisotropic() -> None:
    material = GrainBoundaryMaterial(1, 20, 20, 0.2)
    spread = {}
    for count in (4, 125):
        found = [
            InterfaceEngine(draw_microstructure("p", CUBE, count, seed=seed)).effective_diffusivity(material, 10.0)
            for seed in (1, 2, 3)
        ]
        spread[count] = np.mean([np.ptp(each.eigenvalues) / each.mean for each in found])
    assert spread[125] < spread[4] / 2


def test_bricks_meet_eight_at_a_corner_and_match_their_exact_limits() -> None:
    """Resistive boundaries of cubes act in series, conducting ones in parallel: walls along and across do not mix."""
    engine = InterfaceEngine(grains(list(product((0.25, 0.75), repeat=3))))
    size = 10.0
    edge = size / np.cbrt(6 / np.pi)
    slow = engine.effective_diffusivity(GrainBoundaryMaterial(1.0, 1.0, 0.01, 0.1), size)
    np.testing.assert_allclose(slow.tensor, np.eye(3) / (1 + 0.1 * 99 / edge), rtol=0, atol=1e-8)
    fast = engine.effective_diffusivity(GrainBoundaryMaterial(1.0, 100.0, 1.0, 0.1), size)
    np.testing.assert_allclose(fast.tensor, np.eye(3) * (1 + 2 * 0.1 * 99 / edge), rtol=0, atol=1e-8)


def test_interior_of_cubes_is_a_smaller_cube() -> None:
    bricks = scaled_to(grains(list(product((0.25, 0.75), repeat=3))), 10.0)
    edge = 10.0 / np.cbrt(6 / np.pi)
    assert interior_fraction(tessellate(bricks), 2.0) == pytest.approx((1 - 2.0 / edge) ** 3)
    assert interior_size_nm(tessellate(bricks), 2.0) == pytest.approx(10.0 * (1 - 2.0 / edge))
    assert interior_fraction(tessellate(bricks), 1.01 * edge) == 0


@pytest.mark.parametrize(
    ("D_par", "D_perp", "ratio", "voxels"),
    [(10, 10, 0.08, 64), (60, 60, 0.05, 84), (0.3, 0.3, 0.08, 108), (5, 20, 0.08, 64), (3, 0.5, 0.08, 108)],
)
def test_engines_agree_within_their_stated_errors(D_par: float, D_perp: float, ratio: float, voxels: int) -> None:
    """Boundaries of zero thickness against resolved ones, isotropic and anisotropic."""
    drawn = draw_microstructure("p", CUBE, 2, seed=1)
    material = GrainBoundaryMaterial(1.0, D_par, D_perp, 2.5)
    size = 2.5 / ratio
    thin = InterfaceEngine(drawn).effective_diffusivity(material, size)
    resolved = effective_diffusivity_voxel(tessellate(scaled_to(drawn, size)), material, voxels)
    errors = [each.mean * (each.discretization_error + each.model_error) for each in (thin, resolved)]
    np.testing.assert_allclose(thin.tensor, resolved.tensor, rtol=0, atol=sum(errors))
    assert thin.mean == pytest.approx(resolved.mean, rel=0.03 if D_perp >= D_par else 0.06)


def test_changes_to_first_order_miss_no_more_than_their_square(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same resistive boundaries in the equations, and added to first order."""
    drawn = draw_microstructure("p", CUBE, 4, seed=3)
    level = Level(refined(mesh_grains(topology_of(tessellate(scaled_to(drawn, 0.1))), 1.0)))
    for resistance in (0.02, 0.08):
        monkeypatch.setattr(interface_level, "NEGLIGIBLE", 0.0)
        full = level.solve(resistance, 0.0)
        monkeypatch.setattr(interface_level, "NEGLIGIBLE", np.inf)
        first = level.solve(resistance, 0.0)
        assert 0 == full.neglected < first.neglected < 0.02
        assert np.trace(first.tensor) == pytest.approx(np.trace(full.tensor), rel=first.neglected)


def test_published_cell_has_206_facets() -> None:
    topology = topology_of(tessellate(draw_microstructure("published", CUBE, 27, seed=42)))
    assert len(topology.facets) == 206


@pytest.mark.parametrize(("count", "cell", "size"), [(1, SKEW, 2.0), (2, CUBE, 0.7), (9, SKEW, 1.0), (30, CUBE, 0.6)])
def test_meshes_fill_the_cell_and_fit_across_all_boundaries(count: int, cell: Any, size: float) -> None:
    microstructure = scaled_to(draw_microstructure("p", cell, count, seed=count), 0.1)
    tessellation = tessellate(microstructure)
    mesh = mesh_grains(topology_of(tessellation), size)
    for each in (mesh, refined(mesh)):
        corners = each.nodes[each.tetrahedra]
        volumes = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / 6
        assert volumes.sum() == pytest.approx(microstructure.volume, rel=1e-12)
        assert volumes.min() > 0
        assert each.boundary_area == pytest.approx(tessellation.boundary_area, rel=1e-9)
        across = (each.nodes[each.triangles] - each.nodes[each.opposite]) @ np.linalg.inv(microstructure.cell)
        np.testing.assert_allclose(across, np.rint(across), rtol=0, atol=1e-9)


def test_elements_are_those_of_dolfinx() -> None:
    """Energies and loads of linear elements on the same tetrahedra."""
    import dolfinx_solver  # noqa: F401, PLC0415  before all else that loads MPI
    import ufl  # noqa: PLC0415
    from basix.ufl import element  # noqa: PLC0415
    from dolfinx.fem import Constant, assemble_matrix, assemble_vector, form, functionspace  # noqa: PLC0415
    from dolfinx.mesh import create_mesh  # noqa: PLC0415
    from mpi4py import MPI  # noqa: PLC0415

    mesh = mesh_grains(topology_of(tessellate(scaled_to(draw_microstructure("p", SKEW, 3, seed=1), 0.1))), 1.0)
    linear = element("Lagrange", "tetrahedron", 1, shape=(3,))
    domain = create_mesh(MPI.COMM_SELF, mesh.tetrahedra, linear, mesh.nodes)
    space = functionspace(domain, ("Lagrange", 1))
    trial, test = ufl.TrialFunction(space), ufl.TestFunction(space)
    stiffness = assemble_matrix(form(ufl.inner(ufl.grad(trial), ufl.grad(test)) * ufl.dx)).to_dense()
    direction = Constant(domain, np.zeros(3))
    load = form(ufl.inner(direction, ufl.grad(test)) * ufl.dx)
    loads = []
    for axis in range(3):
        direction.value[:] = np.eye(3)[axis]
        loads.append(assemble_vector(load).array.copy())
    node = np.zeros(len(mesh.nodes), dtype=np.int64)
    node[space.dofmap.list.ravel()] = domain.geometry.input_global_indices[domain.geometry.dofmap.ravel()]
    matrices = assemble(mesh, "jumping")
    values = np.random.default_rng(0).random((matrices.unknowns, 4))
    bulk = csr_array((matrices.bulk.matrix, matrices.columns, matrices.starts))
    same = values[matrices.unknown][node]
    np.testing.assert_allclose(same.T @ stiffness @ same, values.T @ (bulk @ values), rtol=1e-12)
    np.testing.assert_allclose(np.array(loads) @ same, matrices.bulk.load.T @ values, rtol=0, atol=1e-12)
