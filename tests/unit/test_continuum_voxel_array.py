"""The voxel engine on arrays of a library, as on a GPU, gives what the compiled one does."""

import importlib.util

import numpy as np
import pytest

from argyro.common.errors import ContinuumError
from argyro.continuum.material import GrainBoundaryMaterial
from argyro.continuum.voxel import VoxelEngine
from argyro.continuum.voxel_array import gpu_library, solve_voxels_by_arrays
from argyro.continuum.voxel_solver import Voxels, solve_voxels
from argyro.microstructure.generate import draw_microstructure
from argyro.microstructure.tessellation import tessellate

SKEWED = np.array([[1.0, 0.1, 0.2], [0.0, 1.2, 0.3], [0.2, 0.0, 1.5]])


def random_voxels(shape: tuple[int, int, int]) -> Voxels:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 3, 3))
    tensors = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(3)
    return Voxels(rng.integers(0, 5, shape).astype(np.uint16), tensors, SKEWED)


def without_mean(potentials: np.ndarray) -> np.ndarray:
    result: np.ndarray = potentials - potentials.mean(axis=(1, 2, 3), keepdims=True)
    return result


@pytest.mark.parametrize("shape", [(8, 8, 8), (6, 7, 9)])
def test_arrays_give_the_tensor_and_the_fields_of_the_compiled_solver(shape: tuple[int, int, int]) -> None:
    voxels = random_voxels(shape)
    ours, theirs = (solve_voxels(voxels, tolerance=1e-9), solve_voxels_by_arrays(voxels, np, tolerance=1e-9))
    assert theirs.tensor == pytest.approx(ours.tensor, rel=1e-9)
    assert without_mean(theirs.potentials) == pytest.approx(without_mean(ours.potentials), abs=1e-8)
    assert max(theirs.residuals) <= 1e-9


def test_arrays_go_on_from_where_the_compiled_solver_ended() -> None:
    voxels = random_voxels((6, 7, 9))
    start = solve_voxels(voxels, tolerance=1e-9).potentials
    assert solve_voxels_by_arrays(voxels, np, start=start, tolerance=1e-8).iterations == (0, 0, 0)


def test_equal_voxels_need_no_iteration_and_what_does_not_converge_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    voxels = random_voxels((8, 8, 8))
    same = Voxels(np.zeros((8, 8, 8), np.uint16), voxels.tensors[:1], np.eye(3))
    solution = solve_voxels_by_arrays(same, np)
    assert solution.iterations == (0, 0, 0)
    assert solution.tensor == pytest.approx(voxels.tensors[0])
    monkeypatch.setattr("argyro.continuum.voxel_array.ITERATIONS", 2)
    with pytest.raises(ContinuumError, match="after 2 iterations"):
        solve_voxels_by_arrays(voxels, np)


def test_engine_on_a_gpu_gives_what_it_gives_on_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    grains = tessellate(draw_microstructure("cell", 80.0 * np.eye(3), 4, seed=1))
    material = GrainBoundaryMaterial(D_bulk=1.0, D_par=0.5, D_perp=0.2, width_nm=3.0)
    ours = VoxelEngine(22, tolerance=1e-8).effective_diffusivity(grains, material)
    monkeypatch.setattr("argyro.continuum.voxel.gpu_library", lambda: np)
    found = VoxelEngine(22, tolerance=1e-8, gpu=True).effective_diffusivity(grains, material)
    assert found.tensor == pytest.approx(ours.tensor, rel=1e-6)


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="CuPy is installed here")
def test_gpu_that_is_not_there_is_said() -> None:
    with pytest.raises(ContinuumError, match=r"continuum\.gpu is true, but CuPy finds no GPU"):
        gpu_library()
