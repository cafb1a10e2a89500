"""The boundary of a carved cell, settled: its atoms are moved apart, the core stays as it is.

Energies of this relaxation serve nothing else; no label comes from them.
"""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from scipy.optimize import minimize
from scipy.spatial.distance import pdist

from argyro.config.learning import BoundaryConfig, CarvingConfig
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits
from mtpcore.errors import CloseContactWarning, MtpcoreError

from .carve import UNIT, BoolArray, CarvedCell, CarveRejectedError, carvings, periodic_distances
from .contacts import contact_matrix
from .surroundings import FloatArray, IntArray, surroundings

REACH = 0.5  # angstrom, along each axis: of atoms under a calculator that may know nothing of what it sees
logger = logging.getLogger(__name__)
OVERLAPPING = 0.75  # of a contact distance: what was moved may come no closer
SAME_DISTANCE = 1e-6  # angstrom: two atoms are nearer than this to each other across the faces, or not across them
WALL_STIFFNESS = 50.0  # eV/angstrom^2, of the wall around the core
WALL_MARGIN = 0.1  # angstrom, of the wall from the core: a soft wall yields a little


def relax_boundary(
    cell: CarvedCell,
    material: Material,
    settings: BoundaryConfig,
    limits: DistanceLimits,
    calculator: Any | None = None,
) -> CarvedCell:
    """Move the atoms outside the core until they are apart.

    First under a harmonic repulsion of atoms closer than their contact distances, and springs between all atoms of each
    rigid unit, which keep the shape it has in the source; then, with a calculator, for a few steps under that as well,
    not far, and in vain where it pulls atoms together, as a potential does that never saw the like.

    Args:
        cell: A carved cell.
        material: Says what is an anion, and what stays whole.
        settings: Stiffnesses, steps, and what is accepted.
        limits: How close atoms may come; the settings scale them down for atoms that were moved.
        calculator: Any of ASE's, cheap: the current potential.

    Raises:
        CarveRejectedError: atoms are still too close, or a rigid unit broke.
    """
    _require_apart(cell, material, settings, limits, core_only=True)
    moving = np.flatnonzero(~cell.core)
    contact = _Contact.of(cell, material, settings)
    settled = cell.with_positions(_minimized(contact, cell.atoms.get_positions(), moving, settings.contact_steps))
    _require_acceptable(settled, material, settings, limits)
    if calculator is None or settings.potential_steps == 0:
        return settled
    energy = _WithCalculator(contact, cell.atoms.copy(), calculator)
    try:
        positions = _minimized(energy, settled.atoms.get_positions(), moving, settings.potential_steps, REACH)
        relaxed = cell.with_positions(positions)
        _require_acceptable(relaxed, material, settings, limits)
    except (CarveRejectedError, MtpcoreError) as error:
        logger.info("the calculator pulls the boundary into itself and is left out: %s", error)
        return settled
    return relaxed


def training_cell(  # noqa: PLR0917  what carve and relax_boundary take, in their order
    atoms: Atoms,
    center: int,
    material: Material,
    carving: CarvingConfig,
    boundary: BoundaryConfig,
    limits: DistanceLimits,
    calculator: Any | None = None,
) -> CarvedCell:
    """The smallest training cell around an atom whose boundary settles.

    Arguments as for `carve` and `relax_boundary`.

    Raises:
        CarveRejectedError: there is none up to the largest edge; says what was wrong with the last.
        StructureError: no such atom, or no periodic structure.
    """
    _require_core_apart(atoms, center, carving, boundary)
    for cell in carvings(atoms, center, material, carving):
        if isinstance(cell, CarveRejectedError):
            rejection = cell
            continue
        try:
            return relax_boundary(cell, material, boundary, limits, calculator)
        except CarveRejectedError as error:
            rejection = CarveRejectedError(error.reason, f"atom {center}, edge {cell.edge:.2f} angstrom: {error}")
    raise rejection


def _require_core_apart(atoms: Atoms, center: int, carving: CarvingConfig, boundary: BoundaryConfig) -> None:
    """Refuse a center with atoms around it so close to each other that no edge can help, before any is tried.

    Raises:
        CarveRejectedError: says how close they are.
    """
    places = surroundings(atoms, center, carving.core_radius_angstrom).displacement
    if carving.core == "sphere":
        places = places[np.linalg.norm(places, axis=1) <= carving.core_radius_angstrom]
    nearest = float(pdist(places).min(initial=np.inf))
    if nearest < boundary.minimum_distance_angstrom:
        raise CarveRejectedError(
            "distance",
            f"atom {center}: atoms around it are {nearest:.2f} angstrom apart, below "
            f"{boundary.minimum_distance_angstrom:.2f}",
        )


@dataclass(frozen=True, eq=False)
class _Contact:
    """Repulsion between atoms, springs within rigid units, and a wall that keeps the boundary out of the core.

    Attributes:
        edge: Of the periodic cube, angstrom.
        pairs: Pairs of atoms that repel each other, none of two core atoms or of one unit, shape (2, P).
        contact: Distance at which the repulsion of each begins, shape (P,), angstrom.
        stiffness: Of the repulsion, eV/angstrom^2.
        springs: Pairs of atoms of one unit, shape (2, Q).
        length: Distance of each in the source, shape (Q,), angstrom.
        spring: Stiffness of the springs, eV/angstrom^2.
        center: Position of the center, shape (3,), angstrom.
        outside: Atoms that are not in the core.
        wall: Radius of the wall, angstrom.
    """

    edge: float
    pairs: IntArray
    contact: FloatArray
    stiffness: float
    springs: IntArray
    length: FloatArray
    spring: float
    center: FloatArray
    outside: IntArray
    wall: float

    @classmethod
    def of(cls, cell: CarvedCell, material: Material, settings: BoundaryConfig) -> "_Contact":
        """For a cell as it was carved."""
        bound, core = _bound(cell), cell.core
        free = ~bound & ~(core[:, None] & core[None, :])
        pairs, springs = np.array(np.nonzero(np.triu(free, 1))), np.array(np.nonzero(np.triu(bound, 1)))
        contact = contact_matrix(cell.atoms.get_chemical_symbols(), _as_carved(cell, material))
        return cls(
            cell.edge,
            pairs,
            contact[pairs[0], pairs[1]],
            settings.repulsion_eV_per_angstrom2,
            springs,
            periodic_distances(cell.atoms.positions, cell.edge)[springs[0], springs[1]],
            settings.unit_stiffness_eV_per_angstrom2,
            cell.atoms.positions[cell.center].copy(),
            np.flatnonzero(~core),
            cell.core_radius + WALL_MARGIN,
        )

    def __call__(self, positions: FloatArray) -> tuple[float, FloatArray]:
        """Energy, eV, and its gradient, shape (N, 3), eV/angstrom."""
        gradient = np.zeros_like(positions)
        difference = self._shortest(positions[self.pairs[0]] - positions[self.pairs[1]])
        squares = np.einsum("ij,ij->i", difference, difference)
        near = np.flatnonzero(squares < self.contact**2)
        distance = np.sqrt(squares[near])
        overlap = self.contact[near] - distance
        _pull(gradient, self.pairs[:, near], difference[near], -self.stiffness * overlap / np.maximum(distance, 1e-9))
        bond = self._shortest(positions[self.springs[0]] - positions[self.springs[1]])
        length = np.linalg.norm(bond, axis=1)
        stretch = length - self.length
        _pull(gradient, self.springs, bond, self.spring * stretch / np.maximum(length, 1e-9))
        energy = (self.stiffness * float(overlap @ overlap) + self.spring * float(stretch @ stretch)) / 2
        return energy + self._push_out(positions, gradient), gradient

    def _shortest(self, difference: FloatArray) -> FloatArray:
        """Differences of positions to the nearest image."""
        shortest: FloatArray = difference - self.edge * np.round(difference / self.edge)
        return shortest

    def _push_out(self, positions: FloatArray, gradient: FloatArray) -> float:
        """Energy of the wall; its gradient is added in place."""
        outward = self._shortest(positions[self.outside] - self.center)
        distance = np.linalg.norm(outward, axis=1)
        depth = np.maximum(self.wall - distance, 0.0)
        gradient[self.outside] -= WALL_STIFFNESS * (depth / distance)[:, None] * outward
        return WALL_STIFFNESS * float(np.sum(depth**2)) / 2


def _pull(gradient: FloatArray, pairs: IntArray, difference: FloatArray, factor: FloatArray) -> None:
    """Add the gradient of pair energies, in place; ``factor`` is each one's slope over its distance."""
    slope = factor[:, None] * difference
    np.add.at(gradient, pairs[0], slope)
    np.subtract.at(gradient, pairs[1], slope)


@dataclass(frozen=True, eq=False)
class _WithCalculator:
    """Repulsion and springs on top of a calculator, which is asked directly: every call is of other positions."""

    contact: _Contact
    atoms: Atoms
    calculator: Any

    def __call__(self, positions: FloatArray) -> tuple[float, FloatArray]:
        """Energy, eV, and its gradient, shape (N, 3), eV/angstrom."""
        energy, gradient = self.contact(positions)
        self.atoms.positions = positions
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CloseContactWarning)  # the repulsion is there for that
            self.calculator.calculate(self.atoms, ["energy", "forces"], ["positions"])
        found = self.calculator.results
        return energy + found["energy"], gradient - found["forces"]


def _minimized(
    energy: Any, positions: FloatArray, moving: IntArray, steps: int, reach: float | None = None
) -> FloatArray:
    """Positions after some steps downhill of the moving atoms, within reach along each axis."""

    def objective(x: FloatArray) -> tuple[float, FloatArray]:
        trial = positions.copy()
        trial[moving] = x.reshape(-1, 3)
        value, gradient = energy(trial)
        return value, gradient[moving].ravel()

    start = positions[moving].ravel()
    bounds = None if reach is None else np.stack([start - reach, start + reach], axis=1)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps})
    settled = positions.copy()
    settled[moving] = found.x.reshape(-1, 3)
    return settled


def _require_acceptable(cell: CarvedCell, material: Material, settings: BoundaryConfig, limits: DistanceLimits) -> None:
    """Refuse a cell that cannot be labelled.

    Raises:
        CarveRejectedError: says why.
    """
    positions = cell.atoms.get_positions()
    if not np.isfinite(positions).all():
        raise CarveRejectedError("distance", "positions are no numbers")
    distance = periodic_distances(positions, cell.edge)
    nearest = float(distance[cell.center, ~cell.core].min(initial=np.inf))
    if nearest <= cell.core_radius:
        raise CarveRejectedError(
            "intrusion", f"an atom was pressed into the core, {nearest:.2f} angstrom from its center"
        )
    _require_apart(cell, material, settings, limits)
    _require_whole(cell, distance, material)


def _require_apart(
    cell: CarvedCell, material: Material, settings: BoundaryConfig, limits: DistanceLimits, *, core_only: bool = False
) -> None:
    """Refuse a cell with atoms too close to each other that are not so in the source as well.

    Args:
        cell: The cell.
        material: Says what touches where.
        settings: What is accepted.
        limits: How close atoms may come.
        core_only: Look at parts of the core that meet across the faces only: nothing will move them apart.

    Raises:
        CarveRejectedError: says which atoms.
    """
    positions, symbols = cell.atoms.get_positions(), cell.atoms.get_chemical_symbols()
    distance = periodic_distances(positions, cell.edge)
    apart = np.linalg.norm(positions[:, None, :] - positions[None, :, :], axis=-1)
    within_core = cell.core[:, None] & cell.core[None, :]
    allowed = np.maximum(
        settings.limits_factor * _limit_matrix(symbols, limits),
        np.where(_bound(cell), 0.0, OVERLAPPING * contact_matrix(symbols, _as_carved(cell, material))),
    )
    allowed[within_core & (distance > apart - SAME_DISTANCE)] = 0.0  # as they are in the source
    allowed = np.maximum(allowed, settings.minimum_distance_angstrom)
    if core_only:
        allowed[~within_core] = 0.0
    if (distance < allowed).any():
        first, second = np.unravel_index(int((distance / np.maximum(allowed, 1e-9)).argmin()), distance.shape)
        raise CarveRejectedError(
            "distance",
            f"{symbols[first]} and {symbols[second]} are {distance[first, second]:.2f} angstrom apart, below "
            f"{allowed[first, second]:.2f}",
        )


def _bound(cell: CarvedCell) -> BoolArray:
    """Which atoms belong to the same rigid unit, shape (N, N)."""
    unit = cell.atoms.arrays[UNIT]
    bound: BoolArray = (unit[:, None] == unit[None, :]) & (unit[:, None] >= 0)
    return bound


def _as_carved(cell: CarvedCell, material: Material) -> Material:
    """The material; without rigid units where the cell was carved atom by atom, so that nothing says what is bound."""
    if (cell.atoms.arrays[UNIT] >= 0).any():
        return material
    return material.model_copy(update={"rigid_units": ()})


def _limit_matrix(symbols: Sequence[str], limits: DistanceLimits) -> FloatArray:
    """How close atoms of all pairs may come, shape (N, N), angstrom."""
    elements = sorted(set(symbols))
    table = np.array([[limits.between(a, b) for b in elements] for a in elements])
    index = np.array([elements.index(symbol) for symbol in symbols])
    matrix: FloatArray = table[np.ix_(index, index)]
    return matrix


def _require_whole(cell: CarvedCell, distance: FloatArray, material: Material) -> None:
    """Refuse a cell with more broken units than its core had in the source."""
    symbols = np.array(cell.atoms.get_chemical_symbols())
    broken = 0
    for unit in material.rigid_units:
        centers, ligands = np.flatnonzero(symbols == unit.center), np.flatnonzero(symbols == unit.ligand)
        between = distance[np.ix_(ligands, centers)]
        nearest = between.argmin(axis=1)[between.min(axis=1) <= unit.max_bond_angstrom]
        broken += int((np.bincount(nearest, minlength=len(centers)) != unit.count).sum())
    if broken > cell.broken_units and (cell.atoms.arrays[UNIT] >= 0).any():
        raise CarveRejectedError("broken unit", f"{broken} rigid units are broken, {cell.broken_units} in the source")
