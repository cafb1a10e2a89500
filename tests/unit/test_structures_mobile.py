"""Where mobile ions are put: as in the bulk inside grains, wherever there is room near boundaries."""

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st

from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits, LithiumSites
from argyro.structures.bulk import build_bulk
from argyro.structures.crystal import crystal_of
from argyro.structures.mobile import Pattern, bulk_pattern, choose_sites, exclusion_distance, independent
from argyro.structures.placed import PlacedSites

LIMITS = DistanceLimits()
EDGE = 9.8614


def material(formula: str = "Li6PS5Cl") -> Material:
    return Material(id="a", formula=formula, anion="Cl")


def pattern(formula: str = "Li6PS5Cl", lithium_sites: LithiumSites = "48h", seed: int = 1) -> Pattern:
    return bulk_pattern(crystal_of(material(formula), lithium_sites, LIMITS), np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("formula", "sites", "part"),
    [("Li6PS5Cl", "48h", 1 / 2), ("Li5.5PS4.5Cl1.5", "48h", 11 / 24), ("Li6PS5Cl", "24g", 1)],
)
def test_bulk_pattern_is_occupied_as_the_bulk(formula: str, sites: LithiumSites, part: float) -> None:
    found = pattern(formula, sites)
    assert found.filled.mean() == pytest.approx(part, abs=1 / len(found.filled))
    assert (np.linalg.norm(found.cell, axis=1) >= 25).all()


def test_bulk_pattern_fills_no_two_sites_of_a_pair() -> None:
    found = pattern()
    ions = Atoms(f"Li{found.filled.sum()}", positions=found.sites[found.filled], cell=found.cell, pbc=True)
    assert neighbor_list("d", ions, 2.0).size == 0


def test_pattern_repeats_and_another_seed_gives_another() -> None:
    found = pattern()
    moved = found.sites + np.array([3, -2, 1]) @ found.cell + 1e-7
    assert (found.is_filled(moved) == found.filled).all()
    assert (pattern(seed=2).filled != found.filled).any()


@given(count=st.integers(1, 12), data=st.data())
@settings(deadline=None, max_examples=60)
def test_things_are_taken_in_order_unless_they_clash(count: int, data: st.DataObject) -> None:
    pairs = data.draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=30))
    clashes = {(a, b) for a, b in pairs if a != b} | {(b, a) for a, b in pairs if a != b}
    taken: list[int] = []
    for thing in range(count):
        if not any((thing, other) in clashes for other in taken):
            taken.append(thing)
    first = np.array([a for a, _ in clashes], dtype=int)
    second = np.array([b for _, b in clashes], dtype=int)
    assert np.flatnonzero(independent(first, second, count)).tolist() == taken


def chosen_in_bulk(fractional: Any, depth: Any, filled: Any) -> list[int]:
    """Which of some sites are chosen in a cell with the framework of bulk argyrodite, in their order."""
    bulk = build_bulk(material(), (1, 1, 1), lithium_sites="24g", limits=LIMITS, seed=1)
    framework = bulk[~(bulk.symbols == "Li")]
    framework.set_array("depth", np.zeros(len(framework)))
    sites = PlacedSites(np.array(fractional) * EDGE, np.zeros(4, dtype=int), np.array(depth), np.array(filled))
    crystal = crystal_of(material(), "48h", LIMITS)
    return [int(site) for site in choose_sites(sites, framework, crystal, LIMITS, np.random.default_rng(0))]


def test_sites_filled_in_the_bulk_come_first_and_the_deepest_of_them() -> None:
    places = [[0.25, 0.25, 0.02], [0.25, 0.02, 0.25], [0.02, 0.25, 0.25], [0.25, 0.25, 0.48]]
    assert chosen_in_bulk(places, [1.0, 3.0, -0.5, 5.0], [True, True, True, False]) == [1, 0, 2, 3]


def test_sites_too_close_to_the_framework_or_to_each_other_are_left_out() -> None:
    # The second is next to the first, the others are on sulfur
    places = [[0.25, 0.25, 0.02], [0.25, 0.25, 0.03], [0.62, 0.62, 0.62], [0.25, 0.25, 0.25]]
    assert chosen_in_bulk(places, [1.0, 1.0, 1.0, 1.0], [True, False, True, True]) == [0]


def test_two_ions_keep_the_larger_of_limit_and_exclusion() -> None:
    for limits, expected in ((LIMITS, 0.21 * EDGE), (DistanceLimits(pairs_angstrom={"Li-Li": 2.5}), 2.5)):
        assert exclusion_distance(crystal_of(material(), "48h", limits), limits) == pytest.approx(expected)
