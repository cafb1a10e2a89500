"""The choice of rows of largest volume, against motep's and against exhaustive search."""

import numpy as np
import numpy.typing as npt
import pytest
from helpers import LI6PS5CL_NUMBERS, li6ps5cl_cell, to_structure
from motep.grade.maxvol import MaxVol as MotepMaxVol
from native import solid_potential

from mtpcore import Engine, InvalidStructureError
from mtpcore.maxvol import CHECK_INTERVAL, LARGEST_RESIDUAL, REFACTOR_INTERVAL, MaxVol, greedy_rows, maximize_volume

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int32]

THRESHOLD = 1.001


def gaussian(rows: int, columns: int, seed: int) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(rows, columns))


def real(level: int, cells: int) -> FloatArray:
    """Rows of Li6PS5Cl in coordinates of the space they span, so that motep can take them."""
    engine = Engine(solid_potential(level), threads=1)
    structures = (to_structure(li6ps5cl_cell(rattle=0.15, seed=seed), LI6PS5CL_NUMBERS) for seed in range(cells))
    rows = np.vstack([engine.site_energy_jacobian(*structure) for structure in structures])
    size = np.sqrt(np.mean(rows**2, axis=0))
    u, s, _ = np.linalg.svd(rows[:, size > 0.0] / size[size > 0.0], full_matrices=False)
    rank = int((s > 1e-5 * s[0]).sum())
    coordinates: FloatArray = u[:, :rank] * s[:rank] / s[0]
    return coordinates


MATRICES = {
    "small": lambda: gaussian(60, 10, 1),
    "medium": lambda: gaussian(200, 30, 2),
    "large": lambda: gaussian(600, 60, 3),
    "square": lambda: gaussian(20, 20, 4),
    "columns of many sizes": lambda: gaussian(200, 20, 5) * np.logspace(-6, 6, 20),
    "Li6PS5Cl, level 4": lambda: real(4, 6),
    "Li6PS5Cl, level 8": lambda: real(8, 8),
}
MOTEP = [("maxvol", "qr"), ("maxvol", "first"), ("maxvol", "last"), ("maxvol", "random"), ("mlip", "qr")]


def links_of(rows: FloatArray) -> IntArray:
    return np.stack([np.arange(len(rows)), np.zeros(len(rows))], axis=1).astype(np.int32)


def started(rows: FloatArray, size: float = 1e-6) -> MaxVol:
    """A state of start rows that have the sizes of the columns."""
    return MaxVol.from_start(size * np.diag(np.sqrt(np.mean(rows**2, axis=0))))


def motep_log_volume(rows: FloatArray, algorithm: str, init: str) -> float:
    search = MotepMaxVol(algorithm=algorithm, init_method=init, rng=np.random.default_rng(0))
    try:
        result = search.run(rows)
    except np.linalg.LinAlgError:  # a start that spans nothing, from which motep gets nowhere
        return -np.inf
    if len(result.indices) < rows.shape[1]:
        return -np.inf
    return float(np.linalg.slogdet(rows[result.indices])[1])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", MATRICES)
def test_volume_is_never_below_moteps(name: str) -> None:
    rows = MATRICES[name]()
    state = maximize_volume(rows)
    assert state.is_real.all()
    assert state.log_volume() == pytest.approx(np.linalg.slogdet(rows[state.links[:, 0]])[1], abs=1e-6)
    for algorithm, init in MOTEP:
        assert state.log_volume() >= motep_log_volume(rows, algorithm, init) - 1e-6, (algorithm, init)


@pytest.mark.parametrize("seed", range(8))
def test_of_few_rows_those_of_the_largest_volume_are_found(seed: int) -> None:
    rows = gaussian(14, 4, seed)
    best = MotepMaxVol(algorithm="exhaust").run(rows)
    assert maximize_volume(rows).log_volume() == pytest.approx(np.linalg.slogdet(rows[best.indices])[1], abs=1e-9)


@pytest.mark.parametrize("name", MATRICES)
def test_no_row_is_an_extrapolation_of_the_chosen_ones(name: str) -> None:
    rows = MATRICES[name]()
    assert maximize_volume(rows).grades(rows).max() <= THRESHOLD + 1e-9


@pytest.mark.parametrize("name", ["large", "columns of many sizes", "Li6PS5Cl, level 8"])
def test_after_swaps_of_rank_one_the_inverse_equals_a_fresh_factorization(name: str) -> None:
    rows = MATRICES[name]()
    state = started(rows)
    computed = state.refactorizations
    swaps = state.exchange(rows, links_of(rows))
    assert swaps >= rows.shape[1]
    assert swaps // REFACTOR_INTERVAL <= state.refactorizations - computed <= swaps // CHECK_INTERVAL
    fresh = MaxVol(rows[state.links[:, 0]].copy(), np.empty_like(state.inverse), state.links)
    columns = np.abs(fresh.matrix).max(axis=0)
    fresh.inverse = np.linalg.inv(fresh.matrix / columns) / columns[:, None]
    size = np.abs(fresh.inverse).max(axis=1, keepdims=True)
    np.testing.assert_allclose(state.inverse / size, fresh.inverse / size, rtol=0.0, atol=1e-9)
    np.testing.assert_allclose(state.grades(rows), fresh.grades(rows), rtol=1e-9)
    np.testing.assert_array_equal(state.matrix, fresh.matrix)


def test_every_swap_multiplies_the_volume_by_its_coefficient() -> None:
    rows = gaussian(100, 12, 8)
    state = started(rows)
    for _ in range(30):
        largest = state.grades(rows).max()
        before = state.log_volume()
        if not state.exchange(rows, links_of(rows), limit=1):
            break
        assert state.log_volume() - before == pytest.approx(np.log(largest), abs=1e-8)


def test_a_worn_inverse_is_computed_anew() -> None:
    rows = gaussian(500, 80, 9)
    state = started(rows)
    state.exchange(rows[:100], links_of(rows)[:100])
    state.inverse += 1e-6 * np.random.default_rng(0).normal(size=state.inverse.shape)
    before = state.refactorizations
    state.exchange(rows, links_of(rows))
    assert state.refactorizations > before
    assert state.residual() < 10 * LARGEST_RESIDUAL
    assert state.grades(rows).max() <= THRESHOLD + 1e-9


def test_batches_reach_the_volume_of_all_rows_at_once() -> None:
    rows = real(6, 8)
    links = links_of(rows)
    whole, parts = maximize_volume(rows), started(rows)
    for begin in range(0, len(rows), 60):
        parts.exchange(rows[begin : begin + 60], links[begin : begin + 60])
    while parts.exchange(rows, links) or parts.deepen(rows, links):
        pass
    # Both are local maxima of the volume, equal to 1 % in the geometric mean over the rows.
    assert parts.log_volume() == pytest.approx(whole.log_volume(), abs=0.01 * rows.shape[1])
    assert parts.grades(rows).max() <= THRESHOLD + 1e-9


def test_chains_of_exchanges_go_on_where_single_ones_end() -> None:
    rows = gaussian(200, 30, 10)
    state = started(rows)
    state.exchange(rows, links_of(rows))
    before = state.log_volume()
    assert state.exchange(rows, links_of(rows)) == 0
    assert state.deepen(rows, links_of(rows)) > 0
    assert state.log_volume() > before + np.log(THRESHOLD)


def test_the_same_rows_give_the_same_choice() -> None:
    rows = gaussian(200, 30, 11)
    first, second = maximize_volume(rows), maximize_volume(rows)
    np.testing.assert_array_equal(first.links, second.links)
    np.testing.assert_array_equal(first.inverse, second.inverse)


def test_fewer_rows_than_columns_are_all_chosen() -> None:
    rows = gaussian(5, 12, 12)
    state = maximize_volume(rows)
    assert sorted(state.links[state.is_real, 0].tolist()) == [0, 1, 2, 3, 4]
    assert state.grades(rows).max() == pytest.approx(1.0)


def test_directions_without_data_keep_their_start_row_and_do_not_spoil_the_condition() -> None:
    rows = gaussian(300, 8, 13) @ gaussian(8, 20, 14)
    state = maximize_volume(rows)
    assert state.is_real.sum() == 8
    assert np.linalg.cond(state.matrix) > 1e6
    assert state.condition() < 1e4
    assert state.grades(rows).max() <= THRESHOLD + 1e-9
    outside = gaussian(1, 20, 15)
    assert state.grades(outside)[0] > 1e4


def test_the_condition_bounds_that_of_the_chosen_rows() -> None:
    rows = gaussian(100, 15, 16)
    state = maximize_volume(rows)
    scaled = state.matrix / np.abs(state.matrix).max(axis=0)
    assert np.linalg.cond(scaled, np.inf) == pytest.approx(state.condition(), rel=1e-9)


def test_equal_rows_are_chosen_once() -> None:
    rows = np.repeat(gaussian(30, 10, 17), 3, axis=0)
    state = maximize_volume(rows)
    assert len(set((state.links[:, 0] // 3).tolist())) == 10
    assert state.grades(rows).max() <= THRESHOLD + 1e-9


def test_rows_of_zeros_are_never_chosen() -> None:
    rows = np.vstack([np.zeros((5, 6)), gaussian(4, 6, 18)])
    state = maximize_volume(rows)
    assert (state.links[state.is_real, 0] >= 5).all()
    np.testing.assert_array_equal(state.grades(rows[:5]), 0.0)


@pytest.mark.parametrize("rows", [np.zeros((0, 4)), np.zeros((3, 4))], ids=["no rows", "zeros"])
def test_without_data_the_start_rows_stay(rows: FloatArray) -> None:
    state = maximize_volume(rows)
    assert not state.is_real.any()
    assert state.condition() == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_refused(value: float) -> None:
    rows = gaussian(20, 4, 19)
    state = started(rows)
    rows[13, 2] = value
    with pytest.raises(InvalidStructureError, match="row 13 of 20"):
        state.exchange(rows, links_of(rows))
    assert not state.is_real.any()


def test_greedy_choice_is_pivoted_qr() -> None:
    from scipy.linalg import qr  # noqa: PLC0415  test oracle

    rows = gaussian(80, 12, 20)
    np.testing.assert_array_equal(greedy_rows(rows), qr(rows.T, pivoting=True)[-1][:12])
    assert len(greedy_rows(gaussian(80, 3, 21) @ gaussian(3, 12, 22))) == 3
