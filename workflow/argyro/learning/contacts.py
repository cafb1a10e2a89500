"""Contact distances: how close two ions come without being pressed together."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers, covalent_radii
from ase.data.vdw_alvarez import vdw_radii

from argyro.config.materials import Material

type FloatArray = npt.NDArray[np.float64]

TOUCHING = 0.86
"""Of the sum of van der Waals radii: 3.25 angstrom between sulfur atoms, which is where they begin to touch in hot
argyrodites, and 3.26 between phosphorus and sulfur of two tetrahedra, as when sulfur touches all three of a face."""


def contact_distance(first: str, second: str, material: Material) -> float:
    """Where the repulsion of two ions that are not bound to each other begins, angstrom.

    The sum of covalent radii (Cordero et al., Dalton Trans. 2832 (2008)). That would put two anions far too close, and
    the center of a rigid unit, which its ligands shield, to other anions: there it is a part of the sum of van der
    Waals radii (Alvarez, Dalton Trans. 42, 8617 (2013)). Between two centers there is room for a ligand of each.
    """
    units = {unit.center: unit for unit in material.rigid_units}
    if first in units and second in units:
        return sum(_covalent(unit.center, unit.ligand) for unit in (units[first], units[second]))
    if all(material.states.get(element, 0) < 0 or element in units for element in (first, second)):
        return float(TOUCHING * sum(vdw_radii[atomic_numbers[element]] for element in (first, second)))
    return _covalent(first, second)


def _covalent(first: str, second: str) -> float:
    """Sum of covalent radii, angstrom."""
    return float(sum(covalent_radii[atomic_numbers[element]] for element in (first, second)))


def contact_matrix(symbols: Sequence[str], material: Material) -> FloatArray:
    """Contact distances of all pairs of atoms, shape (N, N), angstrom."""
    elements = sorted(set(symbols))
    table = np.array([[contact_distance(a, b, material) for b in elements] for a in elements])
    index = np.array([elements.index(symbol) for symbol in symbols])
    matrix: FloatArray = table[np.ix_(index, index)]
    return matrix
