"""What is around an atom of a periodic structure, and which atoms belong together."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from ase import Atoms
from scipy.spatial import KDTree

from argyro.common.errors import StructureError
from argyro.config.materials import Material, RigidUnit

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int64]

BROKEN = "broken"
"""Kind of a group around the center of a rigid unit that has too few or too many ligands."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Atoms around a center, periodic images as atoms of their own.

    Attributes:
        symbols: Elements, of each atom.
        displacement: From the center, shape (M, 3), angstrom.
        source: Index in the structure, shape (M,).
        center: Which of them is the center.
    """

    symbols: list[str]
    displacement: FloatArray
    source: IntArray
    center: int


@dataclass(frozen=True)
class Groups:
    """Atoms that are kept or deleted together: rigid units, and all others by themselves.

    Attributes:
        of_atom: Group of each atom, shape (M,).
        anchor: The atom that stands for a group's place: the center of a rigid unit, shape (G,).
        kind: Of each group: name of a rigid unit such as PS4, an element, or `BROKEN`.
    """

    of_atom: IntArray
    anchor: IntArray
    kind: list[str]


def surroundings(atoms: Atoms, center: int, half_edge: float) -> Surroundings:
    """All atoms and periodic images in the cube around an atom.

    Displacements are differences of the structure's own coordinates and whole cell vectors, exact but for the last bit.

    Args:
        atoms: Periodic in all directions, of any cell.
        center: Index of the atom in the middle.
        half_edge: Half the edge of the cube, angstrom.

    Raises:
        StructureError: no such atom, or not periodic.
    """
    if not atoms.pbc.all() or atoms.cell.rank != 3:  # noqa: PLR2004  three dimensions
        raise StructureError("a training cell is carved from a structure that is periodic in all three directions")
    if not 0 <= center < len(atoms):
        raise StructureError(f"there is no atom {center} in a structure of {len(atoms)} atoms, numbered from 0")
    cell: FloatArray = atoms.cell.array
    inverse = np.linalg.inv(cell)
    offset = atoms.positions - atoms.positions[center]
    nearest = -np.round(offset @ inverse)
    margin = half_edge * np.abs(inverse).sum(axis=0)  # of the cube, in fractions of the cell
    ranges = [range(-int(m + 0.5), int(m + 0.5) + 1) for m in margin]
    found, source = [], []
    for shift in product(*ranges):
        displacement = offset + (nearest + np.array(shift)) @ cell
        inside = np.flatnonzero((np.abs(displacement) <= half_edge).all(axis=1))
        found.append(displacement[inside])
        source.append(inside)
    displacement, index = np.concatenate(found), np.concatenate(source)
    symbols = np.array(atoms.get_chemical_symbols())[index].tolist()
    return Surroundings(symbols, displacement, index, int(np.einsum("ij,ij->i", displacement, displacement).argmin()))


def group(around: Surroundings, units: Sequence[RigidUnit]) -> Groups:
    """Put the atoms of rigid units together; a ligand belongs to its nearest center within the bond length.

    Args:
        around: The atoms.
        units: Rigid units; none: every atom by itself.
    """
    owner = np.arange(len(around.symbols))
    elements = np.array(around.symbols)
    for unit in units:
        centers, ligands = np.flatnonzero(elements == unit.center), np.flatnonzero(elements == unit.ligand)
        if len(centers) and len(ligands):
            tree = KDTree(around.displacement[centers])
            _, place = tree.query(around.displacement[ligands], distance_upper_bound=unit.max_bond_angstrom)
            bound = place < len(centers)
            owner[ligands[bound]] = centers[place[bound]]
    anchor, of_atom = np.unique(owner, return_inverse=True)
    members = np.split(np.argsort(of_atom, kind="stable"), np.cumsum(np.bincount(of_atom))[:-1])
    return Groups(of_atom, anchor, [_kind(around.symbols, m, a, units) for m, a in zip(members, anchor, strict=True)])


def unit_name(unit: RigidUnit) -> str:
    """Name of a rigid unit, such as PS4."""
    return f"{unit.center}{unit.ligand}{unit.count}"


def formula_counts(material: Material, units: int) -> dict[str, int]:
    """Atoms of every element in a number of formula units.

    Raises:
        StructureError: these are not whole numbers.
    """
    amounts = {element: amount * units for element, amount in material.composition.items()}
    if any(amount.denominator != 1 for amount in amounts.values()):
        raise StructureError(f"{units} formula units {material.formula} are no whole number of atoms")
    return {element: int(amount) for element, amount in amounts.items()}


def _kind(symbols: Sequence[str], members: IntArray, anchor: int, units: Sequence[RigidUnit]) -> str:
    found = Counter(symbols[member] for member in members)
    own = [unit for unit in units if unit.center == symbols[anchor]]
    for unit in own:
        if found == Counter({unit.center: 1}) + Counter({unit.ligand: unit.count}):
            return unit_name(unit)
    return BROKEN if own else symbols[anchor]
