"""Seeds: small cells, strained and rattled, that a potential is first trained on."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from ase import Atoms

from argyro.common.errors import StructureError
from argyro.common.randomness import seed_for
from argyro.config.materials import Material
from argyro.config.structures import SeedsConfig

from .bulk import build_bulk
from .validator import validate

MAX_DRAWS = 100  # of displacements per seed, until no two atoms are too close and all rigid units are whole


@dataclass(frozen=True)
class Seeds:
    """Seeds of one material.

    Attributes:
        structures: The seeds.
        redrawn: How often displacements were drawn again because the structure was not sound.
    """

    structures: list[Atoms]
    redrawn: int


def build_seeds(
    material: Material,
    settings: SeedsConfig,
    *,
    lithium_sites: Literal["48h", "24g"],
    minimum_distance: float,
    seed: int,
) -> Seeds:
    """Seeds with displacements growing from the smallest to the largest.

    Each has a random arrangement, a uniformly drawn isotropic strain, and a small general one.

    Args:
        material: What to build.
        settings: How many, and how much they are strained and rattled.
        lithium_sites: Of argyrodites.
        minimum_distance: No two atoms are closer, angstrom.
        seed: Of all that is random.

    Raises:
        StructureError: displacements are so large that no sound structure was found.
    """
    amplitudes = np.linspace(settings.displacement_min_angstrom, settings.displacement_max_angstrom, settings.count)
    structures, redrawn = [], 0
    for index, amplitude in enumerate(amplitudes):
        own_seed = seed_for(seed, "seed", index)
        bulk = build_bulk(
            material,
            settings.supercell,
            lithium_sites=lithium_sites,
            minimum_distance=minimum_distance,
            seed=own_seed,
        )
        rng = np.random.default_rng([own_seed, 1])
        atoms, draws = _perturb(bulk, material, float(amplitude), settings, minimum_distance=minimum_distance, rng=rng)
        atoms.info["seed_index"] = index
        structures.append(atoms)
        redrawn += draws - 1
    return Seeds(structures, redrawn)


def _perturb(
    bulk: Atoms,
    material: Material,
    amplitude: float,
    settings: SeedsConfig,
    *,
    minimum_distance: float,
    rng: np.random.Generator,
) -> tuple[Atoms, int]:
    """A strained and rattled copy that is sound, and the number of draws it took."""
    for draw in range(1, MAX_DRAWS + 1):
        atoms = bulk.copy()
        atoms.set_cell(atoms.cell.array @ _deformation(settings, rng), scale_atoms=True)
        mobile = np.array(atoms.get_chemical_symbols()) == material.mobile
        spread = np.hypot(amplitude, np.where(mobile, settings.mobile_displacement_angstrom, 0.0))
        atoms.positions += rng.normal(size=(len(atoms), 3)) * spread[:, None]
        if validate(atoms, material, minimum_distance).ok:
            return atoms, draw
    raise StructureError(
        f"seeds of {material.id}: displacements of {amplitude:.2f} angstrom gave no sound structure in {MAX_DRAWS} "
        "draws; reduce structures.seeds.displacement_max_angstrom or mobile_displacement_angstrom"
    )


def _deformation(settings: SeedsConfig, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Deformation gradient, shape (3, 3)."""
    strain = rng.normal(scale=settings.random_strain, size=(3, 3))
    isotropic = rng.uniform(settings.linear_strain_min, settings.linear_strain_max)
    return np.eye(3) * (1 + isotropic) + (strain + strain.T) / 2
