"""Transforms of the coefficients that no energy notices, and the directions without data that come with them."""

import numpy as np
import numpy.typing as npt
import pytest
from helpers import random_cell
from native import random_native, shuffled, with_random_active_set

from mtpcore import Engine, LevelError, MtpcoreError
from mtpcore.gauge import canonical_mixing, change_gauge, row_transform

type FloatArray = npt.NDArray[np.float64]

CASES = [(2, 1), (6, 2), (10, 1), (12, 4), (16, 2), (20, 3)]


def lower_triangular(count: int, seed: int) -> FloatArray:
    return np.tril(np.random.default_rng(seed).normal(size=(count, count))) + 2.0 * np.eye(count)


@pytest.mark.parametrize(("level", "species_count"), CASES)
def test_energies_and_forces_do_not_notice_the_gauge(level: int, species_count: int) -> None:
    potential = random_native(level, species_count, seed=level)
    other = change_gauge(potential, lower_triangular(potential.radial_funcs_count, 1))
    structure = random_cell(12, species_count, seed=3)
    expected, found = (Engine(p, threads=1).evaluate(*structure) for p in (potential, other))
    np.testing.assert_allclose(found.site_energies, expected.site_energies, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(found.forces, expected.forces, rtol=1e-10, atol=1e-10)
    assert not np.allclose(other.radial_coeffs, potential.radial_coeffs)


@pytest.mark.parametrize(("level", "species_count"), CASES)
def test_rows_transform_as_they_are_predicted_to(level: int, species_count: int) -> None:
    potential = random_native(level, species_count, seed=level)
    mixing = lower_triangular(potential.radial_funcs_count, 2)
    transform = row_transform(potential, mixing)
    structure = random_cell(12, species_count, seed=4)
    before, after = (
        Engine(p, threads=1).site_energy_jacobian(*structure) for p in (potential, change_gauge(potential, mixing))
    )
    np.testing.assert_allclose(transform.forward(before), after, atol=1e-11 * np.abs(after).max())
    np.testing.assert_allclose(transform.backward(after), before, atol=1e-11 * np.abs(before).max())


@pytest.mark.parametrize("level", [6, 12])
def test_rows_lack_as_many_directions_as_there_are_gauge_transforms(level: int) -> None:
    potential = random_native(level, 1, seed=level)
    engine = Engine(potential, threads=1)
    cells = (random_cell(20, 1, seed=seed) for seed in range(20))
    rows = np.vstack([engine.site_energy_jacobian(*cell) for cell in cells])
    singular = np.linalg.svd(rows / np.abs(rows).max(axis=0), compute_uv=False)
    count = potential.radial_funcs_count
    assert (singular < 1e-13 * singular[0]).sum() == count * (count + 1) // 2


def test_the_canonical_gauge_is_the_same_from_every_gauge() -> None:
    potential = random_native(12, 3, seed=1)
    other = change_gauge(potential, lower_triangular(potential.radial_funcs_count, 3))
    first, second = (change_gauge(p, canonical_mixing(p)) for p in (potential, other))
    functions = np.moveaxis(first.radial_coeffs, 2, 0).reshape(potential.radial_funcs_count, -1)
    np.testing.assert_allclose(functions @ functions.T, np.eye(len(functions)), atol=1e-12)
    np.testing.assert_allclose(np.abs(second.radial_coeffs), np.abs(first.radial_coeffs), atol=1e-12)
    np.testing.assert_allclose(np.abs(second.moment_coeffs), np.abs(first.moment_coeffs), rtol=1e-8, atol=1e-10)


def test_functions_that_vanish_or_depend_on_others_have_a_canonical_gauge_too() -> None:
    potential = random_native(16, 2, seed=2)
    radial = potential.radial_coeffs
    radial[:, :, 1] = 0.0
    radial[:, :, 2] = -3.0 * radial[:, :, 0]
    potential.radial_coeffs = radial
    mixing = canonical_mixing(potential)
    np.testing.assert_array_equal(mixing[1], [0.0, 1.0, 0.0, 0.0])
    assert np.isfinite(mixing).all()
    np.testing.assert_array_equal(mixing[2, [0, 1, 3]], 0.0)
    assert np.linalg.cond(mixing) < 1e3


def test_active_sets_go_along() -> None:
    potential = with_random_active_set(random_native(8, 2, seed=3))
    other = change_gauge(potential, lower_triangular(potential.radial_funcs_count, 4))
    structure = random_cell(12, 2, seed=5)
    expected, found = (Engine(p, threads=1).grades(*structure) for p in (potential, other))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert other.active_set is not None
    product = other.active_set.matrix @ other.active_set.inverse_transposed.T
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-9)


def test_the_order_of_the_tables_does_not_matter() -> None:
    potential = shuffled(random_native(12, 2, seed=4), seed=5)
    other = change_gauge(potential, lower_triangular(potential.radial_funcs_count, 5))
    structure = random_cell(12, 2, seed=6)
    expected, found = (Engine(p, threads=1).evaluate(*structure).energy for p in (potential, other))
    assert found == pytest.approx(expected, rel=1e-11)


def test_tables_of_no_level_can_be_scaled_only() -> None:
    potential = random_native(8, 2, seed=6)
    potential.alpha_moment_mapping = potential.alpha_moment_mapping[:-1]
    potential.moment_coeffs = potential.moment_coeffs[:-1]
    structure = random_cell(12, 2, seed=7)
    other = change_gauge(potential, np.diag([3.0, -0.2]))
    expected, found = (Engine(p, threads=1).evaluate(*structure).energy for p in (potential, other))
    assert found == pytest.approx(expected, rel=1e-11)
    assert np.count_nonzero(np.tril(canonical_mixing(potential), -1)) == 0
    with pytest.raises(LevelError, match="all scalars of a level"):
        change_gauge(potential, lower_triangular(2, 6))


@pytest.mark.parametrize(
    ("mixing", "message"),
    [
        ([[1.0, 0.1], [0.0, 1.0]], "higher one"),
        ([[0.0, 0.0], [1.0, 1.0]], "full diagonal"),
        ([[1.0]], "shape"),
        ([[np.nan, 0.0], [0.0, 1.0]], "full diagonal"),
    ],
)
def test_what_leaves_the_model_is_refused(mixing: list[list[float]], message: str) -> None:
    potential = random_native(8, 1)
    with pytest.raises(MtpcoreError, match=message):
        change_gauge(potential, mixing)
