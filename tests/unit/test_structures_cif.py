"""Crystals from CIF files: exact compositions, split sites, and what is said of files that will not do."""

from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.geometry import get_distances
from ase.io import write
from ase.neighborlist import neighbor_list
from ase.spacegroup import crystal

from argyro.common.errors import FileError, StructureError
from argyro.config.materials import Material, RigidUnit
from argyro.config.structures import DistanceLimits
from argyro.structures.argyrodite import orbit
from argyro.structures.bulk import build_bulk
from argyro.structures.cif import orbits, read_cif

EDGE = 9.8614
HEADER = f"""data_argyrodite
_cell_length_a {EDGE}
_cell_length_b {EDGE}
_cell_length_c {EDGE}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
"""
CUBIC = "_symmetry_space_group_name_H-M 'F -4 3 m'\n_symmetry_Int_Tables_number 216\n"
TRICLINIC = "_symmetry_space_group_name_H-M 'P 1'\n_symmetry_Int_Tables_number 1\n"
LOOP = """loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""
FRAMEWORK = [("P1", "P", (0.5, 0.5, 0.5), 1.0), ("S1", "S", (0.62, 0.62, 0.62), 1.0)]
LITHIUM_48H = (0.183, 0.183, 0.024)
PAIRED_LITHIUM = [("Li1", "Li", LITHIUM_48H, 0.5)]

type Row = tuple[str, str, tuple[float, float, float], float]


def anions(exchanged: float, on_4a: float | None = None) -> list[Row]:
    """4a and 4c, shared by S and Cl."""
    on_4a = exchanged if on_4a is None else on_4a
    return [
        ("Cl1", "Cl", (0, 0, 0), 1 - on_4a),
        ("S2", "S", (0, 0, 0), on_4a),
        ("S3", "S", (0.25, 0.25, 0.25), 1 - exchanged),
        ("Cl2", "Cl", (0.25, 0.25, 0.25), exchanged),
    ]


def cif_text(rows: list[Row], symmetry: str = CUBIC) -> str:
    lines = [f"{label} {symbol} {x} {y} {z} {occupancy}" for label, symbol, (x, y, z), occupancy in rows if occupancy]
    return HEADER + symmetry + LOOP + "\n".join(lines) + "\n"


def without_symmetry(rows: list[Row]) -> list[Row]:
    """Every site of the cell on its own, with a label of its own."""
    return [
        (f"{label}_{k}", symbol, tuple(site), occupancy)
        for label, symbol, position, occupancy in rows
        for k, site in enumerate(orbit(position).tolist())
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my crystals").mkdir()
    return tmp_path / "my crystals"


def material(folder: Path, text: str, **settings: Any) -> Material:
    path = folder / "a crystal.cif"
    path.write_text(text, encoding="utf-8")
    return Material(**({"id": "own", "formula": "Li6PS5Cl", "anion": "Cl", "cif": path} | settings))


def build(own: Material, supercell: tuple[int, int, int] = (1, 1, 1), seed: int = 0) -> Atoms:
    return build_bulk(own, supercell, lithium_sites="48h", limits=DistanceLimits(), seed=seed)


def elements_at(atoms: Atoms, fractional: Any) -> Counter[str]:
    distances = get_distances(np.array(fractional) * EDGE, atoms.positions, cell=atoms.cell, pbc=True)[1]
    return Counter(str(atoms.symbols[int(k)]) for k in distances.argmin(axis=1))


@pytest.mark.parametrize("exchanged", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("symmetry", ["cubic", "none"])
def test_partial_occupancies_are_filled_exactly(folder: Path, exchanged: float, symmetry: str) -> None:
    rows = FRAMEWORK + PAIRED_LITHIUM + anions(exchanged)
    text = cif_text(rows) if symmetry == "cubic" else cif_text(without_symmetry(rows), TRICLINIC)
    own = material(folder, text)
    for seed in range(6):
        atoms = build(own, seed=seed)
        assert Counter(atoms.get_chemical_symbols()) == {"Li": 24, "P": 4, "S": 20, "Cl": 4}
        on_halide_sites = elements_at(atoms, orbit((0, 0, 0)))
        assert on_halide_sites == Counter({"S": int(4 * exchanged), "Cl": int(4 - 4 * exchanged)})
        lithium = atoms[atoms.symbols == "Li"]
        assert neighbor_list("d", lithium, 1.95).size == 0


def test_orbits_are_those_of_the_space_group_whatever_the_labels(folder: Path) -> None:
    # 4a and 4c have the same occupancies, and are different sites
    own = material(folder, cif_text(without_symmetry(FRAMEWORK + PAIRED_LITHIUM + anions(0.5)), TRICLINIC))
    assert own.cif is not None
    assert sorted(len(group) for group in orbits(*read_cif(own.cif))) == [4, 4, 4, 16, 48]


def test_same_seed_gives_the_same_arrangement(folder: Path) -> None:
    own = material(folder, cif_text(FRAMEWORK + PAIRED_LITHIUM + anions(0.5)))
    assert build(own, seed=1) == build(own, seed=1)
    assert build(own, seed=1) != build(own, seed=2)


def test_ordered_crystal_comes_back_as_it_is(folder: Path) -> None:
    ordered = crystal(
        ["Li", "P", "S", "S", "Cl"],
        [(0.25, 0.25, 0.02), (0.5, 0.5, 0.5), (0.62, 0.62, 0.62), (0.25, 0.25, 0.25), (0, 0, 0)],
        spacegroup=216,
        cellpar=[EDGE, EDGE, EDGE, 90, 90, 90],
    )
    write(folder / "a crystal.cif", ordered)
    own = material(folder, (folder / "a crystal.cif").read_text(encoding="utf-8"))
    atoms = build(own)
    distances = get_distances(atoms.positions, ordered.positions, cell=ordered.cell, pbc=True)[1]
    assert len(atoms) == 52
    assert distances.min(axis=1).max() < 1e-3
    assert [ordered.symbols[int(k)] for k in distances.argmin(axis=1)] == atoms.get_chemical_symbols()
    assert len(build(own, (2, 1, 3))) == 312


def test_split_sites_of_different_orbits_are_not_both_filled(folder: Path) -> None:
    # 24g is the middle of the pair of 48h sites: 18 pairs hold an ion on 48h, the other 6 on 24g
    lithium: list[Row] = [("Li1", "Li", LITHIUM_48H, 0.375), ("Li2", "Li", (0.25, 0.25, 0.02), 0.25)]
    own = material(folder, cif_text(FRAMEWORK + lithium + anions(0)))
    for seed in range(6):
        atoms = build(own, seed=seed)
        filled = atoms[atoms.symbols == "Li"]
        assert neighbor_list("d", filled, 1.95).size == 0
        middle = get_distances(filled.positions, orbit((0.25, 0.25, 0.02)) * EDGE, cell=atoms.cell, pbc=True)[1]
        assert int((middle.min(axis=1) < 0.1).sum()) == 6


def test_occupancies_that_leave_no_arrangement_without_close_pairs_are_refused(folder: Path) -> None:
    # 2.2 angstrom apart, 48h sites form four triangles per cage: at 2.5 angstrom it would hold four ions, not six
    own = material(folder, cif_text(FRAMEWORK + PAIRED_LITHIUM + anions(0)))
    wide = DistanceLimits(pairs_angstrom={"Li-Li": 2.5})
    with pytest.raises(StructureError, match=r"24 ions on 48 sites was found in which none are closer than 2\.5"):
        build_bulk(own, (1, 1, 1), lithium_sites="48h", limits=wide, seed=1)
    four = [("Li1", "Li", LITHIUM_48H, 1 / 3), *FRAMEWORK, ("S2", "S", (0.25, 0.25, 0.25), 1.0)]
    thinned = material(folder, cif_text(four), formula="Li4PS5", oxidation_states={"P": 6}, anion="S")
    assert len(build_bulk(thinned, (1, 1, 1), lithium_sites="48h", limits=wide, seed=1)) == 40


def test_thousands_of_disordered_sites_take_seconds(folder: Path) -> None:
    own = material(folder, cif_text(FRAMEWORK + PAIRED_LITHIUM + anions(0.5)))
    begin = perf_counter()
    assert len(build(own, (5, 5, 5))) == 52 * 125
    assert perf_counter() - begin < 10


def test_occupancies_rounded_to_three_decimals_are_understood(folder: Path) -> None:
    lithium: list[Row] = [("Li1", "Li", LITHIUM_48H, 0.458)]  # 22 of 48 sites
    rows = FRAMEWORK + lithium + [("Cl1", "Cl", (0, 0, 0), 1.0)] + anions(0.5)[2:]
    assert len(build(material(folder, cif_text(rows), formula="Li5.5PS4.5Cl1.5"))) == 50


def test_impossible_occupancies_are_refused_with_the_nearest_possible(folder: Path) -> None:
    own = material(folder, cif_text(FRAMEWORK + PAIRED_LITHIUM + anions(0.3125)))
    message = (
        r"a crystal.cif, site .* \((S/Cl|Cl/S)\): occupancy 0.6875 of S on 4 sites is 2.75 atoms; .* are 0.5 and 0.75; "
        ".* supercell 4 times as large"
    )
    with pytest.raises(StructureError, match=message):
        build(own)
    assert len(build(own, (2, 2, 1))) == 208


def test_other_composition_than_the_formula_is_refused(folder: Path) -> None:
    own = material(folder, cif_text(FRAMEWORK + PAIRED_LITHIUM + anions(0.5, on_4a=0.25)))
    with pytest.raises(StructureError, match=r"Li24P4S19Cl5, which is no multiple of the formula Li6PS5Cl of own"):
        build(own)
    bromide = material(folder, cif_text(FRAMEWORK + PAIRED_LITHIUM + anions(0.5)), formula="Li6PS5Br", anion="Br")
    with pytest.raises(StructureError, match="no multiple of the formula Li6PS5Br"):
        build(bromide)


def test_another_chemistry_is_configuration(folder: Path) -> None:
    """Rock salt: no rigid units, another mobile ion, no argyrodite."""
    write(
        folder / "a crystal.cif",
        crystal(["Na", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=225, cellpar=[5.64] * 3 + [90] * 3),
    )
    text = (folder / "a crystal.cif").read_text(encoding="utf-8")
    own = material(folder, text, formula="NaCl", mobile="Na", rigid_units=())
    assert build(own, (2, 2, 2)).get_chemical_formula() == "Cl32Na32"
    units = (RigidUnit(center="Na", ligand="Cl", count=6, max_bond_angstrom=3.0),)
    with pytest.raises(StructureError, match="units NaCl6 are broken"):  # as every Cl has six Na
        build(own.model_copy(update={"rigid_units": units}))


def test_oblique_cells_are_repeated_along_their_own_vectors(folder: Path) -> None:
    """Lithium sulfide, its primitive cell: every Li has four S at a sqrt(3)/4."""
    primitive = Atoms(
        "SLi2",
        scaled_positions=[[0, 0, 0], [0.25] * 3, [0.75] * 3],
        cell=5.708 / 2 * (1 - np.eye(3)),
        pbc=True,
    )
    write(folder / "a crystal.cif", primitive)
    text = (folder / "a crystal.cif").read_text(encoding="utf-8")
    own = material(folder, text, formula="Li2S", anion="S", rigid_units=())
    atoms = build(own, (3, 2, 1))
    assert atoms.get_volume() == pytest.approx(6 * 5.708**3 / 4)
    first, distance = neighbor_list("id", atoms, {("Li", "S"): 2.6})
    assert np.bincount(first).tolist() == [4] * 12 + [8] * 6
    np.testing.assert_allclose(distance, 5.708 * np.sqrt(3) / 4, rtol=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("this is no crystal\n", "cannot be read as a crystal structure in CIF format"),
        (cif_text([]), "cannot be read as a crystal structure in CIF format"),
        (cif_text([("Q1", "Qq", (0, 0, 0), 1.0), *FRAMEWORK]), "Q"),
        (cif_text([("Li1", "Li", (0, 0, 0), 1.4), *FRAMEWORK]), "1.4"),
        (cif_text([("Li1", "Li", (0, 0, 0), -0.5), *FRAMEWORK]), "no multiple of the formula"),
        (cif_text([("Li1", "Li", (float("nan"), 0, 0), 1.0), *FRAMEWORK]), "a crystal.cif"),
        (cif_text(FRAMEWORK).replace("_cell_length_c 9", "_cell_length_c -9"), "flat or turned inside out"),
        (cif_text(FRAMEWORK) + cif_text(FRAMEWORK).replace("argyrodite", "another"), "holds 2 crystal structures"),
    ],
    ids=["empty", "text", "no-atoms", "unknown-element", "overfull", "negative", "nan", "negative-cell", "two"],
)
def test_broken_file_is_refused_by_name(folder: Path, text: str, message: str) -> None:
    own = material(folder, text)
    with pytest.raises((FileError, StructureError), match=message) as caught:
        build(own)
    assert "a crystal.cif" in str(caught.value)


def test_file_that_vanished_is_named(folder: Path) -> None:
    own = material(folder, cif_text(FRAMEWORK))
    (folder / "a crystal.cif").unlink()
    with pytest.raises(FileError, match=r"a crystal\.cif: there is no such file"):
        build(own)
