"""What cannot be evaluated is refused with the reason; pairs that are too close are named."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from helpers import Structure, random_cell
from native import random_native, with_random_active_set

from mtpcore import (
    Engine,
    InvalidStructureError,
    MtpcoreError,
    UnknownSpeciesError,
    new_potential,
)

OPEN = (False, False, False)
ATOMS = 6


def evaluate(engine: Engine, structure: Structure) -> Any:
    return engine.evaluate(*structure)


def jacobian(engine: Engine, structure: Structure) -> Any:
    return engine.site_energy_jacobian(*structure)


def grades(engine: Engine, structure: Structure) -> Any:
    return engine.grades(*structure)


def loss_gradient(engine: Engine, structure: Structure) -> Any:
    return engine.loss_gradient(
        *structure,
        energy_weight=1.0,
        force_weights=np.zeros((len(structure.types), 3)),
        strain_weights=np.zeros((3, 3)),
    )


METHODS = pytest.mark.parametrize("method", [evaluate, jacobian, grades, loss_gradient])
type Method = Callable[[Engine, Structure], Any]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(with_random_active_set(random_native(8, 2)))


@pytest.fixture
def structure() -> Structure:
    return random_cell(ATOMS, 2, seed=1)


@METHODS
@pytest.mark.parametrize("species", [-1, 2])
def test_unknown_species_are_refused(engine: Engine, structure: Structure, method: Method, species: int) -> None:
    structure.types[4] = species
    with pytest.raises(UnknownSpeciesError, match=f"atom 4 has type {species}"):
        method(engine, structure)


@METHODS
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_coordinates_that_are_not_finite_are_refused(
    engine: Engine, structure: Structure, method: Method, value: float
) -> None:
    structure.positions[3, 1] = value
    with pytest.raises(InvalidStructureError, match=r"atom 3 .* not finite"):
        method(engine, structure)


@METHODS
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_cells_that_are_not_finite_are_refused(
    engine: Engine, structure: Structure, method: Method, value: float
) -> None:
    structure.cell[2, 1] = value
    with pytest.raises(InvalidStructureError, match=r"cell .* not finite"):
        method(engine, structure)


@METHODS
def test_coplanar_cell_vectors_are_refused(engine: Engine, structure: Structure, method: Method) -> None:
    structure.cell[2] = structure.cell[0] - 2.0 * structure.cell[1]
    with pytest.raises(InvalidStructureError, match="coplanar"):
        method(engine, structure)


def test_a_missing_period_is_refused(engine: Engine, structure: Structure) -> None:
    structure.cell[1] = 0.0
    with pytest.raises(InvalidStructureError, match="cell vector 1 is zero but marked periodic"):
        engine.evaluate(*structure)


def test_a_cell_of_a_hair_is_refused(engine: Engine, structure: Structure) -> None:
    structure.cell[1] *= 1e-5
    with pytest.raises(InvalidStructureError, match="1000 times thinner"):
        engine.evaluate(*structure)


@METHODS
def test_atoms_on_one_spot_are_refused(engine: Engine, structure: Structure, method: Method) -> None:
    structure.positions[5] = structure.positions[2] - structure.cell[0]
    with pytest.raises(InvalidStructureError, match="atoms 2 and 5 coincide"):
        method(engine, structure)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"positions": np.zeros((ATOMS, 2))}, "positions"),
        ({"positions": np.zeros((ATOMS + 1, 3))}, "positions"),
        ({"positions": np.zeros(3 * ATOMS)}, "positions"),
        ({"types": np.zeros((ATOMS, 1), dtype=np.int32)}, "types"),
        ({"types": np.zeros(ATOMS)}, "types"),
        ({"cell": np.eye(2)}, "cell"),
        ({"cell": np.ones(3)}, "cell"),
        ({"pbc": (True, True)}, "periodic"),
    ],
)
@METHODS
def test_arrays_of_the_wrong_kind_are_refused(
    engine: Engine, structure: Structure, method: Method, changes: dict[str, Any], what: str
) -> None:
    with pytest.raises(InvalidStructureError, match=f"^{what}"):
        method(engine, structure._replace(**changes))


@pytest.mark.parametrize("weights", ["force_weights", "strain_weights"])
def test_weights_of_the_wrong_shape_are_refused(engine: Engine, structure: Structure, weights: str) -> None:
    shapes = {"force_weights": (ATOMS, 3), "strain_weights": (3, 3)} | {weights: (2, 2)}
    arrays: dict[str, Any] = {name: np.zeros(shape) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match=f"{weights} must have shape"):
        engine.loss_gradient(*structure, energy_weight=1.0, **arrays)


def test_any_layout_and_type_of_numbers_is_taken(engine: Engine, structure: Structure) -> None:
    expected = engine.evaluate(*structure)
    found = engine.evaluate(
        cast("Any", structure.types.astype(np.int64)),
        np.asfortranarray(structure.positions),
        structure.cell.tolist(),
        list(structure.pbc),
    )
    np.testing.assert_array_equal(found.forces, expected.forces)
    doubled = np.repeat(structure.positions, 2, axis=0)[::2]
    found = engine.evaluate(structure.types, doubled, structure.cell, structure.pbc)
    np.testing.assert_array_equal(found.forces, expected.forces)


def test_no_atoms_have_no_energy(engine: Engine) -> None:
    nothing = Structure(np.zeros(0, dtype=np.int32), np.zeros((0, 3)), np.eye(3), OPEN)
    result = engine.evaluate(*nothing)
    assert result.energy == 0.0
    assert result.forces.shape == (0, 3)
    assert engine.grades(*nothing).shape == (0,)
    assert engine.site_energy_jacobian(*nothing).shape == (0, engine.potential.parameter_count)


# ------------------------------------------------------------------ potentials


def test_an_untrained_template_is_refused() -> None:
    template = new_potential(8, 2, min_dist=1.5, max_dist=5.0)
    with pytest.raises(ValueError, match="untrained template"):
        Engine(template)


def test_more_radial_functions_than_the_kernels_hold_are_refused() -> None:
    potential = random_native(8, 1)
    potential.radial_funcs_count = 9
    potential.radial_coeffs = np.ones((1, 1, 9, 8))
    potential.alpha_index_basic = np.vstack([potential.alpha_index_basic, [[8, 0, 0, 0]]], dtype=np.int32)
    # The moments behind the new basic one move up by one.
    first = len(potential.alpha_index_basic) - 1
    times, mapping = potential.alpha_index_times, potential.alpha_moment_mapping
    times[:, [0, 1, 3]] += times[:, [0, 1, 3]] >= first
    potential.alpha_index_times = times
    potential.alpha_moment_mapping = mapping + (mapping >= first).astype(np.int32)
    potential.alpha_moments_count += 1
    potential.validate()
    with pytest.raises(ValueError, match="at most 8 radial functions"):
        Engine(potential)


def test_more_radial_polynomials_than_the_kernels_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="radial_basis_size is at most 64, not 65"):
        Engine(random_native(2, 1, radial_basis_size=65))


def test_grades_without_an_active_set_are_refused(structure: Structure) -> None:
    with pytest.raises(MtpcoreError, match="no active set"):
        Engine(random_native(8, 2)).grades(*structure)


def test_grades_with_an_active_set_of_configurations_are_refused(structure: Structure) -> None:
    potential = with_random_active_set(random_native(8, 2))
    assert potential.active_set is not None
    active_set = potential.active_set
    active_set.energy_weight, active_set.site_energy_weight = 1.0, 0.0
    potential.active_set = active_set
    with pytest.raises(MtpcoreError, match="no active set of neighbourhoods"):
        Engine(potential).grades(*structure)


# ------------------------------------------------------------------ pairs that are too close


def row_of_atoms(*positions: float) -> Structure:
    """Atoms on a line in open space."""
    coordinates = np.zeros((len(positions), 3))
    coordinates[:, 0] = positions
    return Structure(np.zeros(len(positions), dtype=np.int32), coordinates, np.zeros((3, 3)), OPEN)


def test_close_pairs_are_reported_by_index_and_distance(engine: Engine) -> None:
    result = engine.evaluate(*row_of_atoms(0.0, 3.0, 4.4, 5.8, 9.0))
    assert [pair[:2] for pair in result.close_pairs] == [(1, 2), (2, 3)]
    assert [pair[2] for pair in result.close_pairs] == pytest.approx([1.4, 1.4])


def test_pairs_at_a_safe_distance_are_not_reported(engine: Engine) -> None:
    assert engine.evaluate(*row_of_atoms(0.0, 1.5, 3.1)).close_pairs == []


def test_close_pairs_across_the_boundary_are_found(engine: Engine) -> None:
    structure = row_of_atoms(0.2, 4.0, 7.9)._replace(cell=np.eye(3) * 8.0, pbc=(True, True, True))
    ((i, j, distance),) = engine.evaluate(*structure).close_pairs
    assert (i, j) == (0, 2)
    assert distance == pytest.approx(0.3)


def test_an_atom_too_close_to_its_own_image_is_reported_once(engine: Engine) -> None:
    structure = row_of_atoms(0.0)._replace(cell=np.diag([1.2, 4.0, 4.0]), pbc=(True, True, True))
    ((i, j, distance),) = engine.evaluate(*structure).close_pairs
    assert (i, j) == (0, 0)
    assert distance == pytest.approx(1.2)
