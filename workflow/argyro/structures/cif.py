"""Crystal structures from CIF files, partial occupancies included."""

import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from argyro.common.errors import StructureError
from argyro.config.composition import format_formula
from argyro.config.materials import Material

from .disorder import OCCUPANCY_TOLERANCE, Sublattice, exact_counts

type FloatArray = npt.NDArray[np.float64]

SPLIT_SITE_DISTANCE = 2.1
"""Partially occupied sites of the mobile ion closer than this, angstrom, are not both filled."""


def sublattices(material: Material, supercell: tuple[int, int, int]) -> tuple[list[Sublattice], FloatArray]:
    """Sites of a CIF and what goes there.

    Sites of equal occupancy that are equivalent by symmetry are one sublattice.

    Args:
        material: Has the CIF; its formula has to fit the file.
        supercell: Repetitions of the file's cell.

    Returns:
        The sublattices, and the cell vectors as rows, shape (3, 3), angstrom.

    Raises:
        StructureError: the file is missing, empty or no CIF, or its content does not fit the formula or the supercell.
    """
    path = material.cif
    assert path is not None  # noqa: S101  for the type checker: the caller asks only then
    structure = _read(path)
    primitive = np.array(structure.lattice.matrix)
    shifts = np.array(list(product(*map(range, supercell))), dtype=float) @ primitive
    groups: dict[tuple[str, tuple[tuple[str, float], ...]], list[FloatArray]] = {}
    for site in structure:
        occupancies = _occupancies(site, path)
        groups.setdefault((site.label, tuple(sorted(occupancies.items()))), []).append(np.array(site.coords))
    found = [
        _sublattice(f"{path.name}, site {label}", dict(occupancies), positions, shifts, material)
        for (label, occupancies), positions in groups.items()
    ]
    _check_formula(found, material, path)
    return found, primitive * np.array(supercell, dtype=float)[:, None]


def _read(path: Path) -> Any:
    """Pymatgen's structure of a CIF."""
    from pymatgen.io.cif import CifParser  # noqa: PLC0415  takes a second to import

    if not path.is_file():
        raise StructureError(f"{path}: there is no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rounded fractions and the like; what matters is checked below
            structures = CifParser(path, occupancy_tolerance=1.0 + OCCUPANCY_TOLERANCE).parse_structures(
                primitive=False, check_occu=True
            )
    except Exception as error:  # noqa: BLE001  the parser raises anything
        raise StructureError(f"{path} is not a crystal structure in CIF format: {error}") from None
    return structures[0]


def _occupancies(site: Any, path: Path) -> dict[str, float]:
    """Elements of a site and their occupancies."""
    occupancies: dict[str, float] = {}
    for species, occupancy in site.species.items():
        element = getattr(species, "symbol", None)
        if element is None or not 0 < occupancy <= 1 + OCCUPANCY_TOLERANCE:
            raise StructureError(f"{path}: site {site.label} has '{species}' with occupancy {occupancy:g}")
        occupancies[element] = occupancies.get(element, 0.0) + float(occupancy)
    return occupancies


def _sublattice(
    name: str, occupancies: dict[str, float], positions: list[FloatArray], shifts: FloatArray, material: Material
) -> Sublattice:
    sites = (shifts[:, None, :] + np.array(positions)[None, :, :]).reshape(-1, 3)
    is_partial = sum(occupancies.values()) < 1 - OCCUPANCY_TOLERANCE
    exclusion = SPLIT_SITE_DISTANCE if is_partial and material.mobile in occupancies else 0.0
    return Sublattice(name, sites, exact_counts(occupancies, len(sites), name), exclusion)


def _check_formula(found: list[Sublattice], material: Material, path: Path) -> None:
    """Refuse a file of another composition."""
    totals: dict[str, int] = {}
    for sublattice in found:
        for element, count in sublattice.counts.items():
            totals[element] = totals.get(element, 0) + count
    ratios = {totals.get(element, 0) / amount for element, amount in material.composition.items()}
    if set(totals) != set(material.composition) or len(ratios) != 1:
        raise StructureError(
            f"{path} holds {format_formula(totals)}, which is no multiple of the formula {material.formula} of "
            f"{material.id}; correct one of the two"
        )
