"""The argyrodite prototype: cubic, F-43m (216), four formula units Li6PS5X.

Wyckoff sites and coordinates: Deiseroth et al., Angew. Chem. Int. Ed. 47, 755 (2008); Kraft et al., J. Am. Chem. Soc.
139, 10909 (2017).
"""

from fractions import Fraction
from itertools import product
from typing import Literal

import numpy as np
import numpy.typing as npt

from argyro.config.materials import FORMULA_UNITS_PER_CELL, Material

from .disorder import Sublattice

type FloatArray = npt.NDArray[np.float64]

LATTICE_CONSTANTS = {"Cl": 9.8614, "Br": 9.9850, "I": 10.1414}
"""Experiment at 300 K, angstrom (Kraft et al., 2017)."""
SULFUR_U = 0.618  # of 16e (u, u, u)
LITHIUM_48H = (0.183, 0.183, 0.024)
LITHIUM_24G = (0.25, 0.25, 0.02)
LITHIUM_EXCLUSION = 0.21
"""Sites 48h closer than this, in lattice constants, are not both filled: 0.19 within a pair. The next distance, 0.225
between pairs of one cage, cannot be avoided: such sites form four triangles, and six ions share them."""
CENTRING = ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))
DIAGONAL_SIGNS = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))  # the twofold axes
CYCLES = ((0, 1, 2), (1, 2, 0), (2, 0, 1))
SWAPS = ((0, 1, 2), (1, 0, 2))  # of the mirror planes


def orbit(position: tuple[float, float, float]) -> FloatArray:
    """All equivalent sites of F-43m in the cubic cell, as fractions of it, shape (M, 3)."""
    images = [
        tuple(np.round((sign[k] * position[swap[cycle[k]]] + shift[k]) % 1.0, 9) % 1.0 for k in range(3))
        for sign, cycle, swap, shift in product(DIAGONAL_SIGNS, CYCLES, SWAPS, CENTRING)
    ]
    return np.array(sorted(set(images)))


def lattice_constant(material: Material) -> float:
    """Lattice constant of the cubic cell, angstrom: the material's own, else Vegard's rule between the halides'."""
    if material.lattice_constant_angstrom is not None:
        return material.lattice_constant_angstrom
    amounts = {halide: float(material.composition[halide]) for halide in material.halides}
    return sum(LATTICE_CONSTANTS[halide] * amount for halide, amount in amounts.items()) / sum(amounts.values())


def sublattices(
    material: Material, supercell: tuple[int, int, int], lithium_sites: Literal["48h", "24g"], rng: np.random.Generator
) -> tuple[list[Sublattice], FloatArray]:
    """Sites of an argyrodite and what goes there.

    Args:
        material: Composition, exchange and lattice constant; it has to be possible in this supercell.
        supercell: Repetitions of the cubic cell.
        lithium_sites: ``48h`` or ``24g``.
        rng: Says which halides of a mixture are exchanged.

    Returns:
        The sublattices, and the cell vectors as rows, shape (3, 3), angstrom.
    """
    edge = lattice_constant(material)
    cell = np.diag(edge * np.array(supercell, dtype=float))
    units = FORMULA_UNITS_PER_CELL * int(np.prod(supercell))

    def sites(position: tuple[float, float, float]) -> FloatArray:
        shifts = np.array(list(product(*map(range, supercell))), dtype=float)
        return ((shifts[:, None, :] + orbit(position)[None, :, :]).reshape(-1, 3)) * edge

    halide_sites, free_sulfur_sites = _anion_counts(material, units, rng)
    lithium = {"Li": int(material.composition["Li"] * units)}
    return [
        Sublattice("lithium sites 24g", sites(LITHIUM_24G), lithium)
        if lithium_sites == "24g"
        else Sublattice("lithium sites 48h", sites(LITHIUM_48H), lithium, LITHIUM_EXCLUSION * edge),
        Sublattice("phosphorus sites 4b", sites((0.5, 0.5, 0.5)), {"P": units}),
        Sublattice("sulfur sites 16e", sites((SULFUR_U,) * 3), {"S": 4 * units}),
        Sublattice("free-sulfur sites 4c", sites((0.25, 0.25, 0.25)), free_sulfur_sites),
        Sublattice("halide sites 4a", sites((0.0, 0.0, 0.0)), halide_sites),
    ], cell


def _anion_counts(material: Material, units: int, rng: np.random.Generator) -> tuple[dict[str, int], dict[str, int]]:
    """Atoms on halide sites and on free-sulfur sites."""
    exchanged = int(Fraction(str(material.exchange_percent)) / 100 * units)
    pool = [halide for halide in material.halides for _ in range(int(material.composition[halide] * units))]
    shuffled = [str(halide) for halide in rng.permutation(pool)]
    on_halide_sites, on_sulfur_sites = shuffled[: units - exchanged], shuffled[units - exchanged :]
    free_sulfur = int(material.free_sulfur_amount * units)
    return (
        {"S": exchanged} | {halide: on_halide_sites.count(halide) for halide in material.halides},
        {"S": free_sulfur - exchanged} | {halide: on_sulfur_sites.count(halide) for halide in material.halides},
    )
