"""How samplers fared, apart from what runs them: most jobs only read it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from argyro.common.extxyz import read_structures

from .samplers import Sampler

BROKEN = ("grade", "temperature", "burst")
"""States of a run that left what the potential knows."""


@dataclass(frozen=True)
class Exploration:
    """How one sampler fared.

    Attributes:
        sampler: Which one.
        status: ``finished``, or ``enough``; ``grade``, ``temperature`` or ``burst`` if it left what the potential
            knows.
        reason: The same in words.
        time: How long it ran, ps.
        largest_grade: Met.
        found: Snapshots above the select grade.
        handed_on: How many of them are handed on.
        atoms: Of its structure.
        seconds: Wall-clock time.
    """

    sampler: Sampler
    status: str
    reason: str
    time: float
    largest_grade: float
    found: int
    handed_on: int
    atoms: int
    seconds: float

    @property
    def broke(self) -> bool:
        """Whether the run left what the potential knows."""
        return self.status in BROKEN

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it, with ``broke``."""
        return asdict(self) | {"broke": self.broke}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Exploration":
        """From what `as_dict` gave."""
        own = {name: value for name, value in content.items() if name != "broke"}
        return cls(**own | {"sampler": Sampler(**content["sampler"])})


def read_snapshots(files: Iterable[Path]) -> list[Atoms]:
    """Snapshots that samplers handed on; a file of samplers that met nothing is empty."""
    return [snapshot for file in files if file.stat().st_size for snapshot in read_structures(file)]
