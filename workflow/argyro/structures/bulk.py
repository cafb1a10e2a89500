"""Bulk cells of a material at random arrangements of its disorder."""

from typing import Literal

import numpy as np
from ase import Atoms

from argyro.common.errors import StructureError
from argyro.config.materials import Material

from . import argyrodite, cif
from .disorder import fill
from .validator import require_sound, validate


def build_bulk(
    material: Material,
    supercell: tuple[int, int, int],
    *,
    lithium_sites: Literal["48h", "24g"] = "48h",
    minimum_distance: float = 1.6,
    seed: int,
) -> Atoms:
    """A bulk cell: an argyrodite, or the material's CIF.

    Args:
        material: What to build.
        supercell: Repetitions of the conventional cell.
        lithium_sites: Of argyrodites.
        minimum_distance: No two atoms are closer, angstrom.
        seed: Of the arrangement of anions and lithium.

    Returns:
        Atoms in the order of the potential's species, with ``material`` and ``exchange_percent`` in ``info``.

    Raises:
        StructureError: the composition is not possible in this cell, or the result is not sound.
    """
    rng = np.random.default_rng(seed)
    if material.cif is None:
        _check_cell(material, supercell)
        atoms = fill(*argyrodite.sublattices(material, supercell, lithium_sites, rng), rng)
    else:
        atoms = fill(*cif.sublattices(material, supercell), rng)
    atoms = _sorted(atoms, material)
    atoms.info.update(material=material.id, exchange_percent=material.exchange_percent)
    require_sound(validate(atoms, material, minimum_distance), f"the bulk cell of {material.id}")
    return atoms


def _check_cell(material: Material, supercell: tuple[int, int, int]) -> None:
    try:
        material.check_cell(supercell)
    except ValueError as error:
        raise StructureError(str(error)) from None


def _sorted(atoms: Atoms, material: Material) -> Atoms:
    """Atoms in the order of the potential's species; elements that do not belong last, for the validator to name."""
    rank = {element: index for index, element in enumerate(material.elements)}
    order = np.argsort([rank.get(symbol, len(rank)) for symbol in atoms.get_chemical_symbols()], kind="stable")
    return atoms[order]
