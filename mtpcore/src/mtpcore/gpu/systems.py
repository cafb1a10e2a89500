"""Several periodic systems on the card, side by side, and the lists of their atoms' neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mtpcore.errors import InvalidStructureError, UnknownSpeciesError

from .backend import Array, Backend, GpuError, Kernels
from .source import common_source

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int32]

THREADS = 128
ATOMS_MOST = 2**24  # that an entry of a list can name
FARTHEST_IMAGE = 2  # along each cell vector
OTHER_BYTES = 320  # of an atom, besides its list: places, velocity, force, virial, and what building lists takes
CLOSEST = 1e-6  # angstrom
START_CAPACITY = 64  # of a list


class SmallCellError(InvalidStructureError):
    """A cell so small that atoms beyond its second image are neighbours."""


@dataclass(frozen=True, eq=False)
class System:
    """A periodic structure of N atoms.

    Attributes:
        types: 0-based species of the potential, shape (N,).
        positions: Shape (N, 3), angstrom.
        cell: Cell vectors in rows, shape (3, 3), angstrom.
    """

    types: IntArray
    positions: FloatArray
    cell: FloatArray

    def __post_init__(self) -> None:
        """Refuse what is no structure.

        Raises:
            InvalidStructureError: wrong shapes, numbers that are not finite, or a cell without volume.
        """
        count = len(self.types)
        if count == 0 or self.positions.shape != (count, 3) or self.cell.shape != (3, 3):
            raise InvalidStructureError(
                f"a system has N > 0 types, positions of shape (N, 3) and a cell of shape (3, 3), not {count}, "
                f"{self.positions.shape} and {self.cell.shape}"
            )
        if not (np.isfinite(self.positions).all() and np.isfinite(self.cell).all()):
            raise InvalidStructureError("positions or cell are not finite")
        if abs(np.linalg.det(self.cell)) < CLOSEST:
            raise InvalidStructureError("the cell has no volume")


class Batch:
    """Systems on the card. Positions are kept in the cell; `images` counts the cells that atoms have moved by.

    Args:
        backend: Where.
        systems: Which.
        species: Number of the potential's species.

    Attributes:
        places: x, y, z and species of all atoms, shape (N, 4).
        images: Shape (N, 3).
        cells: Shape (S, 9), angstrom.
        system: Of each atom, shape (N,).
        first_atom: Of each system, and the number of all, shape (S + 1,); on the processor.

    Raises:
        UnknownSpeciesError: a type outside the potential's species.
        GpuError: more atoms than lists can name.
    """

    def __init__(self, backend: Backend, systems: Sequence[System], species: int) -> None:
        xp = backend.xp
        types = np.concatenate([s.types for s in systems]).astype(np.int32)
        if types.min() < 0 or types.max() >= species:
            raise UnknownSpeciesError(
                f"types {types.min()} to {types.max()} occur; the potential has species 0 to {species - 1}"
            )
        if len(types) > ATOMS_MOST:
            raise GpuError(f"{len(types)} atoms are more than the {ATOMS_MOST} a batch can have: use smaller ones")
        sizes = [len(s.types) for s in systems]
        check_room(backend, len(types), START_CAPACITY)
        self.types = types
        self.first_atom = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        places = np.column_stack([np.concatenate([s.positions for s in systems]), types.astype(np.float64)])
        self.places = xp.asarray(places)
        self.images = xp.zeros((len(types), 3), dtype=xp.int32)
        self.cells = xp.asarray(np.stack([s.cell.ravel() for s in systems]).astype(np.float64))
        self.system = xp.asarray(np.repeat(np.arange(len(systems), dtype=np.int32), sizes))

    @property
    def atom_count(self) -> int:
        """Number of atoms of all systems."""
        return int(self.first_atom[-1])

    @property
    def system_count(self) -> int:
        """Number of systems."""
        return len(self.first_atom) - 1


class NeighborLists:
    """Lists of all neighbours within the cutoff and a skin, good until an atom has moved by half the skin.

    Args:
        backend: Where.
        kernels: Those of `common_kernels`.
        batch: The systems.
        cutoff: Of the potential, angstrom.
        skin: Angstrom; 0 for lists that are used once.

    Attributes:
        entries: Neighbours of each atom, shape (N, capacity).
        counts: How many, shape (N,).
        capacity: Room for each atom.
        reference: Positions at the last build, shape (N, 3).
        slack: Distance atoms of each system may move from there, shape (S,).
        since: How much x, y and z of each system were stretched since, shape (S, 3).
        stale: Whether the lists of a system have to be made anew, shape (S,).
        closest: Shortest distance found by the last build, angstrom; None: none shorter than the lists reach.
        builds: How many.
    """

    def __init__(self, backend: Backend, kernels: Kernels, batch: Batch, *, cutoff: float, skin: float) -> None:
        xp = backend.xp
        self._backend, self._kernels, self._batch = backend, kernels, batch
        self.cutoff, self.reach = cutoff, cutoff + skin
        self.capacity = 0
        self.entries: Array = None
        self.counts = xp.zeros(batch.atom_count, dtype=xp.int32)
        self.reference = xp.zeros((batch.atom_count, 3))
        self.slack = xp.zeros(batch.system_count)
        self.since = xp.ones((batch.system_count, 3))
        self.closest: float | None = None
        self.builds = 0
        self.stale = xp.ones(batch.system_count, dtype=xp.int32)
        self._key = xp.zeros(batch.atom_count, dtype=xp.int64)

    def build(self) -> None:
        """Wrap the atoms of systems that are stale into their cells and find their neighbours.

        Raises:
            InvalidStructureError: two atoms coincide, or a cell is too small.
            GpuError: the lists do not fit the card.
        """
        xp, batch = self._backend.xp, self._batch
        cells = self._backend.to_host(batch.cells).reshape(-1, 3, 3)
        bins, bin_count = _bins(cells, self.reach)
        inverses = xp.asarray(np.linalg.inv(cells).reshape(-1, 9))
        device_bins = xp.asarray(bins)
        blocks = -(-batch.atom_count // THREADS)
        self._kernels.launch(
            "wrap_atoms",
            blocks,
            THREADS,
            [
                *(batch.places, batch.images, self.reference, batch.system, batch.cells, inverses, device_bins),
                *(self.stale, batch.atom_count, self._key),
            ],
        )
        order = xp.argsort(self._key)  # keys differ: one order
        ordered = self._key[order] // batch.atom_count
        start = xp.searchsorted(ordered, xp.arange(bin_count + 1, dtype=xp.int64)).astype(xp.int32)
        self._fill(device_bins, order.astype(xp.int32), start)
        stale = self.stale > 0
        self.slack[stale] = 0.5 * (self.reach - self.cutoff)
        self.since[stale] = 1.0
        self.stale.fill(0)
        self.builds += 1

    def _fill(self, bins: Array, order: Array, start: Array) -> None:
        """Make the lists, with more room for each atom if there is too little."""
        xp, batch = self._backend.xp, self._batch
        while True:
            if self.capacity == 0:
                self._make_room(START_CAPACITY)
            needed = xp.zeros(1, dtype=xp.int32)
            closest = xp.full(1, np.iinfo(np.int64).max, dtype=xp.int64)
            self._kernels.launch(
                "build_list",
                -(-batch.atom_count // THREADS),
                THREADS,
                [
                    *(batch.places, batch.system, batch.cells, bins, self.stale, self._key, order, start),
                    *(batch.atom_count, self.reach, self.capacity, self.entries, self.counts, needed, closest),
                ],
            )
            most = int(self._backend.to_host(needed)[0])
            if most <= self.capacity:
                break
            self._make_room(most + most // 8)
        nearest = float(np.sqrt(self._backend.to_host(closest).view(np.float64)[0]))
        if nearest < CLOSEST:
            raise InvalidStructureError(f"two atoms are {nearest:.1g} angstrom apart: they coincide")
        self.closest = nearest if nearest < self.reach else None

    def _make_room(self, capacity: int) -> None:
        xp, count = self._backend.xp, self._batch.atom_count
        old, self.capacity = self.entries, -(-capacity // 8) * 8
        check_room(self._backend, count, self.capacity)
        self.entries = xp.zeros((count, self.capacity), dtype=xp.uint32)
        if old is not None:  # lists of systems that are not stale stay
            self.entries[:, : old.shape[1]] = old


def check_room(backend: Backend, atoms: int, capacity: int) -> None:
    """Refuse more atoms than fit the card.

    Raises:
        GpuError: names the largest system that fits.
    """
    free, total = backend.memory()
    per_atom = 4 * capacity + OTHER_BYTES
    if per_atom * atoms > free:
        raise GpuError(
            f"{atoms} atoms need {per_atom * atoms / 1e9:.1f} GB at {per_atom} bytes each; {free / 1e9:.1f} of the "
            f"{total / 1e9:.1f} GB of {backend.name} are free: at most about {free // per_atom} atoms fit"
        )


def common_kernels(backend: Backend) -> Kernels:
    """Kernels of neighbour lists and motion."""
    return backend.compile(common_source())


def _bins(cells: FloatArray, reach: float) -> tuple[IntArray, int]:
    """Bins of each system along its cell vectors, its first bin and how many bins the reach spans; and their number.

    Raises:
        SmallCellError: images beyond the second would be neighbours.
        InvalidStructureError: a cell is none.
    """
    if not np.isfinite(cells).all() or (np.abs(np.linalg.det(cells)) < CLOSEST).any():
        raise InvalidStructureError("a cell has lost its volume, or its vectors are no numbers")
    rows = np.zeros((len(cells), 8), np.int32)
    total = 0
    for row, cell in zip(rows, cells, strict=True):
        heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
        if (small := heights.min()) * FARTHEST_IMAGE < reach:
            raise SmallCellError(
                f"a cell is {small:.2f} angstrom high; neighbours within {reach:g} angstrom need at least "
                f"{reach / FARTHEST_IMAGE:.2f}: repeat the cell"
            )
        grid = np.maximum(1, (heights // reach).astype(int))
        row[:3], row[3], row[4:7] = grid, total, np.ceil(reach * grid / heights)
        total += int(grid.prod())
    return rows, total
