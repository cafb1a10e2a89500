"""Claims about the two ways downhill, variable projection and BFGS, and about the linear algebra under them."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_cli_fit import run as run_command_line
from test_fit import SILENT, labelled, template, trained

import mtpcore
from mtpcore import bfgs, least_squares
from mtpcore.cfg import write_cfg
from mtpcore.configuration import Configuration
from mtpcore.fit import FitResult, FitSettings, fit
from mtpcore.fitting_problem import FittingProblem, FitWeights
from mtpcore.methods import METHODS
from mtpcore.training_set import make_training_set

type FloatArray = np.typing.NDArray[np.float64]

WEIGHTS = FitWeights(energy=1.0, force=0.01, stress=0.001)
METHOD_NAMES = list(METHODS)


@pytest.fixture
def variant_as_it_was() -> Iterator[None]:
    before = mtpcore.simd()
    yield
    mtpcore.select_simd(before)


def weighted_residuals(potential: mtpcore.Potential, data: list[Configuration]) -> FloatArray:
    """Square roots of the terms of the loss, from the engine that evaluates single structures."""
    engine, parts = mtpcore.Engine(potential, threads=1), []
    for c in data:
        e = engine.evaluate(c.types, c.positions, c.cell, [True] * 3)
        assert c.plus_stress is not None
        virial = e.virial[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] - c.plus_stress
        size = 1.0 / np.sqrt(len(data)), 1.0 / np.sqrt(len(data) * len(c.types))
        parts += [
            [np.sqrt(WEIGHTS.energy) * size[1] * (e.energy - c.energy)],
            np.sqrt(WEIGHTS.force) * size[0] * (e.forces - c.forces).ravel(),
            np.sqrt(WEIGHTS.stress * np.array([1, 1, 1, 2, 2, 2])) * size[1] * virial,
        ]
    return np.concatenate(parts)


@pytest.mark.usefixtures("variant_as_it_was")
@pytest.mark.parametrize("variant", mtpcore.simd_available())
@pytest.mark.parametrize("linear_only", [False, True], ids=["all", "linear"])
def test_normal_equations_are_those_of_a_jacobian_by_finite_differences(variant: str, *, linear_only: bool) -> None:
    mtpcore.select_simd(variant)
    student = trained(6, seed=2)
    data = labelled(trained(6, seed=1), 3) + labelled(trained(6, seed=1), 1, atoms=110)
    x = mtpcore.get_parameters(student)
    columns = []
    for number in range(len(x)):
        step = 1e-3 * (np.arange(len(x)) == number)
        sides = [weighted_residuals(mtpcore.set_parameters(student, x + k * step), data) for k in (-2, -1, 1, 2)]
        columns.append((sides[0] - 8 * sides[1] + 8 * sides[2] - sides[3]) / 12e-3)
    problem = FittingProblem(student, make_training_set(data, student), WEIGHTS, np.zeros(2), threads=2)
    first = problem.nonlinear_count if linear_only else 0
    jacobian, residuals = np.array(columns[first:]).T, weighted_residuals(student, data)
    gradient, normal = problem.linear_normal_equations(x) if linear_only else problem.normal_equations(x)[1:]
    size = np.linalg.norm(jacobian, axis=0)
    assert np.abs(normal - jacobian.T @ jacobian).max() <= 1e-8 * size.max() ** 2
    np.testing.assert_allclose((normal - jacobian.T @ jacobian) / np.outer(size, size), 0.0, atol=1e-6)
    np.testing.assert_allclose((gradient - jacobian.T @ residuals) / size, 0.0, atol=1e-6 * np.linalg.norm(residuals))


@pytest.fixture(scope="module")
def noisy() -> list[Configuration]:
    return labelled(trained(6, seed=4), 12, noise=0.05)


def near(potential: mtpcore.Potential, distance: float) -> mtpcore.Potential:
    """A potential with slightly other coefficients."""
    x = mtpcore.get_parameters(potential)
    return mtpcore.set_parameters(potential, x * (1.0 + distance * np.random.default_rng(0).normal(size=x.shape)))


def fitted(data: list[Configuration], method: str, *, distance: float = 0.05, **options: object) -> FitResult:
    settings = FitSettings(method=method, threads=1, **options)
    return fit(near(trained(6, seed=4), distance), data, settings=settings, progress=SILENT)


def test_both_methods_end_in_the_same_minimum(noisy: list[Configuration]) -> None:
    results = [fitted(noisy, method, tolerance=1e-6, regularization=0.0) for method in METHOD_NAMES]
    assert all(result.success for result in results)
    assert results[1].loss == pytest.approx(results[0].loss, rel=2e-3)
    assert results[1].loss < 0.1 * results[1].history["loss"][0]


def test_bfgs_never_goes_uphill(noisy: list[Configuration]) -> None:
    result = fitted(noisy, "bfgs", distance=1.0, max_iterations=100, tolerance=0.0, regularization=0.0)
    assert len(result.history["loss"]) == 101
    assert np.all(np.diff(result.history["loss"]) < 0.0)
    assert result.reason == "budget"


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_fit_that_only_lowers_its_regularization_returns_its_start(method: str, noisy: list[Configuration]) -> None:
    best = fitted(noisy, "variable-projection", tolerance=0.0, regularization=0.0)
    settings = FitSettings(method=method, threads=1, regularization=0.1)
    result = fit(best.potential, noisy, settings=settings, progress=SILENT)
    assert result.history["loss"][-1] > best.loss
    assert result.loss == pytest.approx(best.loss, rel=1e-9)
    assert np.array_equal(result.potential.radial_coeffs, best.potential.radial_coeffs)


class Counted(FittingProblem):
    """Counts what is asked of it."""

    def __init__(self, potential: mtpcore.Potential, data: list[Configuration]) -> None:
        super().__init__(potential, make_training_set(data, potential), FitWeights(), np.zeros(2), threads=1)
        self.calls: Counter[str] = Counter()

    def loss_and_gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        self.calls["gradient"] += 1
        return super().loss_and_gradient(x)

    def normal_equations(self, x: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        self.calls["jacobian"] += 1
        return super().normal_equations(x)

    def linear_normal_equations(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        self.calls["jacobian"] += 1
        return super().linear_normal_equations(x)


def test_an_iteration_of_bfgs_costs_hardly_more_than_one_gradient(noisy: list[Configuration]) -> None:
    start = near(trained(6, seed=4), 1.0)
    problem = Counted(start, noisy)
    state = bfgs.State(mtpcore.get_parameters(start))
    steps = [bfgs.iterate(problem, state) for _ in range(100)]
    assert all(step.accepted for step in steps)
    assert problem.calls["jacobian"] == 1
    assert problem.calls["gradient"] <= 150


class Parabola:
    """|A x - b|^2 with eigenvalues of A^T A between 1 and 1e8."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self.a = np.linalg.qr(rng.normal(size=(30, 12)))[0] * np.logspace(0, 4, 12)
        self.b = rng.normal(size=30)
        self.nonlinear_count, self.linear_count = 12, 0

    def prepare(self, data_loss: float) -> None:
        pass

    def data_loss(self, x: FloatArray) -> float:
        return float(((self.a @ x - self.b) ** 2).sum())

    loss = data_loss

    def loss_and_gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        return self.data_loss(x), 2.0 * self.a.T @ (self.a @ x - self.b)

    def normal_equations(self, x: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        return self.data_loss(x), self.a.T @ (self.a @ x - self.b), self.a.T @ self.a

    def linear_normal_equations(self, _x: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.zeros(0), np.zeros((0, 0))


def test_bfgs_solves_a_parabola_of_any_shape_in_a_few_steps() -> None:
    problem, state = Parabola(), bfgs.State(np.ones(12))
    while bfgs.iterate(problem, state).accepted:
        assert state.iteration < 20
    expected = np.linalg.lstsq(problem.a, problem.b, rcond=None)[0]
    np.testing.assert_allclose(state.x, expected, rtol=1e-6)


def test_bfgs_learns_the_curvature() -> None:
    problem, state = Parabola(), bfgs.State(np.ones(12))
    bfgs.take_linear_model(problem, state)
    state.inverse *= 30.0  # wrong, and made right step by step
    while bfgs.iterate(problem, state).accepted:
        assert state.iteration < 60
    np.testing.assert_allclose(state.x, np.linalg.lstsq(problem.a, problem.b, rcond=None)[0], rtol=1e-6)


def test_a_trained_potential_that_cannot_be_improved_stays(noisy: list[Configuration]) -> None:
    best = fitted(noisy, "variable-projection", tolerance=0.0, regularization=0.0)
    settings = FitSettings(method="bfgs", threads=1, regularization=0.0, tolerance=0.0)
    result = fit(best.potential, noisy, settings=settings, progress=SILENT)
    assert result.loss <= best.loss * (1.0 + 1e-12)
    assert result.loss == pytest.approx(best.loss, rel=1e-4)


@pytest.mark.parametrize("is_killed", [False, True])
def test_segments_of_bfgs_end_bit_identical(tmp_path: Path, noisy: list[Configuration], *, is_killed: bool) -> None:
    settings = FitSettings(hops=1, max_iterations=40, tolerance=0.0, threads=2, method="bfgs")

    def run(path: Path, segment: int, *, kill: bool) -> mtpcore.Potential:
        while True:
            saved = path.read_bytes() if path.exists() else None
            result = fit(
                template(6), noisy, settings=settings, checkpoint=path, segment_iterations=segment, progress=SILENT
            )
            if kill and saved is not None:  # as if the process had died before its checkpoint was written
                path.write_bytes(saved)
                kill = False
            elif result.reason != "segment":
                assert result.reason == "budget"
                return result.potential

    first = run(tmp_path / "a.npz", 15, kill=False)
    second = run(tmp_path / "b.npz", 4 if is_killed else 1000, kill=is_killed)
    assert np.array_equal(mtpcore.get_parameters(first), mtpcore.get_parameters(second))


def test_a_checkpoint_of_the_other_method_is_refused(tmp_path: Path, noisy: list[Configuration]) -> None:
    path = tmp_path / "fit.npz"
    start, settings = near(trained(6, seed=4), 0.05), FitSettings(threads=1)
    fit(start, noisy, settings=settings, checkpoint=path, segment_iterations=1, progress=SILENT)
    with pytest.raises(mtpcore.CheckpointError, match="settings"):
        fit(start, noisy, settings=replace(settings, method="bfgs"), checkpoint=path, progress=SILENT)


def test_an_unknown_method_is_refused(noisy: list[Configuration]) -> None:
    with pytest.raises(ValueError, match="'adam'; there are variable-projection, bfgs"):
        fitted(noisy, "adam")


def test_variable_projection_is_exact_in_the_linear_parameters() -> None:
    student = trained(6, seed=2)
    data = labelled(trained(6, seed=1), 6)
    problem = FittingProblem(student, make_training_set(data, student), FitWeights(), np.zeros(2), threads=1)
    x = least_squares.solve_linear(problem, mtpcore.get_parameters(student))
    gradient = problem.loss_and_gradient(x)[1]
    before = problem.loss_and_gradient(mtpcore.get_parameters(student))[1]
    first = problem.nonlinear_count
    assert np.abs(gradient[first:]).max() < 1e-8 * np.abs(before[first:]).max()
    assert np.abs(gradient[:first]).max() > 1e-4 * np.abs(before[:first]).max()


def test_the_command_line_fits_by_bfgs_in_segments(tmp_path: Path, noisy: list[Configuration]) -> None:
    write_cfg(tmp_path / "train.cfg", noisy)
    mtpcore.write_potential(tmp_path / "start.mtp", near(trained(6, seed=4), 0.05))
    options = ["--start", str(tmp_path / "start.mtp"), "--method", "bfgs", "--max-iterations", "30", "--threads", "1"]
    for name, more in (
        ("whole", []),
        ("parts", ["--checkpoint", str(tmp_path / "c.npz"), "--segment-iterations", "12"]),
    ):
        output = str(tmp_path / f"{name}.mtp")
        assert run_command_line([str(tmp_path / "train.cfg"), "--output", output, *options, *more]) == 0
    assert (tmp_path / "whole.mtp").read_bytes() == (tmp_path / "parts.mtp").read_bytes()


MPI_PROGRAM = """
from mpi4py import MPI
from test_fit_methods import *
comm = MPI.COMM_WORLD
settings = FitSettings(method="bfgs", max_iterations=20, tolerance=0.0, threads=1)
data = labelled(trained(6, seed=4), 7, noise=0.05)
communicator = comm if comm.size > 1 else None
result = fit(near(trained(6, seed=4), 0.05), data, settings=settings, communicator=communicator, progress=SILENT)
if comm.rank == 0:
    print("ranks", comm.size, "loss", repr(result.loss))
"""


def test_ranks_share_the_configurations_of_bfgs() -> None:
    pytest.importorskip("mpi4py")
    mpiexec = Path(sys.executable).parent / "mpiexec"
    if not mpiexec.exists():
        pytest.skip("no mpiexec beside this Python")
    losses = {}
    for ranks in (1, 2):
        command = [str(mpiexec), "-n", str(ranks), sys.executable, "-c", MPI_PROGRAM]
        run = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent, timeout=120
        )
        assert f"ranks {ranks} " in run.stdout, run.stdout + run.stderr
        losses[ranks] = float(run.stdout.split()[-1])
    assert losses[2] == pytest.approx(losses[1], rel=1e-4)
