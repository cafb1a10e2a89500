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

from argyro.config.materials import (
    EXCHANGE_TOLERANCE_PERCENT,
    FORMULA_UNITS_PER_CELL,
    LITHIUM_PAIRS,
    SULFUR_PER_TETRAHEDRON,
    Material,
)
from argyro.config.structures import LithiumSites

from .disorder import SiteKind, Sublattice
from .neighbours import FloatArray

LITHIUM = "lithium sites"
PHOSPHORUS = "phosphorus sites 4b"
BOUND_SULFUR = "bound-sulfur sites 16e"
FREE_SULFUR = "free-sulfur sites"
HALIDE = "halide sites 4a"

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


def site_kinds(material: Material, lithium_sites: LithiumSites) -> tuple[list[SiteKind], FloatArray]:
    """Sites of one cubic cell, and its vectors as rows, shape (3, 3), angstrom."""
    edge = material.cubic_lattice_constant
    bound_sulfur = 0.5 + P_S_BOND / np.sqrt(3) / edge
    exchanged = material.exchange_percent / 100
    on_free_sulfur_sites = material.halide_amount - 1 + exchanged
    shares = {halide: float(material.composition[halide] / material.halide_amount) for halide in material.halides}
    positions: dict[str, tuple[float, float, float]] = {
        LITHIUM: LITHIUM_24G if lithium_sites == "24g" else LITHIUM_48H,
        PHOSPHORUS: (0.5, 0.5, 0.5),
        BOUND_SULFUR: (bound_sulfur,) * 3,
        FREE_SULFUR: FREE_SULFUR_SITE,
        HALIDE: (0.0, 0.0, 0.0),
    }
    lithium = float(material.composition["Li"] / LITHIUM_PAIRS)
    occupancies = {
        LITHIUM: {"Li": lithium if lithium_sites == "24g" else lithium / 2},
        PHOSPHORUS: {"P": 1.0},
        BOUND_SULFUR: {"S": 1.0},
        FREE_SULFUR: {"S": 1 - on_free_sulfur_sites} | {h: part * on_free_sulfur_sites for h, part in shares.items()},
        HALIDE: {"S": exchanged} | {h: part * (1 - exchanged) for h, part in shares.items()},
    }
    exclusion = LITHIUM_EXCLUSION * edge if lithium_sites == "48h" else 0.0
    return [
        SiteKind(
            name=f"{name} {lithium_sites}" if name == LITHIUM else name,
            fractional=orbit(position),
            occupancies={element: part for element, part in occupancies[name].items() if part > 0},
            exclusion_angstrom=exclusion if name == LITHIUM else 0.0,
        )
        for name, position in positions.items()
    ], np.diag([edge] * 3)


def anion_counts(material: Material, units: int, rng: np.random.Generator) -> dict[str, dict[str, int]]:
    """Atoms on halide sites and on free-sulfur sites.

    Args:
        material: Composition and exchange.
        units: Formula units, a number for which `is_possible`.
        rng: Says which halides of a mixture are exchanged.

    Returns:
        For the name of each kind of site, the atoms of every element.
    """
    exchanged = round(material.exchange_percent / 100 * units)
    pool = [halide for halide in material.halides for _ in range(int(material.composition[halide] * units))]
    shuffled = rng.permutation(pool).tolist()
    on_halide_sites, on_sulfur_sites = shuffled[: units - exchanged], shuffled[units - exchanged :]
    free_sulfur = int(material.free_sulfur_amount * units)
    return {
        HALIDE: {"S": exchanged} | {halide: on_halide_sites.count(halide) for halide in material.halides},
        FREE_SULFUR: {"S": free_sulfur - exchanged}
        | {halide: on_sulfur_sites.count(halide) for halide in material.halides},
    }


def is_possible(material: Material, units: int) -> bool:
    """Whether a number of formula units makes up whole atoms and a whole number of exchanged sites."""
    exchanged = material.exchange_percent / 100 * units
    return all((amount * units).denominator == 1 for amount in material.composition.values()) and (
        abs(exchanged - round(exchanged)) <= EXCHANGE_TOLERANCE_PERCENT / 100 * units
    )


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
    kinds, cell = site_kinds(material, lithium_sites)
    shifts = np.array(list(product(*map(range, supercell))), dtype=float)
    units = FORMULA_UNITS_PER_CELL * len(shifts)
    counts = anion_counts(material, units, rng) | {
        PHOSPHORUS: {"P": units},
        BOUND_SULFUR: {"S": SULFUR_PER_TETRAHEDRON * units},
    }
    lithium = {"Li": int(material.composition["Li"] * units)}
    return [
        Sublattice(
            kind.name,
            (shifts[:, None, :] + kind.fractional[None, :, :]).reshape(-1, 3) @ cell,
            counts.get(kind.name, lithium),
            kind.exclusion_angstrom,
        )
        for kind in kinds
    ], cell * np.array(supercell, dtype=float)[:, None]
