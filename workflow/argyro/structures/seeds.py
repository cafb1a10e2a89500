"""Seeds: small cells, strained and rattled, that a potential is first trained on."""

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
from ase import Atoms

from argyro.common.errors import StructureError
from argyro.common.randomness import seed_for
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits, SeedsConfig, StructuresConfig

from .bulk import build_bulk
from .neighbours import FloatArray
from .pushed import pushed_together
from .validator import validate

CLOSEST = 1.55  # angstrom, of atoms pushed together: potentials know nothing below their min_dist
CONTACT = (0.75, 1.2)  # of the sum of covalent radii, the distance of atoms pushed together
MAX_DRAWS = 200  # of the displacements of single atoms, until no two are too close and all rigid units are whole


def seed_limits(settings: StructuresConfig) -> DistanceLimits:
    """How close atoms of seeds may come."""
    return settings.limits.scaled(settings.seeds.limits_factor)


def build_seeds(material: Material, settings: StructuresConfig, *, seed: int) -> list[Atoms]:
    """Seeds with displacements growing from the smallest to the largest, and then those with a contact.

    Each has its own random arrangement, a uniformly drawn isotropic strain, and a small general one. Displacements that
    break a rigid unit or bring atoms too close are drawn again, for the atoms at fault only. Contacts are made in
    copies of the first seeds: an atom is moved next to another, pairs of elements taken in turn, so that a potential
    has seen two atoms of the rarest element close to each other too.

    Args:
        material: What to build.
        settings: How many, and how much they are strained and rattled.
        seed: Of all that is random.

    Returns:
        Structures with ``material``, ``exchange_percent`` and ``seed_index`` in ``info``; ``contact`` names the
        elements of two atoms that are pushed together.

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
    return [*structures, *_contacts(structures, seeds.contacts, seed)]


def _contacts(structures: Sequence[Atoms], count: int, seed: int) -> list[Atoms]:
    """Copies of the first structures, and of them again, in each of which two atoms are pushed together."""
    contacts = []
    pairs = list(combinations_with_replacement(sorted(set(structures[0].get_chemical_symbols())), 2)) if count else []
    order = np.random.default_rng(seed_for(seed, "pairs")).permutation(len(pairs))
    for index in range(count):
        source, pair = structures[index % len(structures)], pairs[order[index % len(pairs)]]
        rng = np.random.default_rng(seed_for(seed, "contact", index))
        atoms = pushed_together(source, CLOSEST, rng, fractions=CONTACT, elements=pair)
        atoms.info |= {"seed_index": len(structures) + index, "contact": "-".join(pair)}
        contacts.append(atoms)
    return contacts


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
