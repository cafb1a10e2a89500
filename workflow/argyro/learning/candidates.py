"""Candidates: structures to be labelled, made from what was selected."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ase import Atoms
from matscipy.neighbours import neighbour_list

from argyro.config.learning import LearningConfig
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits

from .boundary import training_cell
from .carve import CarveRejectedError
from .selection import Environment

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rejection:
    """An environment that no training cell could be made of; in global mode a snapshot that cannot be fitted to.

    Attributes:
        environment: Which.
        reason: In a word, to be counted.
        message: With numbers.
    """

    environment: Environment
    reason: str
    message: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def make_candidates(
    environments: Sequence[Environment],
    snapshots: Sequence[Atoms],
    *,
    materials: Mapping[str, Material],
    settings: LearningConfig,
    limits: DistanceLimits,
    calculator: Any,
    most: int,
) -> tuple[list[Atoms], list[Rejection]]:
    """Structures to be labelled, from the first environments that give one.

    Args:
        environments: In the order of their worth.
        snapshots: Where they are.
        materials: By name.
        settings: Mode, and how cells are carved.
        limits: How close atoms may come.
        calculator: Of the current potential, for the boundaries of carved cells.
        most: How many are enough.

    Returns:
        Structures, with the snapshot's structure, sampler, temperature and step, and the grade, in ``info``; carved
        ones with ``carve_center``, the index of the center. And what was rejected on the way.
    """
    made: list[Atoms] = []
    rejected: list[Rejection] = []
    for environment in environments:
        if len(made) >= most:
            break
        snapshot = snapshots[environment.snapshot]
        if environment.atom < 0:
            closest = settings.fit.min_dist_angstrom
            if len(distances := neighbour_list("d", snapshot, closest)):
                message = (
                    f"atoms {distances.min():.3f} angstrom apart, below learning.fit.min_dist_angstrom {closest:g}"
                )
                rejected.append(Rejection(environment, "distance", message))
                continue
            made.append(_with_origin(snapshot.copy(), environment, snapshot))
            continue
        material = materials[str(snapshot.info["material"])]
        try:
            cell = training_cell(
                snapshot, environment.atom, material, settings.carving, settings.boundary, limits, calculator
            )
        except CarveRejectedError as error:
            logger.info("rejected: %s", error)
            rejected.append(Rejection(environment, error.reason, str(error)))
            continue
        cell.atoms.info["carve_center"] = cell.center
        made.append(_with_origin(cell.atoms, environment, snapshot))
    return made, rejected


def _with_origin(atoms: Atoms, environment: Environment, snapshot: Atoms) -> Atoms:
    """A candidate that says where it is from."""
    origin = {name: snapshot.info[name] for name in ("structure", "material", "sampler", "temperature_K", "step")}
    atoms.info = {key: value for key, value in atoms.info.items() if key.startswith("carve_")} | origin
    atoms.info["grade"] = environment.grade
    for name in [name for name in atoms.arrays if name not in {"numbers", "positions", "carved_core"}]:
        del atoms.arrays[name]
    return atoms
