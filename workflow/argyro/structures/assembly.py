"""From placed bodies and mobile ions to a structure of exact composition."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.data import atomic_numbers

from .crystal import Crystal
from .neighbours import FloatArray
from .placed import PlacedBodies, PlacedSites

EMPTY = 0  # in place of an atomic number: a site of partial occupancy without an atom


def framework_atoms(
    crystal: Crystal, bodies: Sequence[PlacedBodies], units: int, cell: FloatArray, rng: np.random.Generator
) -> Atoms:
    """All that does not diffuse, single sites filled at random.

    Args:
        crystal: Of which the bodies are.
        bodies: As many of each kind as the formula units have.
        units: Formula units, a possible number.
        cell: Cell vectors as rows, shape (3, 3), angstrom.
        rng: Random numbers.

    Returns:
        A periodic structure with arrays ``grain`` and ``depth``, those of the bodies.
    """
    contents = crystal.contents(units, rng)
    numbers = np.concatenate([_numbers(placed, contents, rng) for placed in bodies])
    sizes = [placed.positions.shape[1] for placed in bodies]
    arrays = {
        "positions": np.concatenate([placed.positions.reshape(-1, 3) for placed in bodies]),
        "grain": np.concatenate([np.repeat(placed.grain, size) for placed, size in zip(bodies, sizes, strict=True)]),
        "depth": np.concatenate([np.repeat(placed.depth, size) for placed, size in zip(bodies, sizes, strict=True)]),
    }
    return _atoms(numbers[numbers != EMPTY], {k: v[numbers != EMPTY] for k, v in arrays.items()}, cell)


def with_mobile_ions(framework: Atoms, sites: PlacedSites, crystal: Crystal) -> Atoms:
    """The whole structure, in the order of the potential's species.

    Args:
        framework: With arrays ``grain`` and ``depth``.
        sites: Filled sites of the mobile ion.
        crystal: Of the grains.
    """
    ions = {"positions": sites.positions, "grain": sites.grain, "depth": sites.depth}
    numbers = np.concatenate([framework.numbers, np.full(len(sites), atomic_numbers[crystal.material.mobile])])
    rank = np.zeros(max(atomic_numbers.values()) + 1, dtype=int)
    rank[[atomic_numbers[element] for element in crystal.material.elements]] = range(len(crystal.material.elements))
    order = np.argsort(rank[numbers], kind="stable")
    arrays = {name: np.concatenate([framework.arrays[name], values])[order] for name, values in ions.items()}
    return _atoms(numbers[order], arrays, framework.cell.array)


def _atoms(numbers: npt.NDArray[np.int64], arrays: Mapping[str, npt.NDArray[np.generic]], cell: FloatArray) -> Atoms:
    atoms = Atoms(numbers=numbers, positions=arrays["positions"], cell=cell, pbc=True)
    for name in ("grain", "depth"):
        atoms.set_array(name, arrays[name])
    return atoms


def _numbers(
    placed: PlacedBodies, contents: Mapping[str, Mapping[str, int]], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Atomic number of every atom of placed bodies."""
    if placed.body.is_rigid:
        return np.tile([atomic_numbers[element] for (element,) in placed.body.elements], len(placed))
    counts = contents[placed.body.name]
    filled = np.repeat([atomic_numbers[element] for element in counts], list(counts.values()))
    return rng.permutation(np.concatenate([filled, np.full(len(placed) - len(filled), EMPTY)]))
