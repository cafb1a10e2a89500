"""Contact distances: how close two ions come without being pressed together."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers, covalent_radii
from ase.data.vdw_alvarez import vdw_radii

from argyro.config.materials import Material

type FloatArray = npt.NDArray[np.float64]

ANION_FACTOR = 0.86
"""Of the sum of van der Waals radii: 3.25 angstrom between sulfur atoms, which is where they begin to touch in hot
argyrodites."""


def contact_distance(first: str, second: str, material: Material) -> float:
    """Where the repulsion of two ions that are not bound to each other begins, angstrom.

    The sum of covalent radii (Cordero et al., Dalton Trans. 2832 (2008)), and between two anions, which those would put
    far too close, a part of the sum of van der Waals radii (Alvarez, Dalton Trans. 42, 8617 (2013)).
    """
    numbers = [atomic_numbers[first], atomic_numbers[second]]
    if all(material.states.get(element, 0) < 0 for element in (first, second)):
        return float(ANION_FACTOR * sum(vdw_radii[number] for number in numbers))
    return float(sum(covalent_radii[number] for number in numbers))


def contact_matrix(symbols: Sequence[str], material: Material) -> FloatArray:
    """Contact distances of all pairs of atoms, shape (N, N), angstrom."""
    elements = sorted(set(symbols))
    table = np.array([[contact_distance(a, b, material) for b in elements] for a in elements])
    index = np.array([elements.index(symbol) for symbol in symbols])
    matrix: FloatArray = table[np.ix_(index, index)]
    return matrix
