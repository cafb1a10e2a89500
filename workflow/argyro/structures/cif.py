"""Crystal structures from CIF files, partial occupancies included."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import spglib
from ase.data import atomic_numbers

from argyro.common.errors import FileError, StructureError
from argyro.config.composition import format_formula
from argyro.config.materials import Material

from .disorder import OCCUPANCY_TOLERANCE, SiteKind, Sublattice, exact_counts
from .neighbours import FloatArray

SYMMETRY_PRECISION = 0.01  # angstrom; files round coordinates
NEGLIGIBLE_DECIMALS = 10  # of cell vectors, angstrom: so that right angles are right
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Site:
    """A site of a crystal.

    Attributes:
        label: Name in the file.
        fractional: Position, fractions of the cell, shape (3,).
        occupancies: Elements, and how many of the sites like this one each fills.
    """

    label: str
    fractional: FloatArray
    occupancies: dict[str, float]

    @property
    def is_ordered(self) -> bool:
        """Whether one element fills all sites like this one."""
        return max(self.occupancies.values()) > 1 - OCCUPANCY_TOLERANCE


def sublattices(
    material: Material, path: Path, supercell: tuple[int, int, int], exclusion: float
) -> tuple[list[Sublattice], FloatArray]:
    """Sites of a CIF and what goes there.

    Sites of equal occupancy that are equivalent by symmetry are one sublattice.

    Args:
        material: Its formula has to fit the file.
        path: The CIF.
        supercell: Repetitions of the file's cell.
        exclusion: Sites of the mobile ion closer than this, angstrom, are not both filled where some are partial.

    Returns:
        The sublattices, and the cell vectors as rows, shape (3, 3), angstrom.

    Raises:
        FileError: the file is missing, empty or no CIF.
        StructureError: its content does not fit the formula or the supercell.
    """
    kinds, cell = site_kinds(path, material, exclusion)
    shifts = np.array(list(product(*map(range, supercell))), dtype=float)
    found = []
    for kind in kinds:
        places = (shifts[:, None, :] + kind.fractional[None, :, :]).reshape(-1, 3) @ cell
        counts = exact_counts(kind.occupancies, len(places), kind.name)
        found.append(Sublattice(kind.name, places, counts, kind.exclusion_angstrom))
    _check_formula(found, material, path)
    return found, cell * np.array(supercell, dtype=float)[:, None]


def site_kinds(path: Path, material: Material, exclusion: float) -> tuple[list[SiteKind], FloatArray]:
    """Sites of the cell of a CIF, and its vectors as rows, shape (3, 3), angstrom; arguments as for `sublattices`."""
    sites, cell = read_cif(path)
    kinds = []
    for group in orbits(sites, cell):
        occupancies = group[0].occupancies
        kinds.append(
            SiteKind(
                name=f"{path.name}, site {group[0].label} ({'/'.join(occupancies)})",
                fractional=np.array([site.fractional for site in group]),
                occupancies=occupancies,
                exclusion_angstrom=exclusion if material.mobile in occupancies else 0.0,
            )
        )
    return kinds, cell


def read_cif(path: Path) -> tuple[list[Site], FloatArray]:
    """All sites of the cell of a CIF, and its cell vectors as rows, shape (3, 3), angstrom.

    Raises:
        FileError: the file is missing, empty, no CIF, or holds several structures.
        StructureError: a site is filled by what is no element.
    """
    from pymatgen.io.cif import CifParser  # noqa: PLC0415  half a second that only those with a CIF should pay

    if not path.is_file():
        raise FileError(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise FileError(f"{path} is empty; export the crystal structure anew")
    remarks: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as remarks:
            warnings.simplefilter("always")
            parser = CifParser(path, occupancy_tolerance=1.0 + OCCUPANCY_TOLERANCE)
            structures = parser.parse_structures(primitive=False)
    except Exception as error:  # noqa: BLE001  the parser raises anything
        reasons = [*(str(remark.message) for remark in remarks), str(error)]
        raise FileError(
            f"{path} cannot be read as a crystal structure in CIF format: {_joined(reasons)}; correct the file, or "
            "export it anew"
        ) from None
    for remark in remarks:
        logger.info("%s: %s", path, remark.message)
    if len(structures) != 1:
        raise FileError(f"{path} holds {len(structures)} crystal structures where one is expected; delete the others")
    cell: FloatArray = structures[0].lattice.matrix.round(NEGLIGIBLE_DECIMALS)
    if np.linalg.det(cell) <= 0:
        raise FileError(f"{path} has a cell that is flat or turned inside out; correct its lengths and angles")
    return [Site(site.label, site.frac_coords, _occupancies(site, path)) for site in structures[0]], cell


def _joined(remarks: Sequence[str]) -> str:
    """Remarks of the parser in one line, without its repetition of them all."""
    single = [" ".join(remark.split()) for remark in remarks if not remark.startswith("Issues encountered")]
    return "; ".join(dict.fromkeys(single))


def orbits(sites: Sequence[Site], cell: FloatArray) -> list[list[Site]]:
    """Sites grouped: those of equal occupancies that the space group of the disordered crystal maps on each other.

    The labels of the file would not do: a crystal written without symmetry has one for every site.

    Raises:
        StructureError: no space group is found, as two sites coincide.
    """
    kinds = [tuple(sorted(site.occupancies.items())) for site in sites]
    keys: list[Any] = list(kinds)
    if not all(site.is_ordered for site in sites):
        numbers = [sorted(set(kinds)).index(kind) for kind in kinds]
        keys = _equivalent_sites(cell, np.array([site.fractional for site in sites]), numbers)
    groups: dict[Any, list[Site]] = {}
    for key, site in zip(keys, sites, strict=True):
        groups.setdefault(key, []).append(site)
    return list(groups.values())


def _equivalent_sites(cell: FloatArray, fractional: FloatArray, kinds: list[int]) -> list[int]:
    """For every site the first that it is equivalent to."""
    try:
        dataset = spglib.get_symmetry_dataset((cell.tolist(), fractional.tolist(), kinds), symprec=SYMMETRY_PRECISION)
    except Exception:  # noqa: BLE001  versions of spglib differ in whether and what they raise
        dataset = None
    if dataset is None:
        raise StructureError("the symmetry of the CIF cannot be found: do two of its sites coincide?")
    return [int(site) for site in dataset.equivalent_atoms]


def _occupancies(site: Any, path: Path) -> dict[str, float]:
    """Elements of a site and their occupancies."""
    occupancies: dict[str, float] = {}
    for species, occupancy in site.species.items():
        element = species.symbol
        if element not in atomic_numbers or occupancy <= 0:
            raise StructureError(f"{path}: site {site.label} has occupancy {occupancy:g} of '{element}', no element")
        occupancies[element] = occupancies.get(element, 0.0) + float(occupancy)
    return occupancies


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
