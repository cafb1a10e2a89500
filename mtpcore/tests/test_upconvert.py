"""Potentials of a higher level begin where those of the lower one ended."""

from pathlib import Path

import numpy as np
import pytest
from helpers import random_cell
from native import random_native, shuffled, with_random_active_set

from mtpcore import (
    Engine,
    LevelError,
    MtpcoreError,
    Potential,
    new_potential,
    read_potential,
    upconvert,
    write_potential,
)
from mtpcore.scalars import scalar_factors, scalar_fingerprints, table_level

LADDER = (6, 8, 10, 12, 16, 20)


def assert_same(one: Potential, other: Potential, species_count: int, seed: int = 0) -> None:
    """The same energies and forces to 1e-10 in a random structure."""
    structure = random_cell(12, species_count, seed=seed)
    expected, found = (Engine(p, threads=1).evaluate(*structure) for p in (one, other))
    np.testing.assert_allclose(found.site_energies, expected.site_energies, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found.forces, expected.forces, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found.virial, expected.virial, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("level", [2, 4, 6, 8, 10, 12, 16])
@pytest.mark.parametrize("species_count", [1, 4])
def test_energies_and_forces_stay(level: int, species_count: int) -> None:
    potential = random_native(level, species_count, seed=level)
    for higher in (level, level + 2, level + 4, 20):
        assert_same(potential, upconvert(potential, higher), species_count)


@pytest.mark.parametrize("species_count", [1, 2, 3, 4])
def test_energies_and_forces_stay_up_the_whole_ladder(species_count: int) -> None:
    first = random_native(LADDER[0], species_count, seed=species_count)
    last = first
    for level in LADDER[1:]:
        last = upconvert(last, level, seed=level)
        assert table_level(last) == level
    assert_same(first, last, species_count)


@pytest.mark.parametrize("level", [8, 12, 16])
def test_the_order_of_moments_and_scalars_does_not_matter(level: int) -> None:
    potential = shuffled(random_native(level, 2, seed=level), seed=1)
    higher = upconvert(potential, level + 4)
    assert_same(potential, higher, 2)
    np.testing.assert_array_equal(
        higher.alpha_moment_mapping, new_potential(level + 4, 2, min_dist=1.0, max_dist=5.0).alpha_moment_mapping
    )


def test_the_same_level_puts_tables_in_mlips_order() -> None:
    original = random_native(12, 2, seed=2)
    restored = upconvert(shuffled(original, seed=3), 12)
    np.testing.assert_array_equal(restored.alpha_index_times, original.alpha_index_times)
    np.testing.assert_array_equal(restored.moment_coeffs, original.moment_coeffs)


def test_files_of_the_higher_level_hold_the_same_potential(tmp_path: Path) -> None:
    potential = random_native(8, 3, seed=4)
    write_potential(tmp_path / "higher.mtp", upconvert(potential, 10))
    assert_same(potential, read_potential(tmp_path / "higher.mtp"), 3)


def test_more_radial_basis_functions_leave_energies_alone() -> None:
    potential = random_native(8, 2, seed=5)
    higher = upconvert(potential, 12, radial_basis_size=11)
    assert higher.radial_basis_size == 11
    assert_same(potential, higher, 2)


def test_new_species_come_last_and_leave_the_old_ones_alone() -> None:
    potential = random_native(8, 2, seed=6)
    potential.species_labels = [3, 7]
    higher = upconvert(potential, 10, species_count=4)
    assert higher.species_labels == [3, 7, 8, 9]
    assert_same(potential, higher, 2)
    assert (np.abs(higher.radial_coeffs[3]).max(axis=-1) > 0.0).all()


def test_new_radial_functions_let_a_fit_leave_the_start() -> None:
    higher = upconvert(random_native(8, 2, seed=7), 12)
    rows = Engine(higher, threads=1).site_energy_jacobian(*random_cell(12, 2, seed=8))
    scalars = rows[:, -len(higher.moment_coeffs) :]
    uses_new = np.array([max(mu for mu, _ in factors) >= 2 for factors in scalar_factors(higher)])
    assert uses_new.any()
    assert (np.abs(scalars[:, uses_new]).max(axis=0) > 0.0).all()
    np.testing.assert_array_equal(higher.moment_coeffs[uses_new], 0.0)


def test_new_radial_functions_are_as_large_as_the_old_ones_and_orthogonal_to_them() -> None:
    potential = random_native(8, 3, seed=9)
    higher = upconvert(potential, 16, seed=1)
    old, new = higher.radial_coeffs[:, :, :2], higher.radial_coeffs[:, :, 2:]
    np.testing.assert_array_equal(old, potential.radial_coeffs)
    assert np.sqrt(np.mean(new**2)) == pytest.approx(np.sqrt(np.mean(old**2)), rel=1e-9)
    np.testing.assert_allclose(np.einsum("abmk,abnk->abmn", old, new), 0.0, atol=1e-12)


def test_the_seed_decides_the_new_functions_only() -> None:
    potential = random_native(8, 2, seed=10)
    one, same, other = (upconvert(potential, 12, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.radial_coeffs, same.radial_coeffs)
    differs = (one.radial_coeffs != other.radial_coeffs).any(axis=-1)
    np.testing.assert_array_equal(differs, np.broadcast_to([False, False, True], differs.shape))


def test_more_functions_than_polynomials_are_still_not_zero() -> None:
    higher = upconvert(random_native(8, 1, seed=11, radial_basis_size=2), 16)
    assert (np.abs(higher.radial_coeffs).max(axis=-1) > 0.0).all()


def test_active_sets_are_dropped() -> None:
    assert upconvert(with_random_active_set(random_native(6, 1)), 8).active_set is None


def test_scalars_are_told_apart() -> None:
    fingerprints = scalar_fingerprints(new_potential(20, 1, min_dist=1.0, max_dist=5.0))
    assert len(set(fingerprints)) == len(fingerprints) == 288


@pytest.mark.parametrize("level", [6, 10])
def test_lower_levels_are_refused(level: int) -> None:
    with pytest.raises(LevelError, match=f"of level 12: it cannot be converted to level {level}"):
        upconvert(random_native(12, 1), level)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"radial_basis_size": 7}, "8 radial basis functions: 7"), ({"species_count": 1}, "2 species: 1")],
)
def test_smaller_potentials_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(MtpcoreError, match=message):
        upconvert(random_native(8, 2), 10, **options)


def test_templates_are_refused() -> None:
    with pytest.raises(MtpcoreError, match="no coefficients"):
        upconvert(new_potential(8, 1, min_dist=1.0, max_dist=5.0), 10)


def test_odd_levels_are_refused() -> None:
    with pytest.raises(LevelError, match="even"):
        upconvert(random_native(8, 1), 11)


def test_scalars_of_no_level_are_refused() -> None:
    potential = random_native(8, 1, seed=12)
    times = potential.alpha_index_times
    times[-1, 2] += 1
    potential.alpha_index_times = times
    with pytest.raises(LevelError, match="scalar"):
        upconvert(potential, 12)


def test_a_pair_that_hardly_matters_is_no_obstacle() -> None:
    potential = random_native(6, 2, 3)
    radial = potential.radial_coeffs
    radial[0, 1] *= 1e-200
    radial[1, 1] = 0.0
    potential.radial_coeffs = radial
    assert np.isfinite(upconvert(potential, 10).radial_coeffs).all()
