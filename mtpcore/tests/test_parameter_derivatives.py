"""Derivatives by parameters: rows of the site energies and gradients of losses."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers import Structure, random_cell, random_potential_fields
from native import (
    TRICLINIC,
    cell_of_kind,
    derivative,
    native_potential,
    random_native,
    with_random_active_set,
)

from mtpcore import Engine, get_parameters, reference, set_parameters

type FloatArray = npt.NDArray[np.float64]


@pytest.mark.parametrize(
    ("level", "species_count", "kind"),
    [
        (2, 1, "open"),
        (8, 4, TRICLINIC),
        (12, 2, "smaller than the cutoff"),
        (16, 3, "slab"),
        (20, 2, TRICLINIC),
    ],
)
def test_site_energy_jacobian_is_that_of_the_reference_engine(level: int, species_count: int, kind: str) -> None:
    fields = random_potential_fields(level, species_count, seed=level)
    structure = cell_of_kind(kind, species_count, seed=level)
    found = Engine(native_potential(fields)).site_energy_jacobian(*structure)
    expected = reference.site_energy_jacobian(SimpleNamespace(**fields), *structure)
    assert found.shape == expected.shape
    scale = np.abs(expected).max(axis=0)
    assert np.all(np.abs(found - expected).max(axis=0) <= 1e-10 * np.maximum(scale, 1e-6))


def test_site_energy_jacobian_is_the_gradient_by_every_parameter() -> None:
    potential = random_native(8, 2)
    structure = cell_of_kind(TRICLINIC, 2, seed=1)
    parameters = get_parameters(potential)
    jacobian = Engine(potential).site_energy_jacobian(*structure)
    for number, column in enumerate(jacobian.T):

        def energies(t: float, number: int = number) -> FloatArray:
            shifted = parameters + t * (np.arange(len(parameters)) == number)
            return Engine(set_parameters(potential, shifted)).evaluate(*structure).site_energies

        np.testing.assert_allclose(column, derivative(energies, 0.1), rtol=1e-8, atol=1e-9)


# Energy, forces, strain, and all at once
LOSSES = {"energy": (1.0, 0.0, 0.0), "forces": (0.0, 1.0, 0.0), "strain": (0.0, 0.0, 1.0)}
LOSSES["all"] = (0.3, 1.0, 0.2)


def loss_weights(loss: str, atom_count: int) -> dict[str, Any]:
    """Random weights of the terms of a loss."""
    rng = np.random.default_rng(3)
    energy, force, strain = LOSSES[loss]
    return {
        "energy_weight": energy,
        "force_weights": force * rng.normal(size=(atom_count, 3)),
        "strain_weights": strain * rng.normal(size=(3, 3)),
    }


def weighted_sum(engine: Engine, structure: Structure, weights: dict[str, Any]) -> float:
    """What loss_gradient differentiates, from energy, forces and virial."""
    result = engine.evaluate(*structure)
    return float(
        weights["energy_weight"] * result.energy
        + np.sum(weights["force_weights"] * result.forces)
        - np.sum(weights["strain_weights"] * result.virial)
    )


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("level", "species_count", "kind"),
    [(2, 1, TRICLINIC), (8, 4, "slab"), (16, 2, "smaller than the cutoff"), (20, 3, TRICLINIC)],
)
def test_loss_gradient_is_the_derivative_of_the_loss_along_any_direction(
    loss: str, level: int, species_count: int, kind: str
) -> None:
    potential = random_native(level, species_count, seed=level)
    structure = cell_of_kind(kind, species_count, seed=level)
    weights = loss_weights(loss, len(structure.types))
    gradient = Engine(potential).loss_gradient(*structure, **weights)
    parameters = get_parameters(potential)
    rng = np.random.default_rng(level)
    for _ in range(5):
        # Steps in proportion to the parameters: the radial ones enter with high powers.
        direction = rng.normal(size=len(parameters)) * np.abs(parameters)

        def value(t: float, direction: FloatArray = direction) -> float:
            engine = Engine(set_parameters(potential, parameters + t * direction))
            return weighted_sum(engine, structure, weights)

        scale = np.linalg.norm(gradient * direction)
        assert gradient @ direction == pytest.approx(derivative(value, 0.01), abs=1e-6 * scale)


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_gradient_is_right_for_every_single_parameter(loss: str) -> None:
    potential = random_native(8, 2, seed=5)
    structure = cell_of_kind(TRICLINIC, 2, seed=5)
    weights = loss_weights(loss, len(structure.types))
    gradient = Engine(potential).loss_gradient(*structure, **weights)
    parameters = get_parameters(potential)
    expected = np.empty_like(gradient)
    for number in range(len(parameters)):

        def value(t: float, number: int = number) -> float:
            shifted = parameters + t * (np.arange(len(parameters)) == number)
            engine = Engine(set_parameters(potential, shifted))
            return weighted_sum(engine, structure, weights)

        expected[number] = derivative(value, 0.05)
    rounding = 1e-12 * np.abs(expected).max()
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=rounding)


def test_loss_gradient_of_the_energy_is_the_sum_of_the_jacobian() -> None:
    engine = Engine(random_native(16, 4))
    structure = random_cell(12, 4, seed=1)
    weights = loss_weights("energy", 12)
    expected = engine.site_energy_jacobian(*structure).sum(axis=0)
    rounding = 1e-12 * np.abs(expected).max()
    found = engine.loss_gradient(*structure, **weights)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=rounding)


def test_copy_with_other_parameters_leaves_the_original_alone() -> None:
    potential = with_random_active_set(random_native(8, 2))
    parameters = get_parameters(potential)
    copy = set_parameters(potential, 2.0 * parameters)
    np.testing.assert_array_equal(get_parameters(copy), 2.0 * parameters)
    np.testing.assert_array_equal(get_parameters(potential), parameters)
    assert copy.active_set is None
    assert potential.active_set is not None


def test_parameters_of_the_wrong_number_are_refused() -> None:
    potential = random_native(8, 2)
    with pytest.raises(ValueError, match="shape"):
        set_parameters(potential, np.zeros(potential.parameter_count + 1))
