"""What a potential makes of atoms that are too close: it must repel them, and have no wells there."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.geometry import get_distances

from argyro.common.errors import DynamicsError
from argyro.config.structures import DistanceLimits

type FloatArray = npt.NDArray[np.float64]
type Kind = Literal["below the frame", "attractive"]

CONTACTS: Final = DistanceLimits(covalent_fraction=0.75, pairs_angstrom={})
"""Distances below which no two atoms are bonded, and have to repel each other."""
CLOSEST = 1.2  # angstrom, of two atoms brought together
APPROACH_STEP = 0.05  # angstrom
NEIGHBOURS = 4.5  # angstrom; pairs further apart have others between them, which a straight path runs into
TRIES = 100  # of a random place
NOISE = 1e-6  # eV; smaller differences are none


@dataclass(frozen=True)
class Well:
    """A place where atoms that are too close gain energy.

    Attributes:
        pair: Elements.
        distance_angstrom: Of the two atoms.
        energy_eV: Relative to the undisturbed frame.
        kind: ``below the frame``, or ``attractive``: closer is lower.
    """

    pair: str
    distance_angstrom: float
    energy_eV: float
    kind: Kind


@dataclass(frozen=True)
class ShortRange:
    """What was tried and found.

    Attributes:
        approaches: Pairs brought together.
        displacements: Atoms put elsewhere, too close to another.
        left_out: Places on the way of pairs where a third atom would be nearer than any two may be.
        lowest_eV: Lowest energy of all of these, relative to the frame.
        wells: Places where atoms that are too close gain energy; empty if the potential is sound.
    """

    approaches: int
    displacements: int
    left_out: int
    lowest_eV: float
    wells: list[Well]

    @property
    def ok(self) -> bool:
        """Whether no well was found."""
        return not self.wells


class _Approach(NamedTuple):
    """Frames in which the second of two atoms comes nearer to the first.

    Attributes:
        pair: Elements.
        distances: Of the two, falling, angstrom.
        positions: Of all atoms at each distance.
        undisturbed: Whether there is no third atom in the way, so that nearer has to mean higher.
        left_out: Distances at which a third atom would be nearer than any two may be.
    """

    pair: str
    distances: list[float]
    positions: list[FloatArray]
    undisturbed: bool
    left_out: int = 0


def short_range(
    frames: Sequence[Atoms], calculator: Any, contacts: DistanceLimits, *, displacements: int = 20, seed: int
) -> ShortRange:
    """Bring atoms of frames of a run together, down to 1.2 angstrom.

    In every frame the closest pair of each two elements is brought together along its line from the contact distance
    on, but for places that are less than 1.2 angstrom off a third atom, and random atoms are moved to where they are
    closer to another than the contact distance. A sound potential repels: no energy is below that of the undisturbed
    frame, and neighbours that approach with nothing else in the way meet rising energies.

    Args:
        frames: Undisturbed.
        calculator: Any of ASE with energies.
        contacts: Distances below which atoms do not come on their own.
        displacements: Atoms moved in each frame, one at a time.
        seed: Of these.

    Raises:
        DynamicsError: a frame is so dense that there is no place 1.2 angstrom away from all atoms.
    """
    rng = np.random.default_rng(seed)
    wells: list[Well] = []
    found: list[float] = []
    approaches = left_out = 0
    for frame in frames:
        energy = _Energy(frame, calculator)
        for approach in _approaches(frame, contacts):
            energies = [energy(positions) for positions in approach.positions]
            wells += _wells(approach, energies)
            found += energies
            approaches += 1
            left_out += approach.left_out
        for moved in _displacements(frame, contacts, displacements, rng):
            found.append(energy(moved.positions[0]))
            wells += _wells(moved, found[-1:])
    moves = len(frames) * displacements
    return ShortRange(approaches, moves, left_out, min(found, default=np.inf), wells)


class _Energy:
    """Energies of a frame's atoms elsewhere, relative to the frame."""

    def __init__(self, frame: Atoms, calculator: Any) -> None:
        self._atoms = frame.copy()
        self._atoms.calc = calculator
        self._zero = float(self._atoms.get_potential_energy())

    def __call__(self, positions: FloatArray) -> float:
        self._atoms.positions = positions
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that atoms are close, which is the point
            return float(self._atoms.get_potential_energy()) - self._zero


def _wells(approach: _Approach, energies: Sequence[float]) -> list[Well]:
    points = list(zip(approach.distances, energies, strict=True))
    found = [Well(approach.pair, d, e, "below the frame") for d, e in points if not e > -NOISE]
    if approach.undisturbed:
        found += [Well(approach.pair, d, e, "attractive") for (_, far), (d, e) in pairwise(points) if e < far - NOISE]
    return found


def _approaches(frame: Atoms, contacts: DistanceLimits) -> Iterator[_Approach]:
    """Of the closest pair of each two elements."""
    apart_all = frame.get_all_distances(mic=True)
    np.fill_diagonal(apart_all, np.inf)
    for one, other in combinations_with_replacement(dict.fromkeys(frame.get_chemical_symbols()), 2):
        block = np.where(np.outer(frame.symbols == one, frame.symbols == other), apart_all, np.inf)
        i, j = (int(k) for k in np.unravel_index(block.argmin(), block.shape))
        apart = float(block[i, j])
        if not np.isfinite(apart):
            continue
        direction = frame.get_distance(i, j, mic=True, vector=True) / apart
        path = np.arange(min(contacts.between(one, other), apart), CLOSEST - NOISE, -APPROACH_STEP).tolist()
        way = [(d, _with_atom_at(frame, j, frame.positions[j] + (d - apart) * direction)) for d in path]
        open_way = [(d, p) for d, p in way if _distances_from(frame, p, j).min() >= CLOSEST - NOISE]
        distances, positions = [d for d, _ in open_way], [p for _, p in open_way]
        undisturbed = apart < NEIGHBOURS and all(_is_free(frame, p, j, i, contacts) for p in positions)
        yield _Approach(f"{one}-{other}", distances, positions, undisturbed, len(way) - len(open_way))


def _displacements(frame: Atoms, contacts: DistanceLimits, count: int, rng: np.random.Generator) -> Iterator[_Approach]:
    """Of random atoms to random places around random others, not nearer than 1.2 angstrom to any."""
    symbols, tries = frame.get_chemical_symbols(), count * TRIES
    while count:
        mover, target = (int(k) for k in rng.choice(len(frame), size=2, replace=False))
        direction = rng.normal(size=3)
        distance = float(rng.uniform(CLOSEST, contacts.between(symbols[mover], symbols[target])))
        place = frame.positions[target] + distance * direction / np.linalg.norm(direction)
        positions = _with_atom_at(frame, mover, place)
        tries -= 1
        if _distances_from(frame, positions, mover).min() >= CLOSEST - NOISE:
            count -= 1
            yield _Approach(f"{symbols[mover]}-{symbols[target]}", [distance], [positions], undisturbed=False)
        elif tries <= 0:
            raise DynamicsError(
                f"a frame of {frame.get_chemical_formula()} has no room {CLOSEST} angstrom off all atoms"
            )


def _with_atom_at(frame: Atoms, atom: int, place: FloatArray) -> FloatArray:
    positions: FloatArray = frame.get_positions()
    positions[atom] = place
    return positions


def _is_free(frame: Atoms, positions: FloatArray, mover: int, target: int, contacts: DistanceLimits) -> bool:
    """Whether an atom is in contact with none but its target."""
    distances = _distances_from(frame, positions, mover)
    limits = np.array([contacts.between(frame.symbols[mover], symbol) for symbol in frame.symbols])
    limits[target] = 0.0
    return bool((distances > limits).all())


def _distances_from(frame: Atoms, positions: FloatArray, atom: int) -> FloatArray:
    """To all atoms, infinite to itself, shape (N,), angstrom."""
    distances: FloatArray = get_distances(positions[[atom]], positions, cell=frame.cell, pbc=frame.pbc)[1][0]
    distances[atom] = np.inf
    return distances
