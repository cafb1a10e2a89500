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
SCAN_THREADS = 256  # as in lists.cuh
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


@dataclass(frozen=True, eq=False)
class _Grid:
    """Bins of the cells of all systems, as `_bins` gives them, the inverse cells, and what atoms are counted with.

    Attributes:
        count: Atoms of each bin while lists are made, else nothing.
        start: Where the atoms of each bin begin, and their number.
    """

    bins: Array
    bin_count: int
    inverses: Array
    count: Array
    start: Array


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
        self.since = xp.asarray(np.ones((batch.system_count, 3)))
        self.closest: float | None = None
        self.builds = 0
        self.stale = xp.asarray(np.ones(batch.system_count, np.int32))
        self._bin_of = xp.zeros(batch.atom_count, dtype=xp.int32)
        self._sorted = xp.zeros(batch.atom_count, dtype=xp.int32)
        self._found = xp.zeros(2, dtype=xp.int64)  # room needed, bits of the square of the closest distance
        self._grid: _Grid | None = None

    def forget_cells(self) -> None:
        """To be called when cells have changed."""
        self._grid = None

    def build(self) -> None:
        """Wrap the atoms of systems that are stale into their cells and find their neighbours.

        Raises:
            InvalidStructureError: two atoms coincide, or a cell is too small.
            GpuError: the lists do not fit the card.
        """
        batch, grid = self._batch, self._grid_of_cells()
        self._launch(
            "wrap_atoms",
            batch.atom_count,
            [
                *(batch.places, batch.images, self.reference, batch.system, batch.cells, grid.inverses, grid.bins),
                *(self.stale, batch.atom_count, self._bin_of, grid.count),
            ],
        )
        self._kernels.launch(
            "scan_bins",
            1,
            SCAN_THREADS,
            [grid.count, grid.bin_count, grid.start, self._found[:1], self._found[1:]],
            shared=4 * SCAN_THREADS,
        )
        self._launch(
            "fill_bins",
            batch.atom_count,
            [batch.system, self.stale, self._bin_of, grid.start, batch.atom_count, grid.count, self._sorted],
        )
        self._launch("sort_bins", grid.bin_count, [grid.start, grid.bin_count, grid.count, self._sorted])
        self._fill(grid)
        room = 0.5 * (self.reach - self.cutoff)
        self._launch("renew_lists", batch.system_count, [room, batch.system_count, self.stale, self.slack, self.since])
        self.builds += 1

    def _grid_of_cells(self) -> "_Grid":
        if self._grid is None:
            xp, cells = self._backend.xp, self._backend.to_host(self._batch.cells).reshape(-1, 3, 3)
            bins, bin_count = _bins(cells, self.reach)
            inverses = np.ascontiguousarray(np.linalg.inv(cells).reshape(-1, 9))
            counts = (xp.zeros(size, dtype=xp.int32) for size in (bin_count, bin_count + 1))
            self._grid = _Grid(xp.asarray(bins), bin_count, xp.asarray(inverses), *counts)
        return self._grid

    def _launch(self, name: str, count: int, arguments: list[Array | float]) -> None:
        """A kernel with a thread for each of so many."""
        self._kernels.launch(name, -(-count // THREADS), THREADS, arguments)

    def _fill(self, grid: "_Grid") -> None:
        """Make the lists, with more room for each atom if there is too little."""
        batch, found = self._batch, self._found
        while True:
            if self.capacity == 0:
                self._make_room(START_CAPACITY)
            self._launch(
                "build_list",
                batch.atom_count,
                [
                    *(batch.places, batch.system, batch.cells, grid.bins, self.stale, self._bin_of, self._sorted),
                    *(grid.start, batch.atom_count, self.reach, self.capacity, self.entries, self.counts),
                    *(found[:1], found[1:]),
                ],
            )
            most, nearest = self._backend.to_host(found)
            if most <= self.capacity:
                break
            self._make_room(int(most + most // 8))
        distance = float(np.sqrt(nearest.view(np.float64)))
        if distance < CLOSEST:
            raise InvalidStructureError(f"two atoms are {distance:.1g} angstrom apart: they coincide")
        self.closest = distance if distance < self.reach else None

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
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cells), axis=1)
    if (small := heights.min()) * FARTHEST_IMAGE < reach:
        raise SmallCellError(
            f"a cell is {small:.2f} angstrom high; neighbours within {reach:g} angstrom need at least "
            f"{reach / FARTHEST_IMAGE:.2f}: repeat the cell"
        )
    grids = np.maximum(1, (heights // reach).astype(np.int64))
    ends = np.cumsum(grids.prod(axis=1))
    rows = np.zeros((len(cells), 8), np.int32)
    rows[:, :3], rows[1:, 3], rows[:, 4:7] = grids, ends[:-1], np.ceil(reach * grids / heights)
    return rows, int(ends[-1])
