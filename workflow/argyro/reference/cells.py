"""Small cells with boundaries in them: bicrystals, and cells carved around their atoms."""

import numpy as np
from ase import Atoms

from argyro.config.learning import BoundaryConfig, CarvingConfig
from argyro.config.materials import Material
from argyro.config.structures import Boundary, DistanceLimits
from argyro.learning.boundary import training_cell
from argyro.structures.bicrystal import build_bicrystal
from mtpcore.ase import MTP

BOUNDARIES = (
    (Boundary(name="S3-112", sigma=3, plane=(1, -1, 2), angle_degrees=70.53), 8.0),
    (Boundary(name="S3-111", sigma=3, plane=(-1, 1, 1)), 12.0),
    (Boundary(name="S9-221", sigma=9, plane=(2, -2, 1)), 8.0),
    (Boundary(name="S9-114", sigma=9, plane=(1, -1, 4)), 8.0),
    (Boundary(name="S11-113", sigma=11, plane=(1, -1, 3)), 8.0),
)
"""Tilt boundaries about [110] of 78 to 182 atoms, each with its least grain thickness, angstrom."""
CARVING = CarvingConfig()


def boundary_cell(material: Material, limits: DistanceLimits, rng: np.random.Generator) -> tuple[Atoms, str]:
    """A random small bicrystal, unrelaxed, and its name.

    Raises:
        StructureError: it cannot be built.
    """
    boundary, thickness = BOUNDARIES[int(rng.integers(len(BOUNDARIES)))]
    seed = int(rng.integers(2**62))
    atoms = build_bicrystal(material, boundary, min_grain_angstrom=thickness, limits=limits, seed=seed)
    return atoms, f"{material.id} {boundary.name}, {len(atoms)} atoms"


def carved_cell(
    frame: Atoms,
    material: Material,
    limits: DistanceLimits,
    rng: np.random.Generator,
    *,
    min_atoms: int,
    calculator: MTP | None,
) -> Atoms:
    """A training cell around a random atom of a frame of a boundary cell.

    Raises:
        StructureError: no cell can be carved around it.
    """
    carving = CARVING.model_copy(update={"min_atoms": min_atoms})
    center = int(rng.integers(len(frame)))
    return training_cell(frame, center, material, carving, BoundaryConfig(), limits, calculator).atoms
