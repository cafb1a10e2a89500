"""Concentration and flux inside voxels, and their files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from argyro.continuum.fields import VoxelFields, draw_fields, voxel_fields, write_vtkhdf
from argyro.continuum.material import GrainBoundaryMaterial
from argyro.continuum.voxel_grid import voxelize
from argyro.continuum.voxel_solver import Voxels, VoxelSolution, solve_voxels
from argyro.microstructure.generate import draw_microstructure
from argyro.microstructure.tessellation import tessellate

CELL = np.array([[9.0, 0, 0], [1.8, 8.1, 0], [-1.4, 2.2, 9.9]])
DIRECTION = np.array([1.0, -2.0, 0.5])


@pytest.fixture(scope="module")
def solved() -> tuple[Voxels, VoxelSolution]:
    boundaries = voxelize(tessellate(draw_microstructure("grains", 10 * CELL, 6, seed=2)), 1.5, (11, 10, 12))
    material = GrainBoundaryMaterial(D_bulk=1.0, D_par=10.0, D_perp=0.1, width_nm=1.5)
    voxels = Voxels(boundaries.number, boundaries.tensors(material), CELL)
    return voxels, solve_voxels(voxels)


@pytest.fixture(scope="module")
def fields(solved: tuple[Voxels, VoxelSolution]) -> VoxelFields:
    return voxel_fields(*solved, DIRECTION)


def test_mean_flux_is_what_the_effective_diffusivity_says(
    solved: tuple[Voxels, VoxelSolution], fields: VoxelFields
) -> None:
    expected = solved[1].tensor @ DIRECTION / np.linalg.norm(DIRECTION)
    np.testing.assert_allclose(fields.flux.mean(axis=(0, 1, 2)), expected, rtol=0, atol=1e-7 * solved[1].tensor.max())


def test_concentration_falls_from_cell_to_cell_along_the_flux(fields: VoxelFields) -> None:
    fall = CELL @ DIRECTION / np.linalg.norm(DIRECTION)
    for axis in range(3):
        first, last = (np.take(fields.concentration, place, axis=axis) for place in (0, -1))
        np.testing.assert_allclose(first - last, fall[axis], rtol=0, atol=1e-12)


def test_flux_of_a_single_crystal_is_the_same_everywhere() -> None:
    voxels = Voxels(np.zeros((3, 4, 5), np.uint16), np.diag([1.0, 2.0, 3.0])[None], CELL)
    found = voxel_fields(voxels, solve_voxels(voxels), np.array([0.0, 0, 7]))
    np.testing.assert_allclose(found.flux, np.broadcast_to([0, 0, 3.0], found.flux.shape), rtol=0, atol=1e-12)


def test_files_hold_the_fields_on_the_cell(fields: VoxelFields, tmp_path: Path) -> None:
    write_vtkhdf(tmp_path, fields)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["concentration.vtkhdf", "flux.vtkhdf"]
    from mpi4py import MPI  # noqa: I001, PLC0415
    from dolfinx.io.vtkhdf import read_mesh  # noqa: PLC0415

    for name, values in (("concentration", fields.concentration), ("flux", fields.flux)):
        mesh = read_mesh(MPI.COMM_SELF, str(tmp_path / f"{name}.vtkhdf"))
        assert mesh.topology.index_map(3).size_local == 11 * 10 * 12
        np.testing.assert_allclose(mesh.geometry.x.max(axis=0), np.clip(CELL, 0, None).sum(axis=0), rtol=1e-12)
        assert np.isin(values.ravel(), _numbers(tmp_path / f"{name}.vtkhdf")).all()


def _numbers(file: Path) -> Any:
    """Whatever is a number in a file."""
    content = file.read_bytes()
    return np.frombuffer(content[: len(content) // 8 * 8], np.float64)


def test_picture_is_drawn_without_a_screen(fields: VoxelFields, tmp_path: Path) -> None:
    figure = draw_fields(tmp_path / "fields.png", fields)
    assert (imread(tmp_path / "fields.png")[..., :3].std(axis=(0, 1)) > 0.05).all(), "something coloured is there"
    concentration, flux = figure.axes[:2]
    assert concentration.get_xlabel() == flux.get_xlabel() == "x (nm)"
    corners = flux.collections[0].get_coordinates().reshape(-1, 2)
    np.testing.assert_allclose(np.ptp(corners, axis=0), [0.9 + 0.18, 0.81], rtol=1e-12, err_msg="nm, of 9 angstrom")
    shown = flux.collections[0].get_array()
    size = np.linalg.norm(fields.flux[:, :, 6], axis=-1)
    np.testing.assert_allclose(shown / shown.max(), size / size.max(), rtol=1e-12)
    assert shown.mean() > 1, "the mean of sizes is above the size of the mean"
