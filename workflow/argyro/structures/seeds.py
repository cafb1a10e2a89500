"""Seeds: small cells, strained and rattled, that a potential is first trained on."""

import logging
from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt
from ase import Atoms

from argyro.common.errors import StructureError
from argyro.common.randomness import seed_for
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits, SeedsConfig, StructuresConfig

from .bulk import build_bulk
from .neighbours import FloatArray, PeriodicPoints
from .pushed import moved_closer
from .validator import validate

CLOSEST = 1.55  # angstrom, of atoms that meet: potentials know nothing below their min_dist
CONTACTS = ((0.4, 0.7), (0.2, 0.4))
"""How far atoms that meet stay apart, between what radii forbid and the smallest distance there is, taken in turn."""
logger = logging.getLogger(__name__)

MAX_DRAWS = 200  # of the displacements of single atoms, until no two are too close and all rigid units are whole


def seed_limits(settings: StructuresConfig) -> DistanceLimits:
    """How close atoms of seeds may come."""
    return settings.limits.scaled(settings.seeds.limits_factor)


def build_seeds(material: Material, settings: StructuresConfig, *, seed: int) -> list[Atoms]:
    """Seeds with displacements growing from the smallest to the largest, and then those with a contact.

    Each has its own random arrangement, a uniformly drawn isotropic strain, and a small general one. Displacements that
    break a rigid unit or bring atoms too close are drawn again, for the atoms at fault only. Contacts are made in
    copies of the first seeds: an atom of no rigid unit moves closer to a neighbor than any two of their elements are,
    pairs of elements taken in turn, so that a potential has seen the rarest meetings too.

    Args:
        material: What to build.
        settings: How many, and how much they are strained and rattled.
        seed: Of all that is random.

    Returns:
        Structures with ``material``, ``exchange_percent`` and ``seed_index`` in ``info``; ``contact`` names the
        elements of two atoms that have moved together.

    Raises:
        FileError: the CIF cannot be read.
        StructureError: the composition is not possible in these cells, or displacements are so large that no sound
            structure was found.
    """
    seeds = settings.seeds
    amplitudes = np.linspace(seeds.displacement_min_angstrom, seeds.displacement_max_angstrom, seeds.count)
    structures = []
    for index, amplitude in enumerate(amplitudes):
        own_seed = seed_for(seed, "seed", index)
        atoms = build_bulk(
            material,
            seeds.supercell,
            lithium_sites=settings.bulk.lithium_sites,
            limits=settings.limits,
            seed=own_seed,
        )
        rng = np.random.default_rng([own_seed, 1])
        atoms.set_cell(atoms.cell.array @ _deformation(seeds, rng), scale_atoms=True)
        spread = np.full(len(atoms), amplitude)
        spread[atoms.symbols == material.mobile] = np.hypot(amplitude, seeds.mobile_displacement_angstrom)
        _rattle(atoms, material, spread, seed_limits(settings), rng)
        atoms.info["seed_index"] = index
        structures.append(atoms)
    return with_contacts(structures, material, seed, seeds.contacts)


def with_contacts(structures: Sequence[Atoms], material: Material, seed: int, count: int) -> list[Atoms]:
    """Structures and, after them, copies of the first, and of them again, with two atoms that have moved together.

    Args:
        structures: Seeds with ``seed_index`` in ``info``.
        material: Of them.
        seed: Of all that is random.
        count: How many copies.

    Raises:
        StructureError: there is no room for so many.
    """
    return [*structures, *_contacts(structures, material, seed, count)]


def _contacts(structures: Sequence[Atoms], material: Material, seed: int, count: int) -> list[Atoms]:
    contacts: list[Atoms] = []
    rng = np.random.default_rng(seed_for(seed, "pairs"))
    pairs = _pairs_with_movable(structures, material) if count else []
    turn = 0
    while len(contacts) < count:
        made = len(contacts)
        for place in rng.permutation(len(pairs))[: count - made]:
            index, part = len(contacts), CONTACTS[(turn + place) % len(CONTACTS)]
            sources = [structures[(index + k) % len(structures)] for k in range(len(structures))]
            atoms = _contact(sources, material, pairs[place], part, seed_for(seed, "contact", turn, int(place)))
            if atoms is not None:
                atoms.info |= {"seed_index": len(structures) + index, "contact": "-".join(pairs[place])}
                contacts.append(atoms)
        if len(contacts) == made:
            raise StructureError(
                f"seeds of {material.id}: no two atoms could be moved together; reduce contacts to {made}"
            )
        turn += 1
    return contacts


def _contact(
    sources: Sequence[Atoms], material: Material, pair: tuple[str, str], part: tuple[float, float], seed: int
) -> Atoms | None:
    """A copy of the first structure in which there is room for it, with two atoms of a pair moved together."""
    rng = np.random.default_rng(seed)
    for source in sources:
        try:
            return moved_closer(source, pair, _in_no_unit(source, material), part, rng, closest=CLOSEST)
        except StructureError as error:
            logger.info("%s, seed %d: %s", material.id, source.info["seed_index"], error)
    return None


def _in_no_unit(atoms: Atoms, material: Material) -> npt.NDArray[np.bool_]:
    """Which atoms belong to no rigid unit, shape (N,)."""
    free = np.ones(len(atoms), dtype=bool)
    for unit in material.rigid_units:
        centers, ligands = (np.flatnonzero(atoms.symbols == element) for element in (unit.center, unit.ligand))
        bond, cell = unit.max_bond_angstrom, atoms.cell.array
        center_points, ligand_points = (PeriodicPoints(atoms.positions[k], cell, bond) for k in (centers, ligands))
        bonds = ligand_points.pairs_from(center_points, bond)
        free[centers] = free[ligands[bonds.second]] = False
    return free


def _pairs_with_movable(structures: Sequence[Atoms], material: Material) -> list[tuple[str, str]]:
    """Pairs of elements, those without an atom that can be moved left out."""
    movable = {symbol for atoms in structures for symbol in atoms.symbols[_in_no_unit(atoms, material)]}
    pairs = combinations_with_replacement(sorted(material.elements), 2)
    return [(first, second) for first, second in pairs if {first, second} & movable]


def _deformation(settings: SeedsConfig, rng: np.random.Generator) -> FloatArray:
    """Deformation gradient, shape (3, 3), symmetric."""
    strain = rng.normal(scale=settings.random_strain, size=(3, 3))
    isotropic = rng.uniform(settings.linear_strain_min, settings.linear_strain_max)
    symmetric: FloatArray = np.eye(3) * (1 + isotropic) + np.triu(strain) + np.triu(strain, 1).T
    return symmetric


def _rattle(
    atoms: Atoms, material: Material, spread: FloatArray, limits: DistanceLimits, rng: np.random.Generator
) -> None:
    """Displace all atoms, in place, so that the structure is sound."""
    ideal = atoms.get_positions()
    at_fault = np.arange(len(atoms))
    for _ in range(MAX_DRAWS):
        atoms.positions[at_fault] = ideal[at_fault] + rng.normal(size=(len(at_fault), 3)) * spread[at_fault, None]
        report = validate(atoms, material, limits)
        if report.ok:
            return
        at_fault = np.array(report.atoms_at_fault)
    raise StructureError(
        f"seeds of {material.id}: displacements of {spread.max():.2f} angstrom gave no sound structure "
        f"({report.violations[0]}); reduce structures.seeds.displacement_max_angstrom, mobile_displacement_angstrom or "
        "linear strains"
    )
