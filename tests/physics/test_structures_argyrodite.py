"""Argyrodite cells are what crystallography says they are."""

from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.geometry import get_distances
from ase.neighborlist import neighbor_list

from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits, LithiumSites
from argyro.structures.argyrodite import LITHIUM_48H, orbit
from argyro.structures.bulk import build_bulk
from argyro.structures.validator import validate

LIMITS = DistanceLimits()
HALIDES = ("Cl", "Br", "I")
FCC = ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))
PAIR_DIRECTIONS = [sign * np.eye(3)[axis] for axis in range(3) for sign in (-1, 1)]


def argyrodite(halide: str = "Cl", **settings: Any) -> Material:
    formula = settings.pop("formula", f"Li6PS5{halide}")
    return Material(id="material", formula=formula, anion=halide, **settings)


def build(
    material: Material, supercell: tuple[int, int, int] = (1, 1, 1), sites: LithiumSites = "48h", seed: int = 0
) -> Atoms:
    return build_bulk(material, supercell, lithium_sites=sites, limits=LIMITS, seed=seed)


def of(atoms: Atoms, *elements: str) -> Atoms:
    return atoms[np.isin(atoms.get_chemical_symbols(), elements)]


def around(atoms: Atoms, center: str, other: str, radius: float) -> list[np.ndarray[Any, Any]]:
    """Sorted distances from each atom of one element to those of another within a radius."""
    first, second, distance = neighbor_list("ijd", atoms, radius)
    symbols = np.array(atoms.get_chemical_symbols())
    return [np.sort(distance[(first == c) & (symbols[second] == other)]) for c in np.flatnonzero(symbols == center)]


def near(atoms: Atoms, fractional: Any, radius: float = 0.05) -> list[str]:
    """Elements of the atoms at given places of the unit cell in a cell of any number of them, at most one each."""
    shape = np.rint(atoms.cell.lengths() / 9.8614).astype(int)
    places = [np.array(f) + shift for f in fractional for shift in product(*map(range, shape))]
    targets = np.array(places) / shape @ atoms.cell.array
    distances = get_distances(targets, atoms.positions, cell=atoms.cell, pbc=True)[1]
    assert ((distances < radius).sum(axis=1) <= 1).all()
    return [atoms.symbols[int(row.argmin())] if row.min() < radius else "" for row in distances]


def test_ordered_cell_has_the_published_space_group_and_multiplicities() -> None:
    atoms = build(argyrodite(), sites="24g")
    symmetry = spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers))
    assert symmetry.number == 216
    assert sorted(Counter(symmetry.equivalent_atoms.tolist()).values()) == [4, 4, 4, 16, 24]
    assert atoms.get_chemical_formula() == "Cl4Li24P4S20"


@pytest.mark.parametrize("halide", HALIDES)
@pytest.mark.parametrize("sites", ["48h", "24g"])
def test_bond_lengths_are_those_of_refinements(halide: str, sites: LithiumSites) -> None:
    atoms = build(argyrodite(halide), sites=sites)
    for bonds in around(atoms, "P", "S", 3.0):
        np.testing.assert_allclose(bonds, [2.05] * 4, atol=0.01)
    for bonds in around(atoms, "Li", "S", 2.8):
        assert len(bonds) == 3
        assert (bonds > 2.2).all()
        assert (bonds < 2.6).all()
    assert min(bonds.min() for bonds in around(atoms, "Li", halide, 4.0)) > 2.35


def test_tetrahedra_are_regular() -> None:
    atoms = build(argyrodite())
    first, vectors = neighbor_list("iD", atoms, {("P", "S"): 2.3})
    for center in np.flatnonzero(atoms.symbols == "P"):
        bonds = vectors[first == center] / 2.05
        cosines = (bonds @ bonds.T)[np.triu_indices(4, 1)]
        np.testing.assert_allclose(cosines, -1 / 3, atol=0.01)


def test_lithium_pairs_and_cages_have_the_published_geometry() -> None:
    sites = orbit(LITHIUM_48H)
    lithium = Atoms(f"Li{len(sites)}", scaled_positions=sites, cell=[9.8614] * 3, pbc=True)
    assert len(sites) == 48
    partner = around(lithium, "Li", "Li", 2.0)
    assert [len(distances) for distances in partner] == [1] * 48
    assert 1.5 < min(distances[0] for distances in partner) < 1.95
    cage = get_distances([[9.8614 / 4] * 3], lithium.positions, cell=lithium.cell, pbc=True)[1][0]
    assert (cage < 3.0).sum() == 12


@pytest.mark.parametrize(
    ("halide", "edge", "molar_mass"), [("Cl", 9.8614, 268.4), ("Br", 9.985, 312.8), ("I", 10.1414, 359.8)]
)
def test_density_is_that_of_the_experimental_cell(halide: str, edge: float, molar_mass: float) -> None:
    material = argyrodite(halide)
    expected = 4 * molar_mass / (0.602214 * edge**3)
    assert validate(build(material), material, LIMITS).density_g_per_cm3 == pytest.approx(expected, rel=1e-3)


def test_mixed_halides_follow_vegard() -> None:
    atoms = build(argyrodite("ClBr", formula="Li6PS5Cl0.25Br0.75"))
    assert atoms.cell.lengths() == pytest.approx([0.25 * 9.8614 + 0.75 * 9.985] * 3)
    assert Counter(near(atoms, FCC)) == {"Cl": 1, "Br": 3}


@pytest.mark.parametrize("percent", [0, 3.125, 25, 50, 75, 96.875, 100])
@pytest.mark.parametrize("halide", HALIDES)
def test_exchange_is_exact(halide: str, percent: float) -> None:
    atoms = build(argyrodite(halide, exchange_percent=percent, lattice_constant_angstrom=9.8614), (2, 2, 2))
    exchanged = round(32 * percent / 100)
    free_sulfur_sites = np.array(FCC) + 0.25
    assert Counter(near(atoms, FCC)) == Counter({"S": exchanged, halide: 32 - exchanged})
    assert Counter(near(atoms, free_sulfur_sites)) == Counter({halide: exchanged, "S": 32 - exchanged})
    assert Counter(atoms.get_chemical_symbols()) == {"Li": 192, "P": 32, "S": 160, halide: 32}
    assert atoms.info["exchange_percent"] == percent


@pytest.mark.parametrize(
    ("formula", "lithium"), [("Li6PS5Cl", 24), ("Li5.5PS4.5Cl1.5", 22), ("Li5.25PS4.25Cl1.75", 21)]
)
def test_each_pair_of_48h_sites_holds_at_most_one_lithium(formula: str, lithium: int) -> None:
    cage_centers = np.array(FCC) + 0.25
    midpoints = [center + 0.23 * direction for center in cage_centers for direction in PAIR_DIRECTIONS]
    for seed in range(20):
        atoms = of(build(argyrodite(formula=formula), seed=seed), "Li")
        held = near(atoms, midpoints, radius=1.2)  # fails where a pair holds two
        assert held.count("Li") == lithium == len(atoms)


def test_halide_rich_cells_put_the_excess_on_free_sulfur_sites() -> None:
    atoms = build(argyrodite(formula="Li5.5PS4.5Cl1.5", exchange_percent=25, lattice_constant_angstrom=9.8614))
    assert Counter(near(atoms, FCC)) == {"Cl": 3, "S": 1}
    assert Counter(near(atoms, np.array(FCC) + 0.25)) == {"Cl": 3, "S": 1}


def test_thousand_random_arrangements_are_sound() -> None:
    for seed in range(1000):
        material = argyrodite(HALIDES[seed % 3], exchange_percent=25 * (seed % 5))
        report = validate(build(material, seed=seed), material, LIMITS)
        assert report.ok
        assert report.formula_units == report.rigid_units["PS4"]["whole"] == 4


def test_arrangements_favour_no_site() -> None:
    builds = 300
    material = argyrodite(exchange_percent=50)
    lithium, exchanged = np.zeros(48), np.zeros(4)
    for seed in range(builds):
        atoms = build(material, seed=seed)
        lithium += np.array(near(atoms, orbit(LITHIUM_48H))) == "Li"
        exchanged += np.array(near(atoms, FCC)) == "S"
    five_sigma = 5 * np.sqrt(builds / 4)
    assert np.abs(lithium - builds / 2).max() < five_sigma
    assert np.abs(exchanged - builds / 2).max() < five_sigma


def test_both_halides_of_a_mixture_are_exchanged() -> None:
    material = argyrodite("ClBr", formula="Li6PS5Cl0.5Br0.5", exchange_percent=50)
    free_sulfur_sites = np.array(FCC) + 0.25
    found = Counter(tuple(sorted(near(build(material, seed=s), free_sulfur_sites))) for s in range(60))
    assert set(found) == {("Br", "Br", "S", "S"), ("Br", "Cl", "S", "S"), ("Cl", "Cl", "S", "S")}
    # Two of two Cl and two Br: one of each in four of six cases
    assert 25 <= found["Br", "Cl", "S", "S"] <= 55


def test_same_seed_gives_the_same_cell_and_another_seed_another() -> None:
    material = argyrodite(exchange_percent=50)
    first, again, other = (build(material, (2, 1, 1), seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_atoms_come_in_the_order_of_the_species() -> None:
    symbols = build(argyrodite("ClBr", formula="Li6PS5Cl0.5Br0.5", exchange_percent=50)).get_chemical_symbols()
    assert list(dict.fromkeys(symbols)) == ["Li", "P", "S", "Cl", "Br"]
    assert symbols == sorted(symbols, key=["Li", "P", "S", "Cl", "Br"].index)
