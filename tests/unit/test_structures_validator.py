"""The validator finds every fault, and nothing where there is none."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st

from argyro.common.errors import StructureError
from argyro.common.extxyz import read_structure, read_structures
from argyro.config.materials import Material, RigidUnit
from argyro.config.structures import DistanceLimits
from argyro.structures.bulk import build_bulk
from argyro.structures.neighbours import PeriodicPoints
from argyro.structures.output import report_path, write_seeds, write_structure
from argyro.structures.validator import Report, require_sound, validate

MATERIAL = Material(id="Li6PS5Cl", formula="Li6PS5Cl", anion="Cl", exchange_percent=50)
LIMITS = DistanceLimits()


@pytest.fixture
def atoms() -> Atoms:
    return build_bulk(MATERIAL, (1, 1, 1), lithium_sites="48h", limits=LIMITS, seed=1)


def first(atoms: Atoms, element: str) -> int:
    return int(np.flatnonzero(atoms.symbols == element)[0])


def bound_sulfur(atoms: Atoms) -> int:
    """A ligand of the first phosphorus."""
    distances = atoms.get_distances(first(atoms, "P"), np.arange(len(atoms)), mic=True)
    return int(np.argsort(distances)[1])


def examine(atoms: Atoms) -> Report:
    return validate(atoms, MATERIAL, LIMITS)


def violations(atoms: Atoms) -> str:
    return "; ".join(examine(atoms).violations)


def test_sound_cell_has_no_violations_and_its_report_says_what_it_is(atoms: Atoms) -> None:
    report = examine(atoms)
    assert report.ok
    assert report.atoms_at_fault == []
    assert (report.atoms, report.formula, report.formula_units, report.charge) == (52, "Li24P4S20Cl4", 4, 0)
    assert report.rigid_units == {"PS4": {"whole": 4, "broken": 0}}
    assert report.cell_angstrom == atoms.cell.array.tolist()
    assert set(report.smallest_distances_angstrom) == set(report.distance_limits_angstrom)
    assert len(report.smallest_distances_angstrom) == 10


def test_removed_sulfur_is_found(atoms: Atoms) -> None:
    center = first(atoms, "P")
    del atoms[bound_sulfur(atoms)]
    report = examine(atoms)
    text = "; ".join(report.violations)
    assert "Li24P4S19Cl4 is no multiple of Li6PS5Cl" in text
    assert "charge is +2" in text
    assert f"1 of 4 units PS4 are broken: P atom {center} has 3 S" in text
    assert center in report.atoms_at_fault
    assert report.rigid_units == {"PS4": {"whole": 3, "broken": 1}}


def test_sulfur_torn_off_is_found_though_the_formula_is_right(atoms: Atoms) -> None:
    torn, center = bound_sulfur(atoms), first(atoms, "P")
    atoms.positions[torn] += 0.4 * atoms.get_distance(center, torn, mic=True, vector=True)
    report = examine(atoms)
    assert "P atom" in "; ".join(report.violations)
    assert {torn, center} <= set(report.atoms_at_fault)
    assert len(report.atoms_at_fault) == 5


def test_fifth_sulfur_is_found(atoms: Atoms) -> None:
    center = first(atoms, "P")
    free = [
        k for k in np.flatnonzero(atoms.symbols == "S") if np.sort(atoms.get_distances(k, range(52), mic=True))[1] > 2.2
    ]
    atoms.positions[free[0]] = atoms.positions[center] + [2.4, 0, 0]
    assert f"P atom {center} has 5 S" in violations(atoms)


def test_sulfur_shared_by_two_tetrahedra_breaks_one() -> None:
    material = Material.model_construct(**(dict(MATERIAL) | {"formula": "P2S7"}))
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 2.05 / np.sqrt(3)
    positions = [np.zeros(3), *corners, 2 * corners[0], *(2 * corners[0] - corners[1:])]
    pyro = Atoms("PS4PS3", positions=positions, cell=[20] * 3, pbc=True)
    assert validate(pyro, material, LIMITS).rigid_units == {"PS4": {"whole": 1, "broken": 1}}


@pytest.mark.parametrize(("old", "new", "charge"), [("Cl", "S", "-1"), ("S", "Cl", "+1"), ("Li", "S", "-3")])
def test_swapped_ion_is_found(atoms: Atoms, old: str, new: str, charge: str) -> None:
    atoms.symbols[first(atoms, old)] = new
    text = violations(atoms)
    assert "no multiple of Li6PS5Cl" in text
    assert f"charge is {charge}" in text


def test_strange_element_is_found(atoms: Atoms) -> None:
    atoms.symbols[first(atoms, "Cl")] = "Br"
    assert "Br does not belong to Li6PS5Cl" in violations(atoms)
    atoms.symbols[first(atoms, "Br")] = "Xe"
    report = examine(atoms)
    assert report.charge is None
    assert not report.ok


@pytest.mark.parametrize("distance", [0.0, 0.5, 1.2])
@pytest.mark.parametrize("wrapped", [False, True])
def test_two_lithium_ions_too_close_are_found(atoms: Atoms, distance: float, wrapped: bool) -> None:  # noqa: FBT001
    one, other = np.flatnonzero(atoms.symbols == "Li")[:2]
    atoms.positions[one] = [0.02, 5.0, 5.0]
    atoms.positions[other] = atoms.positions[one] - [distance, 0, 0]
    if wrapped:
        atoms.wrap()
    report = examine(atoms)
    assert f"Li-Li: {distance:.3f} angstrom between atoms" in "; ".join(report.violations)
    assert {one, other} <= set(report.atoms_at_fault)
    assert report.smallest_distances_angstrom["Li-Li"] == pytest.approx(distance)


@pytest.mark.parametrize(("distance", "is_close"), [(1.999, True), (2.001, False)])
def test_limit_is_sharp_across_the_boundary(distance: float, is_close: bool) -> None:  # noqa: FBT001
    pair = Atoms("Li2", positions=[[0.5, 0, 0], [20.5 - distance, 0, 0]], cell=[20] * 3, pbc=True)
    assert any("closer than 2.000" in violation for violation in examine(pair).violations) == is_close


@pytest.mark.parametrize(("depth", "periodic"), [(9.86, False), (0.0, True)])
def test_structure_without_a_periodic_cell_is_refused(atoms: Atoms, depth: float, periodic: bool) -> None:  # noqa: FBT001
    atoms.set_cell([9.86, 9.86, depth])
    atoms.set_pbc([True, True, periodic])
    with pytest.raises(StructureError, match="periodic in all directions"):
        examine(atoms)


def test_positions_that_are_no_numbers_are_refused(atoms: Atoms) -> None:
    atoms.positions[3, 1] = np.nan
    with pytest.raises(StructureError, match="no finite numbers"):
        examine(atoms)


def test_refusal_names_every_violation(atoms: Atoms) -> None:
    atoms.positions[1] = atoms.positions[0] + 0.1
    del atoms[first(atoms, "Cl")]
    with pytest.raises(StructureError, match=r"the cell is not sound: .*Cl3 is no multiple.*charge.*Li-Li: 0\.173"):
        require_sound(examine(atoms), "the cell")


@given(shift=st.tuples(*[st.floats(-30, 30)] * 3), repeat=st.tuples(*[st.integers(1, 2)] * 3))
@settings(deadline=None, max_examples=20)
def test_report_does_not_depend_on_origin_or_cell(shift: tuple[float, ...], repeat: tuple[int, ...]) -> None:
    atoms = build_bulk(MATERIAL, (1, 1, 1), lithium_sites="48h", limits=LIMITS, seed=2)
    report = examine(atoms)
    atoms.translate(shift)
    moved = examine(atoms.repeat(repeat))
    assert moved.ok
    assert moved.density_g_per_cm3 == pytest.approx(report.density_g_per_cm3)
    assert moved.smallest_distances_angstrom == pytest.approx(report.smallest_distances_angstrom)
    assert moved.rigid_units["PS4"]["whole"] == 4 * np.prod(repeat)


@given(data=st.data(), reach=st.floats(0.5, 8.0))
@settings(deadline=None, max_examples=60)
def test_pairs_agree_with_ase_in_any_cell(data: st.DataObject, reach: float) -> None:
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    cell = np.diag(generator.uniform(2.5, 8.0, 3)) + generator.uniform(-1.5, 1.5, (3, 3)) * np.tri(3, k=-1)
    atoms = Atoms("H6", positions=generator.uniform(-10, 10, (6, 3)), cell=cell, pbc=True)
    points = PeriodicPoints(atoms.positions, cell, reach)
    pairs = points.pairs_from(points, reach)
    i, j, distance = neighbor_list("ijd", atoms, reach)
    ours = sorted(zip(pairs.first.tolist(), pairs.second.tolist(), pairs.distance.round(6).tolist(), strict=True))
    assert ours == sorted(zip(i.tolist(), j.tolist(), distance.round(6).tolist(), strict=True))
    nearest = points.nearest_distance_from(points, reach)
    assert nearest == (pytest.approx(distance.min()) if len(distance) else None)


def test_limits_of_pairs_hold_in_either_order_and_others_follow_covalent_radii() -> None:
    limits = DistanceLimits(covalent_fraction=0.5, pairs_angstrom={"S-Li": 1.7})
    assert limits.between("Li", "S") == limits.between("S", "Li") == 1.7
    assert limits.between("P", "S") == pytest.approx(0.5 * (1.07 + 1.05))  # Cordero et al. (2008)
    assert limits.scaled(0.5).between("Li", "S") == pytest.approx(0.85)
    assert limits.scaled(0.5).between("P", "S") == pytest.approx(0.25 * (1.07 + 1.05))


@pytest.mark.parametrize("name", ["LiS", "Li-S-P", "Li-Zz", ""])
def test_limit_of_no_pair_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a pair of elements"):
        DistanceLimits(pairs_angstrom={name: 1.0})


def test_rigid_units_are_configuration(atoms: Atoms) -> None:
    unit = RigidUnit(center="P", ligand="S", count=3)
    report = validate(atoms, MATERIAL.model_copy(update={"rigid_units": (unit,)}), LIMITS)
    assert report.rigid_units == {"PS3": {"whole": 0, "broken": 4}}
    assert validate(atoms, MATERIAL.model_copy(update={"rigid_units": ()}), LIMITS).ok


def test_structure_and_report_are_written_side_by_side(atoms: Atoms, tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "a bulk cell.extxyz"
    write_structure(path, atoms, examine(atoms))
    written = read_structure(path)
    assert (written.positions == atoms.positions).all()
    assert written.info == {"material": "Li6PS5Cl", "exchange_percent": 50}
    report = json.loads(report_path(path).read_text(encoding="utf-8"))
    assert report["rigid_units"] == {"PS4": {"broken": 0, "whole": 4}}
    assert sorted(file.name for file in path.parent.iterdir()) == [f"{path.stem}.extxyz", f"{path.stem}.json"]


def test_names_with_dots_keep_them(atoms: Atoms, tmp_path: Path) -> None:
    path = tmp_path / "Li6PS5Cl0.5Br0.5-seeds.extxyz"
    write_seeds(path, [atoms, atoms], [examine(atoms)] * 2)
    assert len(read_structures(path)) == 2
    report = json.loads((tmp_path / "Li6PS5Cl0.5Br0.5-seeds.json").read_text(encoding="utf-8"))
    assert [seed["atoms"] for seed in report["seeds"]] == [52, 52]
