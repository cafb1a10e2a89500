"""Training cells cut around single atoms."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk as ase_bulk
from ase.neighborlist import neighbor_list
from pydantic import ValidationError

from argyro.common.errors import StructureError
from argyro.config.learning import BoundaryConfig, CarvingConfig
from argyro.config.load import load_files, preset_file
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits
from argyro.learning import boundary
from argyro.learning.boundary import relax_boundary, training_cell
from argyro.learning.carve import CORE, SOURCE, UNIT, CarvedCell, CarveRejectedError, carve
from argyro.learning.contacts import contact_distance
from argyro.structures.bulk import build_bulk
from argyro.structures.validator import validate

MATERIAL = Material(id="Li6PS5Cl-50", formula="Li6PS5Cl", anion="Cl", exchange_percent=50)
LIMITS = DistanceLimits()
PUBLISHED = load_files(preset_file("paper")).learning.carving


@pytest.fixture(scope="module")
def hot_bulk() -> Atoms:
    """A frame as a hot run has it: 416 atoms, displaced by 0.15 angstrom."""
    atoms = build_bulk(MATERIAL, (2, 2, 2), lithium_sites="48h", limits=LIMITS, seed=1)
    rng = np.random.default_rng(1)
    atoms.positions += 0.05 * rng.normal(size=(len(atoms), 3))
    mobile = atoms.symbols == "Li"
    atoms.positions[mobile] += 0.1 * rng.normal(size=(mobile.sum(), 3))
    return atoms


@pytest.fixture(scope="module")
def cells(hot_bulk: Atoms) -> list[tuple[int, CarvedCell, CarvedCell]]:
    """Cells around some atoms: before and after their boundaries settled."""
    found = []
    for center in np.random.default_rng(2).choice(len(hot_bulk), 8, replace=False):
        settled = training_cell(hot_bulk, int(center), MATERIAL, CarvingConfig(), BoundaryConfig(), LIMITS)
        found.append((int(center), carve(hot_bulk, int(center), MATERIAL, CarvingConfig()), settled))
    return found


def neighbours(atoms: Atoms, center: int, cutoff: float) -> list[tuple[str, tuple[float, ...]]]:
    """Elements and displacements of an atom's neighbours, found by ASE, in an order of their own."""
    first, second, vector = neighbor_list("ijD", atoms, cutoff)
    mine = first == center
    symbols = np.array(atoms.get_chemical_symbols())[second[mine]].tolist()
    return sorted(
        zip(symbols, map(tuple, vector[mine].tolist()), strict=True), key=lambda n: np.round(n[1], 6).tolist()
    )


def rock_salt(tmp_path: Path) -> Material:
    """A chemistry of its own, without rigid units."""
    cif = tmp_path / "salt.cif"
    ase_bulk("LiCl", "rocksalt", a=5.14, cubic=True).write(cif)
    return Material(id="LiCl", formula="LiCl", anion="Cl", cif=cif, rigid_units=())


def test_neighbours_of_the_center_are_those_in_the_source(
    hot_bulk: Atoms, cells: list[tuple[int, CarvedCell, CarvedCell]]
) -> None:
    for center, carved, settled in cells:
        before = neighbours(hot_bulk, center, 5.0)
        for cell in (carved, settled):
            after = neighbours(cell.atoms, cell.center, 5.0)
            assert [symbol for symbol, _ in after] == [symbol for symbol, _ in before]
            difference = np.array([vector for _, vector in after]) - np.array([vector for _, vector in before])
            assert np.abs(difference).max() < 1e-12


def test_cells_have_the_exact_formula_no_charge_and_whole_units(
    cells: list[tuple[int, CarvedCell, CarvedCell]],
) -> None:
    for _, _, settled in cells:
        report = validate(settled.atoms, MATERIAL, LIMITS.scaled(0.8))
        assert report.violations == []
        assert report.charge == 0
        assert report.formula_units == settled.formula_units
        assert report.rigid_units["PS4"] == {"whole": settled.formula_units, "broken": 0}


def test_only_atoms_outside_the_core_move(cells: list[tuple[int, CarvedCell, CarvedCell]]) -> None:
    moved = 0.0
    for _, _, settled in cells:
        shaken, free = settled.atoms.get_positions(), ~settled.core & (settled.atoms.arrays[UNIT] < 0)
        shaken[free] += 0.2 * np.random.default_rng(1).normal(size=(int(free.sum()), 3))
        again = relax_boundary(settled.with_positions(shaken), MATERIAL, BoundaryConfig(), LIMITS).atoms.positions
        assert np.array_equal(again[settled.core], settled.atoms.positions[settled.core])
        moved = max(moved, float(np.abs(again - shaken).max()))
    assert moved > 0.05


def test_boundary_atoms_keep_out_of_the_core_and_apart(
    hot_bulk: Atoms, cells: list[tuple[int, CarvedCell, CarvedCell]]
) -> None:
    for center, _, settled in cells:
        distances = settled.atoms.get_distances(settled.center, range(len(settled.atoms)), mic=True)
        in_source = hot_bulk.get_distances(center, settled.atoms.arrays[SOURCE][settled.core], mic=True)
        assert in_source.max() <= 5.0
        assert distances[~settled.core].min() > 5.0
        assert neighbor_list("d", settled.atoms, 3.0).min() >= 1.6


def test_density_is_recorded_and_near_the_sources(
    hot_bulk: Atoms, cells: list[tuple[int, CarvedCell, CarvedCell]]
) -> None:
    source = len(hot_bulk) / hot_bulk.get_volume()
    for _, _, settled in cells:
        ratio = len(settled.atoms) / settled.atoms.get_volume() / source
        assert ratio == pytest.approx(settled.density_ratio)
        assert settled.atoms.info["carve_density_ratio"] == pytest.approx(ratio)
        assert 0.85 <= ratio <= 1.05
        assert settled.edge >= 11.0


def test_centers_of_units_are_shielded_by_their_ligands() -> None:
    """Sulfur that touches the three of a face, 3.25 angstrom each, is 3.3 angstrom from phosphorus, by geometry."""
    touching, bond = contact_distance("S", "S", MATERIAL), 2.05
    edge = bond * np.sqrt(8 / 3)  # of the tetrahedron
    from_face = np.sqrt(touching**2 - edge**2 / 3)
    assert contact_distance("P", "S", MATERIAL) == pytest.approx(from_face + bond / 3, abs=0.1)
    assert contact_distance("P", "P", MATERIAL) > 2 * bond
    assert contact_distance("Li", "S", MATERIAL) < 2.5
    bare = MATERIAL.model_copy(update={"rigid_units": ()})
    assert contact_distance("P", "S", bare) == pytest.approx(2.12, abs=0.01)  # a bond


def test_parts_of_the_core_never_meet_across_the_faces(cells: list[tuple[int, CarvedCell, CarvedCell]]) -> None:
    for _, _, settled in cells:
        core = settled.atoms[settled.core]
        phosphorus = core.positions[core.symbols == "P"]
        across = settled.edge - np.abs(phosphorus[:, None] - phosphorus[None, :])
        offset = np.where(across < settled.edge / 2, across, settled.edge - across)
        distance = np.linalg.norm(offset, axis=-1)[np.triu_indices(len(phosphorus), 1)]
        assert (distance > 0.7 * contact_distance("P", "P", MATERIAL)).all()


def test_same_source_gives_the_same_cell(hot_bulk: Atoms) -> None:
    first, second = (training_cell(hot_bulk, 5, MATERIAL, CarvingConfig(), BoundaryConfig(), LIMITS) for _ in range(2))
    assert first.atoms == second.atoms
    assert (first.atoms.positions == second.atoms.positions).all()


def test_cells_are_cut_from_any_periodic_structure(hot_bulk: Atoms) -> None:
    """Shapes other than a cube, and cells smaller than what is cut out of them."""
    small = build_bulk(MATERIAL, (1, 1, 1), lithium_sites="48h", limits=LIMITS, seed=3)
    skewed = hot_bulk.copy()
    skewed.set_cell(hot_bulk.cell.array @ [[1, 0, 0], [1, 1, 0], [0, -1, 1]])  # the same lattice
    for source, center in ((small, 7), (skewed, 100)):
        cell = training_cell(source, center, MATERIAL, CarvingConfig(), BoundaryConfig(), LIMITS)
        before, after = neighbours(source, center, 5.0), neighbours(cell.atoms, cell.center, 5.0)
        assert [symbol for symbol, _ in after] == [symbol for symbol, _ in before]
        np.testing.assert_allclose([v for _, v in after], [v for _, v in before], atol=1e-12)


def test_the_most_crowded_atoms_are_deleted_first(tmp_path: Path) -> None:
    """A cube of 5 x 5 x 5 sites holds one ion more of the center's kind, and one more is pushed against another."""
    material = rock_salt(tmp_path)
    source = ase_bulk("LiCl", "rocksalt", a=5.14, cubic=True) * (4, 4, 4)
    center = int(np.flatnonzero(source.symbols == "Li")[0])
    corner = source.positions[center] + [5.14, 5.14, 0.0]
    victim = int(np.linalg.norm(source.positions - corner, axis=1).argmin())
    source += Atoms("Li", positions=[corner + np.array([0.6, 0.5, 0.0])])
    settings = CarvingConfig(edge_angstrom=12.85, edge_max_angstrom=12.85, density_ratio=0, margin_angstrom=0)
    cell = carve(source, center, material, settings)
    assert Counter(cell.atoms.get_chemical_symbols()) == {"Li": 62, "Cl": 62}
    assert not {victim, len(source) - 1} <= set(cell.atoms.arrays[SOURCE].tolist())


def test_published_cube_keeps_positions_and_takes_single_atoms(hot_bulk: Atoms) -> None:
    source = hot_bulk * (2, 2, 2)
    cell = carve(source, 11, MATERIAL, PUBLISHED)
    assert len(cell.atoms) >= 200
    assert cell.edge == pytest.approx(16.0 + 0.2 * round((cell.edge - 16) / 0.2))
    offset = cell.atoms.positions - cell.atoms.positions[cell.center]
    assert (np.abs(offset) <= cell.edge / 2 + 1e-9).all()
    in_core = (np.abs(offset) <= 6.5).all(axis=1)
    assert (in_core == cell.core).all()
    source_offset = source.get_distances(11, range(len(source)), mic=True, vector=True)
    assert in_core.sum() == (np.abs(source_offset) <= 6.5).all(axis=1).sum()
    counts = Counter(cell.atoms.get_chemical_symbols())
    assert counts == {"Li": 6 * counts["P"], "P": counts["P"], "S": 5 * counts["P"], "Cl": counts["P"]}


def test_rejections_name_their_reason(hot_bulk: Atoms) -> None:
    with pytest.raises(CarveRejectedError, match="below 500") as size:
        carve(hot_bulk, 0, MATERIAL, CarvingConfig(min_atoms=500))
    assert size.value.reason == "size"
    without_halides = hot_bulk[~(hot_bulk.symbols == "Cl")]
    with pytest.raises(CarveRejectedError, match="no number of formula units") as composition:
        carve(without_halides, 0, MATERIAL, CarvingConfig())
    assert composition.value.reason == "composition"
    with pytest.raises(StructureError, match="no atom 9999"):
        carve(hot_bulk, 9999, MATERIAL, CarvingConfig())


def most_at_source_density(source: Atoms, edge: float, **density: float) -> tuple[CarvingConfig, int]:
    """Settings of one edge at which no cell is denser than the source, and how many atoms the densest has."""
    formula_units = int(len(source) / source.get_volume() * edge**3 / 13)  # Li6PS5Cl has 13 atoms
    settings = {"density_ratio": 0.0, "max_density_ratio": 1.0} | density
    return CarvingConfig(edge_angstrom=edge, edge_max_angstrom=edge, **settings), 13 * formula_units


def test_cells_are_rejected_below_the_smallest_density_and_not_above_it(hot_bulk: Atoms) -> None:
    density = len(hot_bulk) / hot_bulk.get_volume()
    _, atoms = most_at_source_density(hot_bulk, 14.0)
    ratio = atoms / 14.0**3 / density
    allowed, _ = most_at_source_density(hot_bulk, 14.0, min_density_ratio=ratio - 0.005)
    refused, _ = most_at_source_density(hot_bulk, 14.0, min_density_ratio=ratio + 0.005)
    assert carve(hot_bulk, 0, MATERIAL, allowed).density_ratio == pytest.approx(ratio)
    with pytest.raises(CarveRejectedError, match=f"{ratio:.2f} of the source's density") as rejection:
        carve(hot_bulk, 0, MATERIAL, refused)
    assert rejection.value.reason == "density"


def test_edge_is_shortened_to_the_density_asked_for(hot_bulk: Atoms) -> None:
    settings, atoms = most_at_source_density(hot_bulk, 14.0, density_ratio=0.98)
    edge = np.cbrt(atoms * hot_bulk.get_volume() / len(hot_bulk) / 0.98)
    assert edge < 13.95
    assert carve(hot_bulk, 0, MATERIAL, settings).edge == pytest.approx(edge)
    assert carve(hot_bulk, 0, MATERIAL, settings).density_ratio == pytest.approx(0.98)


def test_edge_is_never_shortened_so_far_that_images_of_the_core_meet(hot_bulk: Atoms) -> None:
    """Two cores of 5 angstrom and a margin of 1 take 11; the density alone would ask for less."""
    settings, atoms = most_at_source_density(hot_bulk, 11.05, density_ratio=0.95)
    assert np.cbrt(atoms * hot_bulk.get_volume() / len(hot_bulk) / 0.95) < 10.9
    assert carve(hot_bulk, 250, MATERIAL, settings).edge == pytest.approx(11.0)


def test_core_with_atoms_far_too_close_is_rejected(hot_bulk: Atoms) -> None:
    source = hot_bulk.copy()
    first, second = np.flatnonzero(source.symbols == "Li")[:2]
    source.positions[second] = source.positions[first] + [1.45, 0, 0]
    with pytest.raises(CarveRejectedError) as rejection:
        training_cell(source, int(first), MATERIAL, CarvingConfig(), BoundaryConfig(), LIMITS)
    assert rejection.value.reason == "distance"


def test_no_edge_is_tried_where_the_core_itself_cannot_be_labelled(
    hot_bulk: Atoms, monkeypatch: pytest.MonkeyPatch
) -> None:
    atoms = hot_bulk.copy()
    center = int(np.flatnonzero(atoms.symbols == "Li")[0])
    nearest = int(np.argsort(atoms.get_distances(center, range(len(atoms)), mic=True))[1])
    atoms.set_distance(center, nearest, 1.5, fix=0, mic=True)
    monkeypatch.setattr(boundary, "carvings", lambda *_: pytest.fail("an edge was tried"))
    with pytest.raises(CarveRejectedError, match=r"1\.50 angstrom apart, below 1\.60") as found:
        training_cell(atoms, center, MATERIAL, CarvingConfig(), BoundaryConfig(), LIMITS)
    assert found.value.reason == "distance"


def test_broken_units_are_dropped_outside_the_core_and_counted_inside(hot_bulk: Atoms) -> None:
    source = hot_bulk.copy()
    phosphorus = int(np.flatnonzero(source.symbols == "P")[0])
    assert len(neighbours(source, phosphorus, 2.6)) == 4
    distances = source.get_distances(phosphorus, range(len(source)), mic=True)
    ligand = int(np.where(source.symbols == "S", distances, np.inf).argmin())
    bond = source.get_distance(phosphorus, ligand, mic=True, vector=True)
    source.positions[ligand] += 0.4 * bond
    inside = carve(source, phosphorus, MATERIAL, CarvingConfig())
    assert inside.broken_units == 1
    distances = source.get_distances(phosphorus, range(len(source)), mic=True)
    apart = int(np.argmin(np.abs(distances - 7.5)))
    outside = carve(source, apart, MATERIAL, CarvingConfig())
    assert outside.broken_units == 0
    assert phosphorus not in outside.atoms.arrays[SOURCE]


def test_core_is_marked(cells: list[tuple[int, CarvedCell, CarvedCell]]) -> None:
    for _, carved, _ in cells:
        assert carved.atoms.arrays[CORE].sum() == carved.core.sum() > 15
        assert carved.core[carved.center]


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValidationError, match="at least 11"):
        CarvingConfig(edge_angstrom=10.0)
    with pytest.raises(ValidationError, match="is below edge_angstrom"):
        CarvingConfig(edge_angstrom=12.0, edge_max_angstrom=11.5)


def test_edges_rise_from_the_first_to_the_largest() -> None:
    assert CarvingConfig(edge_angstrom=11, edge_max_angstrom=11.6).edges() == pytest.approx([11, 11.2, 11.4, 11.6])
