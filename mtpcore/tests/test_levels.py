"""Contraction tables against MLIP's own files, motep's contractions and symmetry."""

import hashlib
import json
from collections.abc import Iterable
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import FloatArray

from mtpcore.errors import LevelError, MtpcoreError
from mtpcore.levels import ContractionTables, contraction_tables
from mtpcore.reference import site_energy_jacobian

# Counts in the files distributed with MLIP: level, basic moments, all moments, products, scalars.
MLIP_COUNTS = [
    (2, 1, 1, 0, 1),
    (4, 1, 2, 1, 2),
    (6, 5, 8, 5, 5),
    (8, 11, 18, 14, 9),
    (10, 25, 41, 42, 16),
    (12, 46, 84, 117, 29),
    (14, 81, 174, 348, 52),
    (16, 130, 350, 969, 92),
    (18, 201, 718, 2634, 163),
    (20, 295, 1352, 6349, 288),
    (22, 421, 2621, 15431, 500),
    (24, 581, 4991, 36170, 864),
]
# sha256 of the text of the three tables in MLIP's own file, see mlip_text.
MLIP_SHA256 = {
    8: "aa1bb424986ef2c2b938ef5d91e9458a52458c5c9c47b883362d5134a451f02b",
    10: "8a0373ce02c886082549b3352f86ef13ef07109759b8c6d409129b38f260b8a8",
    12: "d2ab301170fe1837e6b69b2581aef0fd2c509f8a38e397977053a12dfc327d58",
    14: "13d40559d2abeea4b2fdfe81c7ca2f6448a660e451ef5e96adfdc7fef8d19d6e",
}
# The same for the moment mapping alone, as a Python list.
MLIP_MAPPING_18_SHA256 = "9dc63c2d3338601aa094b07a033cdf723310b5b68e30de220e490ec0a75c0c51"
# Characters of the three tables in MLIP's own files.
MLIP_TEXT_LENGTH = {16: 19556, 18: 51371, 20: 124172, 22: 308957, 24: 740944}
# Products of some moments with several free indices, from MLIP's own files.
MLIP_PRODUCTS = [
    (
        16,
        292,
        "4 147 1, 5 148 1, 5 153 1, 6 149 1, 6 159 1, 7 154 1, 8 155 1, 8 160 1, 9 161 1",
    ),
    (
        16,
        339,
        "4 277 1, 5 278 1, 5 280 1, 6 279 1, 6 283 1, 7 281 1, 8 282 1, 8 284 1, 9 285 1",
    ),
    (
        18,
        582,
        "4 293 1, 5 295 1, 5 298 1, 6 296 1, 6 299 1, 7 302 1, 8 303 1, 8 304 1, 9 305 1",
    ),
    (18, 610, "1 432 1, 2 435 1, 3 438 1"),
    (18, 653, "267 267 1, 268 268 1, 269 269 1"),
    (18, 717, "120 608 1"),
    (20, 1325, "166 917 1, 167 918 1, 168 919 1"),
    (20, 1349, "165 1146 1"),
]
LEVELS = [count[0] for count in MLIP_COUNTS]


def mlip_text(tables: ContractionTables) -> list[str]:
    """The three tables as MLIP writes them."""

    def braces(items: Iterable[Any]) -> str:
        return "{" + ", ".join(map(str, items)) + "}"

    return [
        braces(braces(row) for row in tables.alpha_index_basic),
        braces(braces(row) for row in tables.alpha_index_times),
        braces(tables.alpha_moment_mapping),
    ]


def basis_values(tables: ContractionTables, vectors: FloatArray) -> FloatArray:
    """Every scalar for one atom with the given neighbours; radial functions T_mu."""
    size = tables.radial_funcs_count
    potential = SimpleNamespace(
        species_count=1,
        scaling=0.05,
        min_dist=1.0,
        max_dist=5.0,
        radial_basis_size=size,
        radial_coeffs=np.eye(size)[None, None],
        species_coeffs=np.zeros(1),
        moment_coeffs=np.ones(len(tables.alpha_moment_mapping)),
        **vars(tables),
    )
    positions = np.vstack([np.zeros(3), vectors])
    types = np.zeros(len(positions), dtype=np.int32)
    rows = site_energy_jacobian(potential, types, positions, np.zeros((3, 3)), (False,) * 3)
    return rows[0, -len(tables.alpha_moment_mapping) :]


def random_neighbours(seed: int) -> FloatArray:
    """Seven vectors within the cutoff, too few and too lopsided for any symmetry."""
    rng = np.random.default_rng(seed)
    units = rng.normal(size=(7, 3))
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    return rng.uniform(1.5, 3.5, (7, 1)) * units


@pytest.mark.parametrize(("level", "basics", "moments", "products", "scalars"), MLIP_COUNTS)
def test_counts_are_those_of_mlip(level: int, basics: int, moments: int, products: int, scalars: int) -> None:
    tables = contraction_tables(level)
    assert tables.level == level
    assert len(tables.alpha_index_basic) == basics
    assert tables.alpha_moments_count == moments
    assert len(tables.alpha_index_times) == products
    assert len(tables.alpha_moment_mapping) == scalars
    assert tables.radial_funcs_count == (level - 2) // 4 + 1


@pytest.mark.parametrize(("level", "moments", "scalars"), [(26, 9396, 1464), (28, 17366, 2445)])
def test_counts_of_the_highest_levels_are_those_of_mlip(level: int, moments: int, scalars: int) -> None:
    tables = contraction_tables(level)
    assert tables.alpha_moments_count == moments
    assert len(tables.alpha_moment_mapping) == scalars
    assert tables.radial_funcs_count == 6
    assert tables.alpha_index_basic[:, 1:].sum(axis=1).max() == 10


@pytest.mark.parametrize("level", MLIP_SHA256)
def test_tables_equal_mlips_files_to_the_last_index(level: int) -> None:
    text = "\n".join(mlip_text(contraction_tables(level)))
    assert hashlib.sha256(text.encode()).hexdigest() == MLIP_SHA256[level]


def test_moment_mapping_of_level_18_equals_mlips() -> None:
    text = str(contraction_tables(18).alpha_moment_mapping.tolist())
    assert hashlib.sha256(text.encode()).hexdigest() == MLIP_MAPPING_18_SHA256


@pytest.mark.parametrize(("level", "target", "products"), MLIP_PRODUCTS)
def test_products_of_higher_levels_equal_mlips(level: int, target: int, products: str) -> None:
    expected = [list(map(int, product.split())) for product in products.split(",")]
    times = contraction_tables(level).alpha_index_times
    assert times[times[:, 3] == target, :3].tolist() == expected


@pytest.mark.parametrize("level", MLIP_TEXT_LENGTH)
def test_tables_of_higher_levels_have_the_length_of_mlips(level: int) -> None:
    assert sum(map(len, mlip_text(contraction_tables(level)))) == MLIP_TEXT_LENGTH[level]


@pytest.mark.parametrize("level", LEVELS[:8])
def test_scalars_are_invariant_under_rotation_reflection_and_permutation(level: int) -> None:
    tables, vectors = contraction_tables(level), random_neighbours(level)
    before = basis_values(tables, vectors)
    rng = np.random.default_rng(level)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    for matrix in (rotation, -rotation):
        np.testing.assert_allclose(basis_values(tables, vectors @ matrix.T), before, rtol=1e-9)
    permuted = basis_values(tables, rng.permutation(vectors))
    np.testing.assert_allclose(permuted, before, rtol=1e-9)
    shear = np.eye(3) + np.array([[0, 0.1, 0], [0, 0, 0], [0, 0, 0]])
    assert not np.allclose(basis_values(tables, vectors @ shear.T), before, rtol=1e-6)


@pytest.mark.parametrize("level", [2, 8, 12, 16, 20, 24])
def test_scalars_are_the_contractions_known_to_motep(level: int) -> None:
    tables, vectors = contraction_tables(level), random_neighbours(100 + level)
    distances = np.linalg.norm(vectors, axis=1)
    s = (2 * distances - 6.0) / 4.0
    radial = [np.cos(mu * np.arccos(s)) * 0.05 * (5.0 - distances) ** 2 for mu in range(6)]
    units = vectors / distances[:, None]

    def tensor(mu: int, rank: int) -> FloatArray:
        total = np.zeros((3,) * rank)
        for weight, unit in zip(radial[mu], units, strict=True):
            power = np.array(weight)
            for _ in range(rank):
                power = np.multiply.outer(power, unit)
            total += power
        return total

    def contract(node: list[Any]) -> FloatArray:
        if isinstance(node[0], int):
            return tensor(node[0], node[1])
        return np.tensordot(contract(node[0]), contract(node[1]), axes=node[3])

    stored = files("motep.potentials.mtp.jax") / "precomputed_moments"
    contractions = json.loads((stored / f"moments_level{level}.json").read_text())
    expected = sorted(float(contract(node)) for node in contractions)
    np.testing.assert_allclose(sorted(basis_values(tables, vectors)), expected, rtol=1e-8)


@pytest.mark.parametrize("level", [*LEVELS, 26, 28])
def test_no_two_scalars_are_the_same_polynomial(level: int) -> None:
    # Two different polynomials of degree four rarely agree at a random point of this field.
    prime = 2**61 - 1
    tables = contraction_tables(level)
    rng = np.random.default_rng(level)
    values = rng.integers(1, prime, tables.alpha_moments_count).tolist()
    for target in set(tables.alpha_index_times[:, 3].tolist()):
        values[target] = 0
    for i, j, multiplicity, target in tables.alpha_index_times.tolist():
        values[target] = (values[target] + multiplicity * values[i] * values[j]) % prime
    scalars = [values[moment] for moment in tables.alpha_moment_mapping]
    assert len(set(scalars)) == len(scalars)


@pytest.mark.parametrize("level", [*LEVELS, 26, 28])
def test_every_moment_is_complete_before_it_is_used_and_none_is_idle(level: int) -> None:
    tables = contraction_tables(level)
    times, basic_count = tables.alpha_index_times, len(tables.alpha_index_basic)
    factors, targets = times[:, :2], times[:, 3]
    assert (np.diff(targets) >= 0).all()
    assert (factors.max(axis=1, initial=-1) < targets).all()
    assert set(targets) == set(range(basic_count, tables.alpha_moments_count))
    used = set(factors.ravel()) | set(tables.alpha_moment_mapping)
    assert used == set(range(tables.alpha_moments_count))
    assert (times[:, 2] > 0).all()


@pytest.mark.parametrize("level", [-2, 0, 1, 3, 27, 29, 30, True, "8", None])
def test_levels_without_tables_are_refused_with_the_allowed_range(level: Any) -> None:
    with pytest.raises(LevelError, match="even number from 2 to 28") as caught:
        contraction_tables(level)
    assert isinstance(caught.value, MtpcoreError)
    assert isinstance(caught.value, ValueError)


def test_shared_tables_cannot_be_changed() -> None:
    tables = contraction_tables(8)
    assert contraction_tables(8) is tables
    for array in (
        tables.alpha_index_basic,
        tables.alpha_index_times,
        tables.alpha_moment_mapping,
    ):
        assert array.dtype == np.int32
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
