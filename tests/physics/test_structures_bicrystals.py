"""Bicrystals are what crystallography says they are, and keep their chemistry."""

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.geometry import get_distances
from scipy.spatial.transform import Rotation

from argyro.config.materials import Material
from argyro.config.structures import Boundary, DistanceLimits, boundary_library
from argyro.structures.argyrodite import LITHIUM_48H, orbit
from argyro.structures.bicrystal import build_bicrystal
from argyro.structures.boundary import boundary_geometry
from argyro.structures.crystal import crystal_of
from argyro.structures.layering import Layering, face_charge, terminations
from argyro.structures.validator import validate

LIMITS = DistanceLimits()
LIBRARY = {boundary.name: boundary for boundary in boundary_library()}
TETRAHEDRON = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
CHLORIDE = Material(id="Li6PS5Cl", formula="Li6PS5Cl", anion="Cl")
PRESET_ANGLES = {"S3_1-12": 70.53, "S3_-111": 109.47, "S5_001": 36.87}
FAR = 5.0  # angstrom: beyond what sticks out of the other grain, and beyond displaced lithium


def rotations_onto(bonds: Any) -> Rotation:
    """All twelve rotations of the tetrahedron that bring it onto four unit vectors."""
    matrices = [0.75 * bonds.T @ TETRAHEDRON[list(order)] for order in permutations(range(4))]
    return Rotation.from_matrix([matrix for matrix in matrices if np.linalg.det(matrix) > 0])


TETRAHEDRAL = rotations_onto(TETRAHEDRON)  # the proper ones of the crystal's point group -43m


def build(boundary: Boundary, material: Material = CHLORIDE, thickness: float = 20.0, **settings: Any) -> Atoms:
    settings = {"seed": 1} | settings
    return build_bicrystal(material, boundary, min_grain_angstrom=thickness, limits=LIMITS, **settings)


def measured_orientation(atoms: Atoms, grain: int) -> Rotation:
    """From crystal to sample, by the PS4 tetrahedra of a grain, up to a rotation of the tetrahedron."""
    of_grain = atoms.arrays["grain"] == grain
    phosphorus = np.flatnonzero(of_grain & (atoms.symbols == "P"))
    sulfur = np.flatnonzero(of_grain & (atoms.symbols == "S"))
    vectors, distances = get_distances(
        atoms.positions[phosphorus[:1]], atoms.positions[sulfur], cell=atoms.cell, pbc=True
    )
    bonds = vectors[0][np.argsort(distances[0])[:4]]
    return rotations_onto(bonds / np.linalg.norm(bonds, axis=1)[:, None])[0]


def deviation(measured: Rotation, expected: Rotation) -> float:
    """Angle between two misorientations of crystals with tetrahedral symmetry, degrees."""
    angles = [(s.inv() * measured * t * expected.inv()).magnitude() for s, t in product(TETRAHEDRAL, TETRAHEDRAL)]
    return float(np.degrees(min(angles)))


@pytest.mark.parametrize("name", LIBRARY)
def test_all_boundaries_of_the_library_are_sound_and_as_asked_for(name: str) -> None:
    boundary = LIBRARY[name]
    atoms = build(boundary, CHLORIDE.model_copy(update={"exchange_percent": 50.0}), translation_step_angstrom=3)
    report = validate(atoms, CHLORIDE, LIMITS)
    assert report.ok
    assert report.charge == 0
    assert report.formula_units == report.rigid_units["PS4"]["whole"] == len(atoms) / 13
    height, between = atoms.cell.array[2, 2], atoms.info["boundary_z_angstrom"]
    assert min(between, height - between) >= 20
    assert max(between, height - between) < 20 + 8 + max(atoms.info["gaps_angstrom"])
    axis = np.array(boundary.axis)
    wanted = float(name.split("_")[1]) if boundary.groups else PRESET_ANGLES[name]
    assert abs(atoms.info["misorientation_degrees"]) == pytest.approx(wanted, abs=0.005)
    assert atoms.info["sigma"] == boundary.sigma
    requested = Rotation.from_rotvec(np.radians(atoms.info["misorientation_degrees"]) * axis / np.linalg.norm(axis))
    one, other = (measured_orientation(atoms, grain) for grain in (0, 1))
    assert deviation(one.inv() * other, requested) < 0.01
    normal = np.abs((one * TETRAHEDRAL).inv().apply([0, 0, 1])) * np.linalg.norm(boundary.plane)
    assert (np.abs(np.sort(normal) - np.sort(np.abs(boundary.plane))).max(axis=1) < 1e-6).any()
    assert abs(atoms.info["charge_e_per_angstrom2"]) < 1e-4
    assert atoms.info["boundaries_equivalent"]


@pytest.mark.parametrize("name", ["S3_1-12", "S3_-111", "S5_001", "S11_129.52", "S27_31.59"])
def test_far_from_boundaries_every_atom_is_on_the_rotated_lattice(name: str) -> None:
    edge = CHLORIDE.cubic_lattice_constant
    bound = 0.5 + 2.05 / np.sqrt(3) / edge
    sites = {
        "P": orbit((0.5, 0.5, 0.5)),
        "S": np.concatenate([orbit((bound,) * 3), orbit((0.25, 0.25, 0.25)), orbit((0, 0, 0))]),
        "Cl": np.concatenate([orbit((0.25, 0.25, 0.25)), orbit((0, 0, 0))]),
        "Li": orbit(LITHIUM_48H),
    }
    atoms = build(LIBRARY[name], CHLORIDE.model_copy(update={"exchange_percent": 50.0}))
    far = atoms.arrays["boundary_distance_angstrom"] > FAR
    for grain, quaternion in enumerate(atoms.info["orientations_quaternion"]):
        mine = far & (atoms.arrays["grain"] == grain)
        to_sample = Rotation.from_quat(quaternion, scalar_first=True)
        origin = atoms.positions[np.flatnonzero(mine & (atoms.symbols == "P"))[0]]
        fractional = to_sample.inv().apply(atoms.positions[mine] - origin) / edge + 0.5
        assert mine.sum() > 25
        for element, at in zip(atoms.symbols[mine], fractional, strict=True):
            missed = at - sites[element]
            assert np.linalg.norm((missed - missed.round()) * edge, axis=1).min() < 1e-6


@pytest.mark.parametrize("name", ["S3_1-12", "S5_001", "S9_38.94"])
def test_far_from_boundaries_lithium_is_as_dense_as_in_the_bulk(name: str) -> None:
    atoms = build(LIBRARY[name], thickness=40, min_width_angstrom=20)
    far = atoms.arrays["boundary_distance_angstrom"] > FAR
    lithium, phosphorus = (int((far & (atoms.symbols == element)).sum()) for element in ("Li", "P"))
    assert lithium / phosphorus == pytest.approx(6, rel=0.1)


def test_no_boundary_at_all_gives_the_perfect_crystal() -> None:
    # Sigma 1, by a symmetry of the crystal: what is built has the bulk's density and distances
    atoms = build(Boundary(name="none", axis=(0, 0, 1), plane=(0, 0, 1), sigma=1, angle_degrees=180))
    assert atoms.info["gaps_angstrom"] == [0, 0]
    volume = CHLORIDE.cubic_lattice_constant**3 / 4
    assert atoms.get_volume() / (len(atoms) / 13) == pytest.approx(volume)
    distances = atoms[atoms.symbols == "P"].get_all_distances(mic=True)
    assert distances[distances > 0].min() == pytest.approx(CHLORIDE.cubic_lattice_constant / np.sqrt(2))


def test_face_charge_is_that_of_stacked_ions() -> None:
    # Along [111], in units of the spacing: PS4 (-3) at 0, a free sulfur with its six lithium (+4) at 1/4, halide (-1)
    # at 1/2; a layer that begins below PS4 has the dipole (4/4 - 1/2) e per lattice point
    crystal = crystal_of(CHLORIDE, "24g", LIMITS)
    geometry = boundary_geometry(crystal, LIBRARY["S3_-111"])
    layers, orientation = geometry.layers[0], geometry.orientations[0]
    area = crystal.volume_per_formula_unit / layers[2, 2]
    charges = [
        face_charge(crystal, Layering(layers, orientation, geometry.cell, cut, 1)) * area
        for cut in terminations(crystal, layers, orientation)
    ]
    assert len(charges) == 3
    assert min(abs(charge) for charge in charges) == pytest.approx(0.5, abs=1e-4)
    np.testing.assert_allclose(2 * np.array(charges), np.rint(2 * np.array(charges)), atol=1e-4)


def test_opposite_polar_directions_leave_a_charge_and_are_refused_unless_allowed() -> None:
    mirrored = Boundary(name="mirrored", plane=(-1, 1, 1), sigma=3, angle_degrees=70.53)
    with pytest.raises(Exception, match=r"opposite polar directions.*0\.0119 e per square angstrom.*allow_charged"):
        build(mirrored)
    atoms = build(mirrored.model_copy(update={"allow_charged": True}))
    assert abs(atoms.info["charge_e_per_angstrom2"]) == pytest.approx(0.5 / 42.1, rel=1e-2)
    assert not atoms.info["boundaries_equivalent"]


@pytest.mark.parametrize("name", ["S3_1-12", "S9_141.06", "S5_001"])
def test_opening_is_no_wider_than_contacts_demand(name: str) -> None:
    atoms = build(LIBRARY[name])
    gaps = np.array(atoms.info["gaps_angstrom"])
    assert (gaps > 0.1).all()
    assert (gaps < 3).all()
    anions = atoms[np.isin(atoms.get_chemical_symbols(), ["S", "Cl"])]
    distances = anions.get_all_distances(mic=True)
    across = anions.arrays["grain"][:, None] != anions.arrays["grain"][None, :]
    # Some pair touches: 0.75 times the radii of Shannon (S 1.84, Cl 1.81 angstrom), or lithium has pushed a little
    assert 0.75 * 2 * 1.81 - 1e-6 <= distances[across].min() <= 0.75 * 2 * 1.84 + 0.2
