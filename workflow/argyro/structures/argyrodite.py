"""The argyrodite prototype: cubic, F-43m (216), four formula units Li6PS5X.

Sites: Deiseroth et al., Angew. Chem. Int. Ed. 47, 755 (2008); Kraft et al., J. Am. Chem. Soc. 139, 10909 (2017). Papers
place the origin on the halide or on phosphorus, and the tetrahedra either way round. Here the halide is at the origin
and sulfur of phosphorus at (1/2, 1/2, 1/2) points to (1, 1, 1), which puts the free sulfur, and the lithium around it,
at (1/4, 1/4, 1/4). A test holds this against the space group and the bond lengths.
"""

from functools import cache
from itertools import product

import numpy as np
from ase.spacegroup import Spacegroup

from argyro.config.materials import FORMULA_UNITS_PER_CELL, SULFUR_PER_TETRAHEDRON, Material
from argyro.config.structures import LithiumSites

from .disorder import Sublattice
from .neighbours import FloatArray

P_S_BOND = 2.05
"""Angstrom: PS4 keeps its size in every argyrodite and at every lattice constant."""
FREE_SULFUR_SITE = (0.25, 0.25, 0.25)
LITHIUM_48H = (0.183, 0.183, 0.024)
LITHIUM_24G = (0.25, 0.25, 0.02)
LITHIUM_EXCLUSION = 0.21
"""Sites 48h closer than this, in lattice constants, are not both filled: 0.19 within a pair. The next distance, 0.225
between pairs of one cage, cannot be avoided: such sites form four triangles, and six ions share them."""
F43M = 216  # number of the space group


@cache
def orbit(position: tuple[float, float, float]) -> FloatArray:
    """All equivalent sites in the cubic cell, as fractions of it, shape (M, 3), not to be changed."""
    sites: FloatArray = Spacegroup(F43M).equivalent_sites([position])[0]
    sites.flags.writeable = False
    return sites


def sublattices(
    material: Material, supercell: tuple[int, int, int], lithium_sites: LithiumSites, rng: np.random.Generator
) -> tuple[list[Sublattice], FloatArray]:
    """Sites of an argyrodite and what goes there.

    Args:
        material: Composition, exchange and lattice constant.
        supercell: Repetitions of the cubic cell.
        lithium_sites: ``48h`` or ``24g``.
        rng: Says which halides of a mixture are exchanged.

    Returns:
        The sublattices, and the cell vectors as rows, shape (3, 3), angstrom.

    Raises:
        ValueError: composition or exchange is not possible in this supercell.
    """
    material.check_cell(supercell)
    edge = material.cubic_lattice_constant
    shifts = np.array(list(product(*map(range, supercell))), dtype=float)
    units = FORMULA_UNITS_PER_CELL * len(shifts)

    def sites(position: tuple[float, float, float]) -> FloatArray:
        places: FloatArray = (shifts[:, None, :] + orbit(position)[None, :, :]).reshape(-1, 3) * edge
        return places

    bound_sulfur = 0.5 + P_S_BOND / np.sqrt(3) / edge
    on_halide_sites, on_free_sulfur_sites = _anion_counts(material, units, supercell, rng)
    lithium = {"Li": int(material.composition["Li"] * units)}
    return [
        Sublattice("lithium sites 24g", sites(LITHIUM_24G), lithium)
        if lithium_sites == "24g"
        else Sublattice("lithium sites 48h", sites(LITHIUM_48H), lithium, LITHIUM_EXCLUSION * edge),
        Sublattice("phosphorus sites 4b", sites((0.5, 0.5, 0.5)), {"P": units}),
        Sublattice("bound-sulfur sites 16e", sites((bound_sulfur,) * 3), {"S": SULFUR_PER_TETRAHEDRON * units}),
        Sublattice("free-sulfur sites", sites(FREE_SULFUR_SITE), on_free_sulfur_sites),
        Sublattice("halide sites 4a", sites((0.0, 0.0, 0.0)), on_halide_sites),
    ], np.diag(edge * np.array(supercell, dtype=float))


def _anion_counts(
    material: Material, units: int, supercell: tuple[int, int, int], rng: np.random.Generator
) -> tuple[dict[str, int], dict[str, int]]:
    """Atoms on halide sites and on free-sulfur sites."""
    exchanged = material.exchanged_sites(supercell)
    pool = [halide for halide in material.halides for _ in range(int(material.composition[halide] * units))]
    shuffled = rng.permutation(pool).tolist()
    on_halide_sites, on_sulfur_sites = shuffled[: units - exchanged], shuffled[units - exchanged :]
    free_sulfur = int(material.free_sulfur_amount * units)
    return (
        {"S": exchanged} | {halide: on_halide_sites.count(halide) for halide in material.halides},
        {"S": free_sulfur - exchanged} | {halide: on_sulfur_sites.count(halide) for halide in material.halides},
    )
