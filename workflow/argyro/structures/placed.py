"""Bodies and sites of crystals, placed in grains."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .crystal import Body
from .neighbours import FloatArray, IntArray

type BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PlacedBodies:
    """Bodies of one kind in grains.

    Attributes:
        body: What they are.
        positions: Of their B atoms, shape (M, B, 3), angstrom.
        grain: Index of the grain of each, shape (M,).
        depth: How far the anchor of each is inside its grain, shape (M,), angstrom; negative outside.
    """

    body: Body
    positions: FloatArray
    grain: IntArray
    depth: FloatArray

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, chosen: IntArray | BoolArray) -> "PlacedBodies":
        return PlacedBodies(self.body, self.positions[chosen], self.grain[chosen], self.depth[chosen])


@dataclass(frozen=True, eq=False)
class PlacedSites:
    """Sites of the mobile ion in grains.

    Attributes:
        positions: Shape (M, 3), angstrom.
        grain: Index of the grain of each, shape (M,).
        depth: How far each is inside its grain, shape (M,), angstrom; negative outside.
        filled: Whether each would be filled in the bulk, shape (M,).
    """

    positions: FloatArray
    grain: IntArray
    depth: FloatArray
    filled: BoolArray

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, chosen: IntArray | BoolArray) -> "PlacedSites":
        return PlacedSites(self.positions[chosen], self.grain[chosen], self.depth[chosen], self.filled[chosen])


def join_bodies(parts: Sequence[PlacedBodies]) -> PlacedBodies:
    """Bodies of one kind in several grains, one grain after the other."""
    return PlacedBodies(
        parts[0].body,
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.grain for part in parts]),
        np.concatenate([part.depth for part in parts]),
    )


def join_sites(parts: Sequence[PlacedSites]) -> PlacedSites:
    """Sites in several grains, one grain after the other."""
    return PlacedSites(
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.grain for part in parts]),
        np.concatenate([part.depth for part in parts]),
        np.concatenate([part.filled for part in parts]),
    )
