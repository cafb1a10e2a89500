"""Hops of ions between sites: within and between the cages of argyrodites, and how long ions stay.

Lithium of an argyrodite surrounds each free-sulfur site in a cage of six places, one along each axis of the crystal
(24g, or the pair of 48h sites around it). A hop counts when the ion stays at its new place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list
from scipy.spatial import KDTree

from argyro.common.errors import DynamicsError
from argyro.config.materials import RigidUnit

from .displacements import FloatArray, IntArray

PLACES = 6  # of a cage
CAGE_TO_CENTER = 0.466  # of the lattice constant: halfway between the distances of cage centers and of halides to P
PS_PER_NS = 1000.0


class HopCounts(NamedTuple):
    """Hops of some ions.

    Attributes:
        within: Between places of a cage.
        between: From cage to cage.
        time_ps: Of all ions together.
    """

    within: int
    between: int
    time_ps: float


@dataclass(frozen=True)
class HopStatistics:
    """Hops of ions.

    Attributes:
        within_cages_per_ion_ns: Hops between places of a cage, per ion and nanosecond.
        between_cages_per_ion_ns: Hops from cage to cage.
        residence_ps: Mean time in a cage; None if none was left.
        hops_between: Number of hops that the latter two are from.
    """

    within_cages_per_ion_ns: float
    between_cages_per_ion_ns: float
    residence_ps: float | None
    hops_between: int


def cage_centers(atoms: Atoms, units: Sequence[RigidUnit], mobile: str, lattice_constant: float) -> IntArray:
    """Atoms in the middle of the cages of an argyrodite: anions of no rigid unit that have four centers of units near.

    Args:
        atoms: A bulk cell.
        units: Rigid units; PS4 of argyrodites.
        mobile: The ion that diffuses.
        lattice_constant: Of the cubic cell, angstrom.

    Raises:
        DynamicsError: there is none: this is no argyrodite.
    """
    if not units:
        raise DynamicsError("hops are told by the cages of argyrodites; this material has no rigid units")
    unit, symbols = units[0], np.array(atoms.get_chemical_symbols())
    centers = np.flatnonzero(symbols == unit.center)
    bound = np.unique(neighbour_list("i", atoms, {(unit.ligand, unit.center): unit.max_bond_angstrom}))
    free = np.setdiff1d(np.flatnonzero(symbols != mobile), np.concatenate([bound, centers]))
    reach = CAGE_TO_CENTER * lattice_constant
    cutoffs = {(str(symbol), unit.center): reach for symbol in set(symbols[free])}
    near = neighbour_list("i", atoms, cutoffs)
    counts = np.bincount(near, minlength=len(atoms))
    found = free[counts[free] >= 3]  # noqa: PLR2004  of four, one may be shaken out of reach
    if not len(found):
        raise DynamicsError("no atom is surrounded as the middle of a cage of an argyrodite is")
    return np.asarray(found, dtype=np.int64)


def places_of(positions: FloatArray, centers: FloatArray, cell: FloatArray) -> IntArray:
    """Which place of which cage ions are at.

    Args:
        positions: Of the ions, not wrapped, without drift, shape (F, M, 3), angstrom.
        centers: Mean positions of the middles of cages, shape (C, 3), angstrom.
        cell: Cell vectors as rows, shape (3, 3), along the crystal's axes, angstrom.

    Returns:
        Six times the cage, plus the place, shape (F, M).
    """
    shifts = np.array(np.meshgrid(*[(-1, 0, 1)] * 3)).reshape(3, -1).T @ cell
    inverse = np.linalg.inv(cell)
    images = (centers - np.floor(centers @ inverse) @ cell)[None] + shifts[:, None]
    tree = KDTree(images.reshape(-1, 3))
    inside = positions - np.floor(positions @ inverse) @ cell
    nearest = tree.query(inside.reshape(-1, 3))[1]
    offset = inside.reshape(-1, 3) - tree.data[nearest]
    axis = np.abs(offset).argmax(axis=1)
    place = 2 * axis + (offset[np.arange(len(offset)), axis] > 0)
    result: IntArray = (PLACES * (nearest % len(centers)) + place).reshape(positions.shape[:2])
    return result


def settled_places(places: IntArray, patience: int) -> IntArray:
    """Places without short visits: a place counts from when an ion has come to stay for some frames.

    Args:
        places: Shape (F, M).
        patience: Frames.
    """
    settled = places.copy()
    since = np.ones(places.shape[1], dtype=np.int64)
    for frame in range(1, len(places)):
        since = np.where(places[frame] == places[frame - 1], since + 1, 1)
        settled[frame] = np.where(since >= patience, places[frame], settled[frame - 1])
    return settled


def hop_counts(places: IntArray, interval_ps: float, patience_ps: float = 0.5) -> HopCounts:
    """Hops within and between cages.

    Args:
        places: From `places_of`, shape (F, M).
        interval_ps: Between frames.
        patience_ps: How long an ion has to stay for a hop to count.
    """
    settled = settled_places(places, max(1, round(patience_ps / interval_ps)))
    cages = settled // PLACES
    between = int((cages[1:] != cages[:-1]).sum())
    within = int((settled[1:] != settled[:-1]).sum()) - between
    return HopCounts(within, between, (len(places) - 1) * interval_ps * places.shape[1])


def join_hops(counts: Sequence[HopCounts]) -> HopStatistics:
    """Rates from the hops of several blocks of ions, and runs."""
    within, between, time = (sum(each) for each in zip(*counts, strict=True))
    return HopStatistics(
        within_cages_per_ion_ns=within / time * PS_PER_NS,
        between_cages_per_ion_ns=between / time * PS_PER_NS,
        residence_ps=time / between if between else None,
        hops_between=int(between),
    )
