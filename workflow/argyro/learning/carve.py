"""Training cells: small periodic cells cut around single atoms, of the exact composition, with whole rigid units.

Source: Y. Ou et al., arXiv:2510.18630 (2025) and Phys. Rev. Materials 8, 115407 (2024): a cube around the atom, and
surplus atoms deleted outside its core, the most crowded first. By default the core here is a sphere no smaller than the
cutoff, rigid units stay whole, and the edge follows the density.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import lcm
from typing import Literal

import numpy as np
import numpy.typing as npt
from ase import Atoms

from argyro.common.errors import StructureError
from argyro.config.learning import CarvingConfig
from argyro.config.materials import Material

from .contacts import contact_matrix
from .surroundings import (
    BROKEN,
    FloatArray,
    Groups,
    Surroundings,
    formula_counts,
    group,
    surroundings,
    unit_name,
)

type BoolArray = npt.NDArray[np.bool_]
type Reason = Literal["composition", "size", "density", "distance", "broken unit", "intrusion"]

CORE = "carved_core"
"""Name of the array that marks the atoms of the core."""
SOURCE = "carved_from"
"""Name of the array of indices in the source."""
UNIT = "carved_unit"
"""Name of the array of numbers of rigid units; -1 for atoms of none."""
HOPELESS = 0.55  # of a contact distance, between atoms that stay: no relaxation of the others will mend it


class CarveRejectedError(StructureError):
    """No acceptable training cell around an atom.

    Args:
        reason: What was wrong, in one word or two, to be counted.
        message: The same with numbers.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


@dataclass(frozen=True, eq=False)
class CarvedCell:
    """A training cell.

    Attributes:
        atoms: Periodic cube with the center in its middle; arrays carved_core (the core, which never moves),
            carved_from (index in the source) and carved_unit (number of the rigid unit, or -1); material, carve_*
            in ``info``.
        center: Index of the center.
        formula_units: How many there are.
        density_ratio: Number density, as a part of the source's.
        broken_units: Rigid units in the core that were broken in the source already.
        dropped_units: Rigid units outside the core that were broken in the source, and deleted for it.
        core_radius: Within this distance of the center are atoms of the core only, angstrom.
    """

    atoms: Atoms
    center: int
    formula_units: int
    density_ratio: float
    broken_units: int
    dropped_units: int
    core_radius: float

    @property
    def edge(self) -> float:
        """Edge of the cube, angstrom."""
        return float(self.atoms.cell.array[0, 0])

    @property
    def core(self) -> BoolArray:
        """Atoms of the core, shape (N,)."""
        core: BoolArray = self.atoms.arrays[CORE].astype(bool)
        return core

    def with_positions(self, positions: FloatArray) -> "CarvedCell":
        """The same cell with its atoms elsewhere."""
        atoms = self.atoms.copy()
        atoms.positions = positions
        return replace(self, atoms=atoms)


def carve(atoms: Atoms, center: int, material: Material, settings: CarvingConfig) -> CarvedCell:
    """Cut a training cell around an atom.

    The center's surroundings up to the core's radius are those in the source, to the last bit but one. Elsewhere atoms
    are deleted until the composition is exact, for the largest possible number of formula units; at the cell's faces
    they may be too close until `relax_boundary` has moved them. Nothing is random.

    Args:
        atoms: The source, periodic, of any size; usually a frame of a run.
        center: Index of the atom.
        material: Composition, and what stays whole.
        settings: Size, and what is accepted.

    Raises:
        CarveRejectedError: no edge up to the largest gives an acceptable cell; says why the last one did not.
        StructureError: no such atom, or no periodic structure.
    """
    for cell in carvings(atoms, center, material, settings):
        if isinstance(cell, CarvedCell):
            return cell
        rejection = cell
    raise rejection


def carvings(
    atoms: Atoms, center: int, material: Material, settings: CarvingConfig
) -> Iterator[CarvedCell | CarveRejectedError]:
    """What `carve` cuts out with each edge: a cell, or why there is none.

    Arguments as for `carve`.
    """
    units = material.rigid_units if settings.whole_units else ()
    bond = max((unit.max_bond_angstrom for unit in units), default=0.0)
    reach = max(settings.edge_max_angstrom / 2 + settings.margin_angstrom, settings.core_radius_angstrom) + 2 * bond
    around = surroundings(atoms, center, reach)
    carving = _Carving(around, group(around, units), material, settings, len(atoms) / atoms.get_volume())
    for edge in settings.edges():
        try:
            yield carving.at(edge)
        except CarveRejectedError as error:
            yield CarveRejectedError(error.reason, f"atom {center}, edge {edge:g} angstrom: {error}")


@dataclass(frozen=True, eq=False)
class _Carving:
    """Everything a cell around one atom is made from."""

    around: Surroundings
    groups: Groups
    material: Material
    settings: CarvingConfig
    source_density: float

    def at(self, edge: float) -> CarvedCell:
        """The cell cut out by a cube, its edge shortened where the density asks for it."""
        protected = self._having_core_atoms()
        candidates = protected | self._anchored_in(edge)
        broken = np.array([kind == BROKEN for kind in self.groups.kind]) & candidates
        candidates &= protected | ~broken
        formula_units, wanted, final = self._composed(candidates, protected, edge)
        kept = self._without_surplus(candidates, protected, wanted, final)
        return self._cell(kept, final, formula_units, int((broken & protected).sum()), int((broken & ~protected).sum()))

    def _composed(self, candidates: BoolArray, protected: BoolArray, edge: float) -> tuple[int, dict[str, int], float]:
        """Formula units, groups of each kind they take, and the edge that suits them.

        Candidates that would come into the core from across the cell's faces are struck out, in place; which ones do,
        depends on the edge.
        """
        while True:
            formula_units, wanted = self._largest_composition(candidates, protected, self._most_formula_units(edge))
            final = self._edge_for(sum(formula_counts(self.material, formula_units).values()), edge)
            intruding = candidates & self._intruding(final)
            if (intruding & protected).any():
                raise CarveRejectedError("intrusion", "rigid units of the core come back into it across the faces")
            if not intruding.any():
                return formula_units, wanted, final
            candidates &= ~intruding

    def _in_core(self) -> BoolArray:
        """Atoms of the core, shape (M,)."""
        displacement, radius = self.around.displacement, self.settings.core_radius_angstrom
        if self.settings.core == "cube":
            return (np.abs(displacement) <= radius).all(axis=1)
        inside: BoolArray = np.linalg.norm(displacement, axis=1) <= radius
        return inside

    def _having_core_atoms(self) -> BoolArray:
        """Groups with an atom in the core, shape (G,)."""
        return np.bincount(self.groups.of_atom[self._in_core()], minlength=len(self.groups.kind)) > 0

    def _anchored_in(self, edge: float) -> BoolArray:
        """Groups whose anchor is in the cube or little outside, shape (G,)."""
        place, half = self.around.displacement[self.groups.anchor], edge / 2 + self.settings.margin_angstrom
        return ((place >= -half) & (place < half)).all(axis=1)

    def _most_formula_units(self, edge: float) -> int:
        """How many the largest density allows in the cube."""
        atoms = self.settings.max_density_ratio * self.source_density * edge**3
        return int(atoms / float(sum(self.material.composition.values())))

    def _count(self, groups: BoolArray) -> dict[str, int]:
        """Atoms of every element in groups."""
        symbols = np.array(self.around.symbols)[groups[self.groups.of_atom]]
        return {element: int((symbols == element).sum()) for element in self.material.composition}

    def _largest_composition(
        self, candidates: BoolArray, protected: BoolArray, most: int
    ) -> tuple[int, dict[str, int]]:
        """The largest number of formula units that can be made up, and how many groups of each kind it takes.

        Protected groups are in any case and not counted.
        """
        step = lcm(*(amount.denominator for amount in self.material.composition.values()))
        present, fixed = self._count(candidates), self._count(protected)
        largest = min(most, *(int(present[e] / amount) for e, amount in self.material.composition.items()))
        free = np.flatnonzero(candidates & ~protected)
        available: dict[str, int] = {}
        for index in free:
            available[self.groups.kind[index]] = available.get(self.groups.kind[index], 0) + 1
        for formula_units in range(largest - largest % step, 0, -step):
            wanted = self._wanted(formula_counts(self.material, formula_units), fixed)
            if all(0 <= number <= available.get(kind, 0) for kind, number in wanted.items()):
                return formula_units, wanted
        raise CarveRejectedError(
            "composition",
            f"no number of formula units {self.material.formula} can be made up around a core of {_listed(fixed)} "
            f"with {_listed(available)} to choose from",
        )

    def _wanted(self, total: dict[str, int], fixed: dict[str, int]) -> dict[str, int]:
        """Groups of every kind that make up the difference between a composition and what is protected."""
        rest = {element: total[element] - fixed[element] for element in total}
        wanted: dict[str, int] = {}
        for unit in self.material.rigid_units if self.settings.whole_units else ():
            wanted[unit_name(unit)] = rest.pop(unit.center)
            rest[unit.ligand] -= unit.count * wanted[unit_name(unit)]
        return wanted | rest

    def _edge_for(self, count: int, edge: float) -> float:
        """The edge, or a shorter one for a density nearer the source's."""
        settings = self.settings
        if count < settings.min_atoms:
            raise CarveRejectedError("size", f"{count} atoms, below {settings.min_atoms}")
        if settings.density_ratio > 0:
            dense = float(np.cbrt(count / (settings.density_ratio * self.source_density)))
            edge = min(edge, max(dense, settings.shortest_edge_angstrom))
        ratio = count / edge**3 / self.source_density
        if ratio < settings.min_density_ratio:
            raise CarveRejectedError(
                "density", f"{ratio:.2f} of the source's density, below {settings.min_density_ratio:g}"
            )
        return edge

    def _without_surplus(
        self, candidates: BoolArray, protected: BoolArray, wanted: dict[str, int], edge: float
    ) -> BoolArray:
        """Groups that stay, shape (G,): the most crowded ones are deleted, one by one."""
        alive = candidates.copy()
        crowding = self._crowding(candidates, edge)
        self._require_apart(crowding[np.ix_(protected, protected)])
        free = candidates & ~protected
        kinds = np.array(self.groups.kind)
        surplus = {kind: int((free & (kinds == kind)).sum()) - number for kind, number in wanted.items()}
        deletable = free & np.isin(kinds, [kind for kind, number in surplus.items() if number > 0])
        for _ in range(sum(surplus.values())):
            chosen = np.flatnonzero(deletable)
            distances = crowding[np.ix_(chosen, alive)].min(axis=1)
            victim = int(chosen[distances.argmin()])
            alive[victim] = deletable[victim] = False
            surplus[self.groups.kind[victim]] -= 1
            if surplus[self.groups.kind[victim]] == 0:
                deletable &= kinds != self.groups.kind[victim]
        return alive

    def _intruding(self, edge: float) -> BoolArray:
        """Groups with an atom that is not in the core but has an image there, shape (G,)."""
        image = self.around.displacement - edge * np.round(self.around.displacement / edge)
        near = np.linalg.norm(image, axis=1) <= self.settings.core_radius_angstrom
        return np.bincount(self.groups.of_atom[near & ~self._in_core()], minlength=len(self.groups.kind)) > 0

    def _require_apart(self, crowding: FloatArray) -> None:
        """Refuse an edge at which rigid units that stick out of the core run into it from the other side."""
        if self.settings.crowding == "contact" and crowding.min() < HOPELESS:
            raise CarveRejectedError("distance", "parts of the core meet across the faces, or were too close before")

    def _crowding(self, candidates: BoolArray, edge: float) -> FloatArray:
        """Smallest distance between atoms of any two groups in the periodic cell, shape (G, G); infinite where none.

        In angstrom, or in contact distances.
        """
        atoms = np.flatnonzero(candidates[self.groups.of_atom])
        atoms = atoms[np.argsort(self.groups.of_atom[atoms], kind="stable")]
        owners, first = np.unique(self.groups.of_atom[atoms], return_index=True)
        distance = periodic_distances(self.around.displacement[atoms], edge)
        if self.settings.crowding == "contact":
            distance /= contact_matrix([self.around.symbols[atom] for atom in atoms], self.material)
        joined = np.minimum.reduceat(np.minimum.reduceat(distance, first, axis=0), first, axis=1)
        np.fill_diagonal(joined, np.inf)
        table = np.full((len(candidates),) * 2, np.inf)
        table[np.ix_(owners, owners)] = joined
        return table

    def _cell(self, kept: BoolArray, edge: float, formula_units: int, broken: int, dropped: int) -> CarvedCell:
        members = np.flatnonzero(kept[self.groups.of_atom])
        symbols = [self.around.symbols[member] for member in members]
        order = np.argsort([self.material.elements.index(symbol) for symbol in symbols], kind="stable")
        members = members[order]
        kinds = np.array(self.groups.kind)[self.groups.of_atom[members]]
        single = np.array([kind in self.material.composition for kind in kinds])
        cell = Atoms(
            [self.around.symbols[member] for member in members],
            positions=self.around.displacement[members] + edge / 2,
            cell=[edge] * 3,
            pbc=True,
        )
        cell.set_array(CORE, self._in_core()[members].astype(int))
        cell.set_array(SOURCE, self.around.source[members])
        cell.set_array(UNIT, np.where(single, -1, self.groups.of_atom[members]))
        ratio = len(members) / edge**3 / self.source_density
        cell.info.update(material=self.material.id, carve_density_ratio=ratio, carve_broken_units=broken)
        center = int(np.flatnonzero(members == self.around.center)[0])
        return CarvedCell(cell, center, formula_units, ratio, broken, dropped, self.settings.core_radius_angstrom)


def periodic_distances(positions: FloatArray, edge: float) -> FloatArray:
    """Distances of all atoms in a periodic cube, shape (N, N), angstrom; infinite on the diagonal."""
    difference = positions[:, None, :] - positions[None, :, :]
    difference -= edge * np.round(difference / edge)
    distance: FloatArray = np.linalg.norm(difference, axis=-1)
    np.fill_diagonal(distance, np.inf)
    return distance


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())
