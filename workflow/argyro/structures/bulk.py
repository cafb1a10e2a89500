"""Bulk cells of a material at random arrangements of its disorder."""

import numpy as np
from ase import Atoms

from argyro.common.errors import StructureError
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits, LithiumSites

from . import argyrodite, cif
from .disorder import Sublattice, fill
from .neighbours import FloatArray
from .validator import require_sound, validate


def build_bulk(
    material: Material,
    supercell: tuple[int, int, int],
    *,
    lithium_sites: LithiumSites,
    limits: DistanceLimits,
    seed: int,
) -> Atoms:
    """A bulk cell: an argyrodite, or the material's CIF.

    Args:
        material: What to build.
        supercell: Repetitions of the conventional cell.
        lithium_sites: Of argyrodites.
        limits: How close atoms may come.
        seed: Of the arrangement of anions and lithium.

    Returns:
        Atoms in the order of the potential's species, with ``material`` and ``exchange_percent`` in ``info``.

    Raises:
        FileError: the CIF cannot be read.
        StructureError: the composition is not possible in this cell, or the result is not sound.
    """
    rng = np.random.default_rng(seed)
    sublattices, cell = _sublattices(material, supercell, lithium_sites, limits, rng)
    atoms = _sorted(fill(sublattices, cell, rng), material)
    atoms.info.update(material=material.id, exchange_percent=material.exchange_percent)
    require_sound(validate(atoms, material, limits), f"the bulk cell of {material.id}")
    return atoms


def _sublattices(
    material: Material,
    supercell: tuple[int, int, int],
    lithium_sites: LithiumSites,
    limits: DistanceLimits,
    rng: np.random.Generator,
) -> tuple[list[Sublattice], FloatArray]:
    if material.cif is not None:
        return cif.sublattices(material, material.cif, supercell, limits.between(material.mobile, material.mobile))
    try:
        return argyrodite.sublattices(material, supercell, lithium_sites, rng)
    except ValueError as error:
        raise StructureError(str(error)) from None


def _sorted(atoms: Atoms, material: Material) -> Atoms:
    """Atoms in the order of the potential's species."""
    order = np.argsort([material.elements.index(symbol) for symbol in atoms.symbols], kind="stable")
    return atoms[order]
