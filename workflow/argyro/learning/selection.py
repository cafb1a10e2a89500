"""Selecting: which environments, of all that the samplers met, the training set lacks most."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

import mtpcore
from argyro.config.learning import Mode, Rung

from .surroundings import FloatArray, IntArray

QUANTILES = (0.5, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class Environment:
    """An atom's surroundings in a snapshot; in global mode the whole snapshot.

    Attributes:
        snapshot: Index of the snapshot.
        atom: Index of the atom; -1 in global mode.
        grade: By the active set of the training data.
    """

    snapshot: int
    atom: int
    grade: float


@dataclass(frozen=True, eq=False)
class Selection:
    """What was selected.

    Attributes:
        environments: Those in the active set of training data and snapshots together whose grade was above the select
            grade; highest grades first.
        grades_before: Of all environments in the snapshots by the active set of the training data, quantiles 0.5, 0.95,
            0.99 and 1.
    """

    environments: list[Environment]
    grades_before: list[float]

    def summary(self) -> dict[str, Any]:
        """As JSON holds it, without the single environments."""
        return {
            "selected": len(self.environments),
            "largest_grade": self.largest_grade,
            "grades_before": self.grades_before,
        }

    @property
    def largest_grade(self) -> float:
        """Of what was selected; 0 if nothing was."""
        return max((environment.grade for environment in self.environments), default=0.0)


def select_environments(
    potential: mtpcore.Potential,
    training: Sequence[Atoms],
    snapshots: Sequence[Atoms],
    species: Sequence[str],
    *,
    rung: Rung,
    mode: Mode,
) -> Selection:
    """Select by MaxVol.

    Args:
        potential: With the active set of the training data.
        training: What it was fitted to.
        snapshots: What the samplers met.
        species: Elements in the order of the potential's species.
        rung: Thresholds.
        mode: ``local`` for single environments, ``global`` for whole snapshots.
    """
    if not snapshots:
        return Selection([], [])
    result = mtpcore.select_add(potential, training, snapshots, threshold=rung.select_grade, species=species, threads=1)
    environments = [
        Environment(snapshot, int(atom) if mode == "local" else -1, float(grade))
        for snapshot, atoms in zip(result.selected, result.atoms, strict=True)
        for atom, grade in _graded(result.grades_before[snapshot], atoms, mode)
        if grade > rung.select_grade
    ]
    environments.sort(key=lambda environment: (-environment.grade, environment.snapshot, environment.atom))
    return Selection(environments, quantiles(result.grades_before))


def quantiles(grades: Sequence[FloatArray]) -> list[float]:
    """Quantiles 0.5, 0.95, 0.99 and 1 of the grades of several structures."""
    return [float(value) for value in np.quantile(np.concatenate(list(grades)), QUANTILES)]


def _graded(grades: FloatArray, atoms: IntArray, mode: Mode) -> list[tuple[int, float]]:
    """Selected atoms with their grades; in global mode the one grade of the snapshot."""
    if mode == "global":
        return [(-1, float(grades[0]))]
    return [(int(atom), float(grades[atom])) for atom in atoms]
