"""Coincidence site lattices, and the integer lattices behind them."""

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pymatgen.core.interface import GrainBoundaryGenerator

from argyro.structures.coincidence import (
    combined_plane_lattice,
    common_plane_lattice,
    coordinates,
    layer_basis,
    plane_normal,
    rotation_about,
    sigma_angles,
    sigma_of,
)
from argyro.structures.integers import congruence_lattice, hermite_rows, kernel, lattice_basis, shortest_pair

FCC = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]) / 2
SMALL = st.integers(-9, 9)


@pytest.mark.parametrize("axis", [(1, 0, 0), (1, 1, 0), (1, 1, 1), (2, 1, 0), (3, 1, 1)])
def test_angles_of_every_sigma_are_those_of_an_independent_code(axis: tuple[int, int, int]) -> None:
    theirs = GrainBoundaryGenerator.enum_sigma_cubic(60, axis)
    for sigma in range(3, 60):
        assert sigma_angles(axis, sigma) == pytest.approx(sorted(theirs.get(sigma, [])), abs=1e-8)


@pytest.mark.parametrize(
    ("axis", "sigma"), [((1, 1, 0), s) for s in (3, 9, 11, 33, 99)] + [((0, 0, 1), 5), ((1, 1, 1), 7)]
)
def test_one_of_sigma_lattice_points_coincides(axis: tuple[int, int, int], sigma: int) -> None:
    for angle in sigma_angles(axis, sigma):
        rotation = rotation_about(axis, angle)
        assert sigma_of(rotation, FCC) == sigma
        # Whether a point coincides depends on its coordinates modulo Sigma only
        points = np.array(list(product(range(sigma), repeat=2)))
        count = 0
        for third in range(sigma):
            lattice_points = np.column_stack([points, np.full(len(points), third)]) @ FCC
            turned_back = np.linalg.solve(FCC.T, (lattice_points @ rotation).T).T
            count += int((np.abs(turned_back - turned_back.round()) < 1e-6).all(axis=1).sum())
        assert count == sigma**2  # of Sigma^3 points


def test_rotation_without_coincidence_has_no_sigma() -> None:
    assert sigma_of(rotation_about((1, 1, 0), 50.0), FCC) is None
    assert sigma_of(rotation_about((1, 2, 3), 12.3), FCC) is None


def test_symmetry_of_the_lattice_has_sigma_one() -> None:
    assert sigma_of(rotation_about((0, 0, 1), 90), FCC) == 1
    assert sigma_of(rotation_about((1, 1, 1), 120), FCC) == 1


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_echelon_form_spans_the_same_lattice(data: st.DataObject) -> None:
    matrix = data.draw(arrays(np.int64, data.draw(st.tuples(st.integers(1, 5), st.integers(1, 4))), elements=SMALL))
    echelon, transformation = hermite_rows(matrix)
    assert (transformation @ matrix == echelon).all()
    assert abs(round(np.linalg.det(transformation))) == 1
    assert (kernel(matrix) @ matrix == 0).all()
    assert len(kernel(matrix)) + len(lattice_basis(matrix)) == len(matrix)


@given(matrix=arrays(np.int64, (2, 2), elements=SMALL), modulus=st.integers(1, 12))
@settings(deadline=None, max_examples=60)
def test_congruence_lattice_holds_all_solutions_and_no_more(matrix: np.ndarray, modulus: int) -> None:
    basis = congruence_lattice(matrix, modulus)
    assert (basis @ matrix % modulus == 0).all()
    # As many of the vectors modulo the number as the index says
    solutions = sum(not ((np.array(x) @ matrix) % modulus).any() for x in product(range(modulus), repeat=2))
    assert abs(round(np.linalg.det(basis))) * solutions == modulus**2


@given(vectors=arrays(np.float64, (2, 2), elements=st.floats(-5, 5)))
@settings(deadline=None, max_examples=40)
def test_reduced_pair_is_the_shortest(vectors: np.ndarray) -> None:
    (a, b), (c, d) = vectors
    assume(abs(a * d - b * c) > 0.1)  # by hand: numpy's determinant divides by zero where numbers are subnormal
    pair = shortest_pair(*vectors)
    assert abs(np.linalg.det(pair)) == pytest.approx(abs(np.linalg.det(vectors)))
    steps = np.array([x for x in product(range(-60, 61), repeat=2) if any(x)])
    lengths = np.sort(np.linalg.norm(steps @ vectors, axis=1))
    assert np.linalg.norm(pair[0]) == pytest.approx(lengths[0], abs=1e-6)
    assert -1e-6 <= pair[0] @ pair[1] <= (0.5 + 1e-6) * pair[0] @ pair[0]


@pytest.mark.parametrize("plane", [(0, 0, 1), (1, -1, 2), (-1, 1, 1), (1, -1, 14), (3, 2, 1)])
def test_layers_have_the_spacing_of_lattice_planes(plane: tuple[int, int, int]) -> None:
    normal = plane_normal(plane, np.eye(3))
    basis = layer_basis(FCC, normal)
    assert basis is not None
    np.testing.assert_allclose(basis[:2] @ normal, 0, atol=1e-12)
    # Face-centred: planes of mixed parity lie twice as dense
    parity = 1 if len({index % 2 for index in plane}) == 1 else 2
    assert basis[2] @ normal == pytest.approx(1 / parity / np.linalg.norm(plane))
    assert np.linalg.det(basis) == pytest.approx(1 / 4)
    assert np.abs(coordinates(basis, FCC) - coordinates(basis, FCC).round()).max() < 1e-9


@pytest.mark.parametrize("sigma", [5, 13, 17, 25])
def test_twist_on_a_cube_face_shares_one_of_sigma_points(sigma: int) -> None:
    square = np.array([[1.0, 0, 0], [0, 1, 0]])
    turned = square @ rotation_about((0, 0, 1), sigma_angles((0, 0, 1), sigma)[0]).T
    shared, combined = common_plane_lattice(square, turned), combined_plane_lattice(square, turned)
    assert shared is not None
    assert np.linalg.norm(np.cross(*shared)) == pytest.approx(sigma)
    assert np.linalg.norm(np.cross(*combined)) == pytest.approx(1 / sigma)
    for lattice in (square, turned):
        assert np.abs(coordinates(shared, lattice) - coordinates(shared, lattice).round()).max() < 1e-9
        assert np.abs(coordinates(lattice, combined) - coordinates(lattice, combined).round()).max() < 1e-9


def test_planes_without_coincidence_share_nothing() -> None:
    square = np.array([[1.0, 0, 0], [0, 1, 0]])
    assert common_plane_lattice(square, square @ rotation_about((0, 0, 1), 30).T) is None
