"""Claims about fitting: the loss, its derivatives, starts, checkpoints and refusals."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import random_cell

import mtpcore
from mtpcore.configuration import Configuration
from mtpcore.fit import FitSettings, fit
from mtpcore.fitting_problem import FittingProblem, FitWeights
from mtpcore.progress import Progress
from mtpcore.training_set import make_training_set

SILENT = Progress(enabled=False)
QUICK = FitSettings(hops=2, max_iterations=30, threads=2)


def template(level: int = 4, species: int = 2) -> mtpcore.Potential:
    potential = mtpcore.new_potential(level, species, min_dist=1.5, max_dist=4.0, radial_basis_size=5)
    potential.scaling = 0.1
    return potential


def trained(level: int = 4, species: int = 2, seed: int = 1) -> mtpcore.Potential:
    potential = template(level, species)
    rng = np.random.default_rng(seed)
    radial = potential.radial_coeffs.shape
    parameters = rng.normal(size=potential.parameter_count)
    parameters[: np.prod(radial)] = (rng.normal(size=radial) / (1 + np.arange(radial[-1]))).ravel()
    return mtpcore.set_parameters(potential, parameters)


def labelled(potential: mtpcore.Potential, count: int, atoms: int = 8, *, noise: float = 0.0) -> list[Configuration]:
    engine = mtpcore.Engine(potential)
    rng = np.random.default_rng(0)
    result = []
    for seed in range(count):
        s = random_cell(atoms, potential.species_count, seed, volume_per_atom=14.0)
        e = engine.evaluate(s.types, s.positions, s.cell, s.pbc)
        virial = e.virial[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        forces = e.forces + noise * rng.normal(size=e.forces.shape)
        result.append(Configuration(s.types, s.positions, s.cell, energy=e.energy, forces=forces, plus_stress=virial))
    return result


def problem(weights: FitWeights, level: int = 6) -> tuple[FittingProblem, np.ndarray]:
    teacher, student = trained(level, seed=1), trained(level, seed=2)
    training_set = make_training_set(labelled(teacher, 4), student)
    return FittingProblem(student, training_set, weights, np.array([0.3, -0.2]), threads=2), mtpcore.get_parameters(
        student
    )


@pytest.mark.parametrize(
    "weights",
    [
        FitWeights(energy=1.0, force=0.0),
        FitWeights(energy=0.0, force=0.01),
        FitWeights(energy=0.0, force=0.0, stress=0.1),
        FitWeights(energy=1.0, force=0.01, stress=0.001, energy_scaling=2.0, force_scaling=1.0),
    ],
    ids=["energy", "force", "stress", "all"],
)
@pytest.mark.parametrize("group", ["radial", "species", "moment"])
def test_the_loss_gradient_equals_finite_differences(weights: FitWeights, group: str) -> None:
    loss, x = problem(weights)
    count, species = loss.nonlinear_count, 2
    members = {
        "radial": slice(0, count),
        "species": slice(count, count + species),
        "moment": slice(count + species, None),
    }
    direction = np.zeros_like(x)
    direction[members[group]] = np.random.default_rng(3).normal(size=direction[members[group]].shape)
    step = 1e-3
    samples = [loss.loss(x + k * step * direction) for k in (-2, -1, 1, 2)]
    expected = (samples[0] - 8 * samples[1] + 8 * samples[2] - samples[3]) / (12 * step)
    value, gradient = loss.loss_and_gradient(x)
    assert value == pytest.approx(loss.loss(x), rel=1e-14)
    assert gradient @ direction == pytest.approx(expected, rel=1e-6, abs=1e-12 * abs(value))


def test_the_loss_is_the_formula_of_the_weights() -> None:
    weights = FitWeights(energy=2.0, force=0.03, stress=0.004)
    teacher, student = trained(seed=1), trained(seed=2)
    data = labelled(teacher, 3)
    loss = FittingProblem(student, make_training_set(data, student), weights, np.zeros(2), threads=1)
    engine = mtpcore.Engine(student)
    expected = 0.0
    for c in data:
        e = engine.evaluate(c.types, c.positions, c.cell, [True] * 3)
        xx, yy, zz, yz, xz, xy = c.plus_stress
        difference = e.virial - np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        atoms = len(c.types)
        expected += 2.0 * (e.energy - c.energy) ** 2 / atoms + 0.03 * ((e.forces - c.forces) ** 2).sum()
        expected += 0.004 * (difference**2).sum() / atoms
    assert loss.loss(mtpcore.get_parameters(student)) == pytest.approx(expected / 3, rel=1e-12)


def test_a_configuration_of_weight_two_counts_as_two() -> None:
    first, second = labelled(trained(6, seed=1), 2)
    weighted = replace(first, features={"fit_weight": "2"})
    student, weights = trained(6, seed=2), FitWeights(stress=0.1)
    problems = [
        FittingProblem(student, make_training_set(configurations, student), weights, np.zeros(2), threads=1)
        for configurations in ([weighted, second], [first, first, second])
    ]
    x = mtpcore.get_parameters(student)
    (loss, gradient), (expected_loss, expected_gradient) = (p.loss_and_gradient(x) for p in problems)
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-9, atol=1e-9 * np.abs(gradient).max())


def test_normal_equations_belong_to_the_gradient() -> None:
    loss, x = problem(FitWeights(energy=1.0, force=0.01, stress=0.001))
    value, gradient, normal = loss.normal_equations(x)
    _, full = loss.loss_and_gradient(x)
    np.testing.assert_allclose(2.0 * gradient, full, rtol=1e-9, atol=1e-12 * abs(full).max())
    linear_gradient, linear_normal = loss.linear_normal_equations(x)
    np.testing.assert_allclose(linear_gradient, gradient[loss.nonlinear_count :], rtol=1e-10)
    np.testing.assert_allclose(linear_normal, normal[loss.nonlinear_count :, loss.nonlinear_count :], rtol=1e-10)
    step = 1e-6 * np.random.default_rng(0).normal(size=x.shape)
    predicted = value + 2.0 * gradient @ step + step @ normal @ step
    assert loss.loss(x + step) == pytest.approx(predicted, rel=1e-7)


def test_a_student_finds_its_teacher() -> None:
    teacher = trained(4)
    data = labelled(teacher, 20)
    result = fit(template(4), data, settings=replace(QUICK, hops=10, max_iterations=100), progress=SILENT)
    rms = np.sqrt(np.mean(np.concatenate([c.forces for c in data]) ** 2))
    assert result.errors.force < 1e-3 * rms
    assert result.success


def test_a_warm_start_is_never_made_worse() -> None:
    teacher = trained(6, seed=4)
    data = labelled(teacher, 6, noise=0.3)
    start = FittingProblem(teacher, make_training_set(data, teacher), FitWeights(), np.zeros(2), threads=1)
    before = start.loss(mtpcore.get_parameters(teacher))
    result = fit(teacher, data, settings=replace(QUICK, regularization=0.0), progress=SILENT)
    assert result.loss <= before
    losses = result.history["loss"]
    assert losses[0] == pytest.approx(before, rel=1e-9)
    assert np.all(np.diff(losses) <= 0.0)


def test_the_history_is_a_tidy_table() -> None:
    result = fit(template(), labelled(trained(), 5), settings=QUICK, progress=SILENT)
    assert set(result.history) >= {"iteration", "loss", "force_rmse_eV_per_angstrom", "gradient_norm"}
    assert len({len(column) for column in result.history.values()}) == 1
    assert result.history["loss"][-1] == result.loss


def test_reference_energies_change_nothing_but_the_numerics() -> None:
    data = labelled(trained(), 8, noise=0.1)
    shifted = [replace(c, energy=c.energy - 500.0 * (c.types == 0).sum() - 9000.0 * (c.types == 1).sum()) for c in data]
    plain = fit(template(), data, settings=QUICK, progress=SILENT)
    large = fit(template(), shifted, settings=QUICK, progress=SILENT)
    given = fit(template(), shifted, settings=QUICK, reference_energies=np.array([-500.0, -9000.0]), progress=SILENT)
    assert large.loss == pytest.approx(plain.loss, rel=1e-3)
    assert given.errors.energy_per_atom == pytest.approx(plain.errors.energy_per_atom, rel=0.05, abs=1e-6)
    difference = large.potential.species_coeffs - plain.potential.species_coeffs
    counts = np.array([np.bincount(c.types, minlength=2) for c in data])
    np.testing.assert_allclose(counts @ difference, counts @ [-500.0, -9000.0], rtol=1e-4)


@pytest.mark.parametrize("interrupted", [False, True])
def test_segments_end_bit_identical(tmp_path: Path, *, interrupted: bool) -> None:
    data = labelled(trained(), 6, noise=0.1)
    settings = FitSettings(hops=3, max_iterations=12, tolerance=0.0, threads=2)

    def run(path: Path, *, kill: bool) -> mtpcore.Potential:
        while True:
            saved = path.read_bytes() if path.exists() else None
            result = fit(template(), data, settings=settings, checkpoint=path, segment_iterations=4, progress=SILENT)
            if kill and saved is not None:  # as if the process had died before its checkpoint was written
                path.write_bytes(saved)
                kill = False
            elif result.reason != "segment":
                return result.potential

    first = run(tmp_path / "a.npz", kill=False)
    second = run(tmp_path / "b.npz", kill=interrupted)
    assert np.array_equal(mtpcore.get_parameters(first), mtpcore.get_parameters(second))


def test_a_checkpoint_of_another_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fit.npz"
    data = labelled(trained(), 4)
    fit(template(), data, settings=QUICK, checkpoint=path, segment_iterations=1, progress=SILENT)
    with pytest.raises(mtpcore.CheckpointError, match="another start"):
        fit(template(), data[:3], settings=QUICK, checkpoint=path, progress=SILENT)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(mtpcore.CheckpointError, match="not a readable checkpoint"):
        fit(template(), data, settings=QUICK, checkpoint=path, progress=SILENT)


def broken(case: str) -> list[Configuration]:
    data = labelled(trained(), 4)
    bad = data[2]
    close = bad.positions.copy()
    close[1] = close[0] + [1.0, 0.0, 0.0]
    data[2] = {
        "no forces": replace(bad, forces=None),
        "no energy": replace(bad, energy=None),
        "levels": replace(bad, features={"level_of_theory": "PBE"}),
        "species": replace(bad, types=bad.types + 1),
        "close": replace(bad, positions=close),
        "weight": replace(bad, features={"fit_weight": "-1"}),
    }[case]
    return data


@pytest.mark.parametrize(
    ("case", "error", "message"),
    [
        ("no forces", mtpcore.TrainingSetError, "configuration 2 .* without forces"),
        ("no energy", mtpcore.TrainingSetError, "configuration 2 .* without an energy"),
        ("levels", mtpcore.TrainingSetError, "levels of theory are mixed.*PBE"),
        ("weight", mtpcore.TrainingSetError, "configuration 2 .* fit_weight that is no positive number"),
        ("species", mtpcore.UnknownSpeciesError, "configuration 2 .*beyond the potential's 2"),
        ("close", mtpcore.TrainingSetError, r"closer than min_dist .* 2 \(atoms 0 and 1: 1.000"),
    ],
)
def test_unusable_labels_are_refused_by_name(case: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fit(template(), broken(case), progress=SILENT)


def test_an_empty_set_and_empty_weights_are_refused() -> None:
    with pytest.raises(mtpcore.TrainingSetError, match="empty"):
        fit(template(), [], progress=SILENT)
    with pytest.raises(ValueError, match="not all zero"):
        FitWeights(energy=0.0, force=0.0)
    with pytest.raises(ValueError, match="finite"):
        FitWeights(energy=float("nan"))


MPI_PROGRAM = """
import sys
from mpi4py import MPI
import mtpcore, numpy as np
from test_fit import *
comm = MPI.COMM_WORLD
data = labelled(trained(), 7, noise=0.1)
settings = FitSettings(hops=2, max_iterations=8, tolerance=0.0, threads=1)
result = fit(template(), data, settings=settings, communicator=comm if comm.size > 1 else None, progress=SILENT)
if comm.rank == 0:
    print("ranks", comm.size, "loss", repr(result.loss))
"""


def test_ranks_share_the_configurations() -> None:
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
