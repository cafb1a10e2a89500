"""Energies, forces, virials and extrapolation grades of systems on the card."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mtpcore._core import Potential
from mtpcore.engine import Evaluation
from mtpcore.errors import InvalidStructureError, MtpcoreError

from .backend import Array, Backend, GpuError
from .source import DOUBLE, FLOAT, MOST, block_threads, default_tile, shared_bytes, sites_source, slots_of
from .systems import Batch, NeighborLists, System, common_kernels
from .tables import Schedule, Tables, contraction_program, spread

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int32]
type Precision = Literal["double", "mixed"]

GRADE_TILE, GRADE_THREADS = 8, 128  # as in sites.cuh
ROWS_AT_ONCE = 4096  # atoms whose rows of derivatives are held at a time
FORCE_UNIT = 2.0**43
PRODUCT = np.dtype([("left", np.uint16), ("right", np.uint16), ("target", np.uint16), ("weight", np.int16)])
WEIGHTED = np.dtype([("left", np.uint32), ("target", np.uint32), ("weight", np.float64)])  # both as in sites.cuh
GOES_ON, SETS = 0xFFFF, 0x8000  # as in sites.cuh
BANKS = 8  # of shared memory, where threads read 16 bytes each: eight of them read at once
LARGEST_FORCE = 8192.0  # eV/angstrom of a pair
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


class Sites:
    """A potential's kernels and coefficients on the card.

    Args:
        backend: Where.
        potential: A trained potential.
        precision: ``double``; or ``mixed``: moments and what is derived from them are single-precision numbers, while
            distances, radial functions, sums of forces and energies and grades stay as they are.
        tile: Atoms that a block of threads works on, 1, 2, 4 or 8; None: as shared memory allows.

    Raises:
        GpuError: a block of one atom needs more shared memory than there is, or a product of moments counts more often
            than kernels can hold.
    """

    def __init__(
        self, backend: Backend, potential: Potential, *, precision: Precision = "double", tile: int | None = None
    ) -> None:
        self.backend, self.potential, self.tables = backend, potential, contraction_program(potential)
        self._word = FLOAT if precision == "mixed" else DOUBLE
        self.tile = tile or default_tile(self.tables, 96, self._word)
        if shared_bytes(self.tables, self.tile, 96, rows=True) > MOST:
            raise GpuError(f"a potential of {self.tables.moments} moments does not fit a GPU's shared memory")
        self.kernels = backend.compile(sites_source(self.tables, self.tile))
        self._forces = self.kernels
        if precision == "mixed":
            self._forces = backend.compile(sites_source(self.tables, self.tile, FLOAT))
        xp = backend.xp
        radial = potential.radial_coeffs.transpose(2, 3, 0, 1)
        weights, leaf = _leaf_weights(self.tables, potential.moment_coeffs), self.tables.leaf_energy
        self._coefficients = [
            *(potential.min_dist, potential.max_dist, potential.scaling),
            *(xp.asarray(np.ascontiguousarray(x)) for x in (radial, potential.species_coeffs)),
            *self._energy_terms(potential.moment_coeffs),
        ]
        tables, slots = self.tables, slots_of(self.tables, self.tile)
        moments_to_leaves = slots.leaf - tables.moments
        self._sums = [
            *self._stages(tables.forward, tables.forward.factors),
            *self._stages(
                leaf, weights[leaf.pairs >> np.uint32(16)] * leaf.factors, is_product=False, target=slots.adjoint
            ),
            *self._stages(
                *(tables.backward, tables.backward.factors),
                left=slots.adjoint,
                target=slots.adjoint,
                added=_targets(leaf),
            ),
        ]
        self._leaf_values = self._stages(tables.leaf_values, tables.leaf_values.factors, target=moments_to_leaves)
        scalar = self.tables.scalar_moment
        self._scalar_slot = xp.asarray(
            np.where(scalar < tables.moments, scalar, scalar + moments_to_leaves).astype(np.int32)
        )
        self._panels: Array = None
        if (active_set := potential.active_set) is not None and active_set.neighborhood_mode:
            self._panels = xp.asarray(_panels(self.tables, active_set.inverse_transposed.T))

    @property
    def has_grades(self) -> bool:
        """Whether the potential has an active set of neighbourhoods."""
        return self._panels is not None

    @property
    def _units(self) -> int:
        """Of what a thread works on, in a slot."""
        return block_threads(self.tables, self.tile) // self.tables.workers

    def _energy_terms(self, coefficients: FloatArray) -> tuple[Array, int]:
        """Slots of moments that the energy depends on directly, of their adjoints, and coefficients; how many."""
        targets = _targets(self.tables.leaf_energy)
        own = _moment_coefficients(self.tables, coefficients)
        terms = np.zeros(len(targets), WEIGHTED)
        terms["left"] = targets * self._units
        terms["target"] = (targets + slots_of(self.tables, self.tile).adjoint) * self._units
        terms["weight"] = own[targets]
        return self.backend.xp.asarray(terms.view(np.float64)), len(targets)

    def _stages(
        self,
        schedule: Schedule,
        weights: FloatArray,
        *,
        left: int = 0,
        is_product: bool = True,
        target: int = 0,
        added: IntArray | None = None,
    ) -> list[Array]:
        """Entries and fixes on the card; slots are the numbers of moments and these offsets.

        Of sums whose targets are not `added` nothing has been put into their slots before; None: of all.
        """
        scratch, units = slots_of(self.tables, self.tile).scratch, self._units
        # A few steps more, which are read ahead but not used
        shape = (len(schedule.pairs) + self.tables.ahead, self.tables.workers)
        entries = np.zeros(shape, PRODUCT if is_product else WEIGHTED)
        own = entries[: len(schedule.pairs)]
        first, second = (schedule.pairs & 0xFFFF).astype(np.int64) + left, (schedule.pairs >> 16).astype(np.int64)
        if is_product and np.abs(weights).max(initial=0.0) > np.iinfo(np.int16).max:
            raise GpuError(f"a product of moments counts {np.abs(weights).max():g} times, which kernels cannot hold")
        group = self._side_by_side // units
        first, second, weights, targets = spread(first, second if is_product else first, weights, schedule, group)
        if is_product:
            own["right"] = second * units
        own["left"] = first * units
        slots = np.where(targets < -1, scratch - 2 - targets, targets + target) * units
        if slots.max(initial=0) >= SETS:
            raise GpuError(f"kernels cannot number the {self.tables.moments} moments of the potential")
        if added is not None:
            slots |= np.where(np.isin(targets, added), 0, SETS)
        own["target"] = np.where(targets == -1, GOES_ON, slots)
        own["weight"] = weights
        fixes = np.zeros((len(schedule.fixes), 4), np.uint16)
        fixes[:, :3] = schedule.fixes + np.array([target, scratch, 0], np.int32)
        fixes[:, 3] = added is not None and np.isin(schedule.fixes[:, 0], added)
        return [self.backend.xp.asarray(x) for x in (entries.ravel().view(np.float64), fixes.ravel().view(np.float64))]

    def _arguments(self, batch: Batch, lists: NeighborLists, order: Array | None, count: int) -> list[Any]:
        return [
            *(batch.places, batch.cells, batch.system, lists.entries, lists.counts, lists.capacity, order, count),
            *(*self._coefficients, *self._sums),
        ]

    @property
    def _side_by_side(self) -> int:
        """Threads whose reads of two numbers go together."""
        return BANKS * DOUBLE // self._word

    def _launch(self, name: str, lists: NeighborLists, count: int, arguments: list[Any], *, rows: bool) -> None:
        kernels, word = (self.kernels, DOUBLE) if rows else (self._forces, self._word)
        shared = shared_bytes(self.tables, self.tile, lists.capacity, word=word, rows=rows)
        if shared > MOST:
            raise GpuError(
                f"lists of {lists.capacity} neighbours and {self.tables.moments} moments need {shared} bytes of shared "
                f"memory; a block has {MOST}: is the structure compressed, or the cutoff very long?"
            )
        kernels.launch(name, -(-count // self.tile), block_threads(self.tables, self.tile), arguments, shared=shared)

    def add_forces(self, batch: Batch, lists: NeighborLists, out: "SiteResults", *, virial: bool) -> None:
        """Set the site energies, add the forces in units of 1/FORCE_UNIT eV/angstrom, raise flags."""
        found = [out.energies, out.forces, out.virials if virial else None, out.flags]
        arguments = self._arguments(batch, lists, None, batch.atom_count) + found
        self._launch("site_forces", lists, batch.atom_count, arguments, rows=False)

    def grades(self, batch: Batch, lists: NeighborLists, plan: "GradePlan") -> Array:
        """Extrapolation grade of every neighbourhood, shape (N,), on the card.

        Raises:
            MtpcoreError: the potential holds no active set of neighbourhoods.
        """
        if self._panels is None:
            raise MtpcoreError(
                "the potential holds no active set of neighbourhoods: read one from an .almtp file or select one first"
            )
        for chunk in plan.chunks:
            arguments = [
                *self._arguments(batch, lists, chunk.order, len(chunk.order)),
                *self._leaf_values,
                self._scalar_slot,
                plan.rows,
            ]
            self._launch("site_rows", lists, len(chunk.order), arguments, rows=True)
            self.kernels.launch(
                "site_grades",
                len(chunk.first),
                GRADE_THREADS,
                [
                    *(plan.rows, chunk.first, chunk.count, chunk.species, chunk.order),
                    *(self._panels, self.potential.parameter_count, plan.grades),
                ],
                shared=8 * GRADE_TILE * (self.tables.depth + GRADE_THREADS),
            )
        return plan.grades

    def rows(self, batch: Batch, lists: NeighborLists) -> FloatArray:
        """d(site energy)/d(parameters that its species has), shape (N, depth): for checks."""
        xp = self.backend.xp
        rows = xp.zeros((batch.atom_count, self.tables.depth))
        arguments = [
            *self._arguments(batch, lists, None, batch.atom_count),
            *self._leaf_values,
            self._scalar_slot,
            rows,
        ]
        self._launch("site_rows", lists, batch.atom_count, arguments, rows=True)
        return self.backend.to_host(rows)


def _moment_coefficients(tables: Tables, coefficients: FloatArray) -> FloatArray:
    """Of each moment that is a scalar of the basis its coefficient; others have zero."""
    values = np.zeros(tables.moments + tables.leaves)
    np.add.at(values, tables.scalar_moment, coefficients)
    return values


def _leaf_weights(tables: Tables, coefficients: FloatArray) -> FloatArray:
    """Weights of the pairs that make up leaves, then coefficients of scalars."""
    values = _moment_coefficients(tables, coefficients)
    weights = np.zeros(len(tables.leaf_pairs))
    pair, leaf, factor = tables.leaf_terms.T
    np.add.at(weights, pair, values[tables.moments + leaf] * factor)
    return np.concatenate([weights, coefficients])


def _targets(schedule: Schedule) -> IntArray:
    """Where sums go in the end."""
    found = np.concatenate([schedule.targets[schedule.targets >= 0], schedule.fixes[:, 0]])
    return np.sort(found).astype(np.int32)


def _panels(tables: Tables, inverse: FloatArray) -> FloatArray:
    """Of the inverse active set, the rows that a site of each species meets, shape (species, depth, parameters)."""
    block = tables.species * tables.radial * tables.radial_size
    radial = tables.species * block
    scalars = radial + tables.species + np.arange(len(tables.scalar_moment))
    chosen = [np.concatenate([s * block + np.arange(block), [radial + s], scalars]) for s in range(tables.species)]
    return np.ascontiguousarray(np.stack([inverse[rows] for rows in chosen]))


class SiteResults:
    """Where results for a batch go.

    Attributes:
        energies: eV, shape (N,).
        forces: Whole numbers of 1/FORCE_UNIT eV/angstrom, shape (N, 3).
        virials: xx, yy, zz, yz, xz, xy, eV, shape (N, 6).
        flags: Whether a force of a system was out of bounds, and a pair closer than min_dist, shape (S, 2).
    """

    def __init__(self, backend: Backend, batch: Batch) -> None:
        xp, count = backend.xp, batch.atom_count
        self.energies = xp.zeros(count)
        self.forces = xp.zeros((count, 3), dtype=xp.int64)
        self.virials = xp.zeros((count, 6))
        self.flags = xp.zeros((batch.system_count, 2), dtype=xp.int32)


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Atoms graded at once: their order, and tiles of one species each."""

    order: Array
    first: Array
    count: Array
    species: Array


class GradePlan:
    """Memory for grading, and the order in which a batch's atoms are graded: species by species."""

    def __init__(self, backend: Backend, batch: Batch, depth: int) -> None:
        xp = backend.xp
        self.grades = xp.zeros(batch.atom_count)
        self.rows = xp.zeros((min(ROWS_AT_ONCE, batch.atom_count), depth))
        self.chunks = []
        order = np.argsort(batch.types, kind="stable").astype(np.int32)
        for begin in range(0, len(order), ROWS_AT_ONCE):
            part = order[begin : begin + ROWS_AT_ONCE]
            tiles = _tiles(batch.types[part])
            self.chunks.append(_Chunk(xp.asarray(part), *(xp.asarray(column) for column in tiles.T.copy())))


def _tiles(types: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """First atom, number of atoms and species of tiles, from the sorted species of atoms."""
    tiles = []
    for species in np.unique(types):
        begin, end = np.searchsorted(types, [species, species + 1])
        tiles += [(first, min(GRADE_TILE, end - first), species) for first in range(begin, end, GRADE_TILE)]
    return np.array(tiles, np.int32)


class GpuEngine:
    """Energies, forces, virials and grades of single structures or batches of them, as `mtpcore.Engine` gives them.

    Args:
        potential: A trained potential.
        backend: Where.
        precision: See `Sites`.
        tile: See `Sites`.
    """

    def __init__(
        self, potential: Potential, backend: Backend, *, precision: Precision = "double", tile: int | None = None
    ) -> None:
        self._backend = backend
        self.sites = Sites(backend, potential, precision=precision, tile=tile)
        self._common = common_kernels(backend)

    def _lists(self, systems: Sequence[System]) -> tuple[Batch, NeighborLists]:
        batch = Batch(self._backend, systems, self.sites.tables.species)
        cutoff = self.sites.potential.max_dist
        lists = NeighborLists(self._backend, self._common, batch, cutoff=cutoff, skin=0.0)
        lists.build()
        return batch, lists

    def evaluate(self, systems: Sequence[System]) -> list[Evaluation]:
        """Energy, forces and virial of each system; close pairs are not listed.

        Raises:
            InvalidStructureError: atoms coincide, a cell is too small, or forces are beyond 8192 eV/angstrom a pair.
            UnknownSpeciesError: a type outside the potential's species.
        """
        batch, lists = self._lists(systems)
        out = SiteResults(self._backend, batch)
        self.sites.add_forces(batch, lists, out, virial=True)
        host = self._backend.to_host
        if host(out.flags)[:, 0].any():
            raise InvalidStructureError(f"forces above {LARGEST_FORCE:g} eV/angstrom: atoms are far too close")
        energies, forces, virials = host(out.energies), host(out.forces) / FORCE_UNIT, host(out.virials)
        parts = [slice(a, b) for a, b in zip(batch.first_atom[:-1], batch.first_atom[1:], strict=True)]
        return [
            Evaluation(float(energies[p].sum()), energies[p], forces[p], _tensor(virials[p].sum(axis=0)), [])
            for p in parts
        ]

    def grades(self, systems: Sequence[System]) -> list[FloatArray]:
        """Extrapolation grades of each system's neighbourhoods, shape (N,).

        Raises:
            MtpcoreError: the potential holds no active set of neighbourhoods.
        """
        batch, lists = self._lists(systems)
        plan = GradePlan(self._backend, batch, self.sites.tables.depth)
        grades = self._backend.to_host(self.sites.grades(batch, lists, plan))
        return np.split(grades, batch.first_atom[1:-1])


def _tensor(voigt: FloatArray) -> FloatArray:
    tensor = np.empty((3, 3))
    for value, (i, j) in zip(voigt, VOIGT, strict=True):
        tensor[i, j] = tensor[j, i] = value
    return tensor
