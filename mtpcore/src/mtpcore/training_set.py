"""Labelled configurations as a fit needs them: checked, flattened, neighbours found once."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import _core
from .configuration import Configuration
from .errors import TrainingSetError, UnknownSpeciesError
from .potential import Potential

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int32]

MAX_NAMED = 5  # offenders named in an error; the rest is counted
WEIGHT = "fit_weight"  # feature of a configuration: a factor of its part of the loss


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """C labelled configurations of N atoms in all.

    Attributes:
        dataset: Neighbourhoods for the core.
        counts: Atoms of every species, shape (C, S).
        energies: Shape (C,), eV.
        forces: Shape (N, 3), eV/angstrom.
        virials: -dE/d(strain) in the order xx yy zz yz xz xy, shape (C, 6), eV; zero where unlabelled.
        has_virial: Which configurations have a stress label, shape (C,).
        weights: Factor of every configuration's part of the loss, shape (C,).
        fingerprint: Hash of all structures and labels.
    """

    dataset: _core.Dataset
    counts: FloatArray
    energies: FloatArray
    forces: FloatArray
    virials: FloatArray
    has_virial: npt.NDArray[np.bool_]
    weights: FloatArray
    fingerprint: str

    @property
    def atom_counts(self) -> FloatArray:
        """Atoms of every configuration, shape (C,)."""
        return self.counts.sum(axis=1)

    @property
    def offsets(self) -> IntArray:
        """First atom of every configuration and the total, shape (C + 1,)."""
        return np.concatenate([[0], np.cumsum(self.atom_counts)]).astype(np.int32)


def make_training_set(configurations: Sequence[Configuration], potential: Potential) -> TrainingSet:
    """Check labels and find neighbours.

    Args:
        configurations: Each with energy and forces; stress where known; a feature ``level_of_theory`` where known, and
            a feature ``fit_weight`` where it is to count for more or less than others.
        potential: Gives cutoff, min_dist and number of species.

    Raises:
        TrainingSetError: no configurations, missing or non-finite labels, weights that are no positive numbers, mixed
            levels of theory, or pairs closer than min_dist; names the configurations.
        UnknownSpeciesError: a species the potential lacks.
        InvalidStructureError: a structure cannot be evaluated.
    """
    if not configurations:
        raise TrainingSetError("the training set is empty")
    _check_labels(configurations)
    _check_level_of_theory(configurations)
    _check_species(configurations, potential.species_count)
    weights = _weights(configurations)
    dataset = _core.Dataset(potential.max_dist)
    _add_structures(dataset, configurations, potential)
    species = potential.species_count
    return TrainingSet(
        dataset=dataset,
        counts=np.array([np.bincount(c.types, minlength=species) for c in configurations], dtype=np.float64),
        energies=np.array([c.energy for c in configurations], dtype=np.float64),
        forces=np.concatenate([c.forces for c in configurations if c.forces is not None]),
        virials=np.array([np.zeros(6) if c.plus_stress is None else c.plus_stress for c in configurations]),
        has_virial=np.array([c.plus_stress is not None for c in configurations]),
        weights=weights,
        fingerprint=_fingerprint(configurations, weights),
    )


def _named(indices: Sequence[int]) -> str:
    """'configurations 1, 4, 7 and 12 more'."""
    shown = ", ".join(str(index) for index in indices[:MAX_NAMED])
    rest = len(indices) - MAX_NAMED
    return f"configuration{'s' if len(indices) > 1 else ''} {shown}" + (f" and {rest} more" if rest > 0 else "")


def _check_labels(configurations: Sequence[Configuration]) -> None:
    for what, missing in (
        ("an energy", [i for i, c in enumerate(configurations) if c.energy is None]),
        ("forces", [i for i, c in enumerate(configurations) if c.forces is None]),
    ):
        if missing:
            raise TrainingSetError(f"{_named(missing)} (counted from 0) without {what}: label or drop them")
    broken = [i for i, c in enumerate(configurations) if not _finite(c)]
    if broken:
        raise TrainingSetError(f"{_named(broken)} (counted from 0) with labels that are NaN or infinite")


def _finite(configuration: Configuration) -> bool:
    labels = (configuration.energy, configuration.forces, configuration.plus_stress)
    return all(np.isfinite(label).all() for label in labels if label is not None)


def _check_level_of_theory(configurations: Sequence[Configuration]) -> None:
    levels: dict[str, int] = {}
    for index, configuration in enumerate(configurations):
        levels.setdefault(configuration.features.get("level_of_theory", "unknown"), index)
    if len(levels) > 1:
        found = ", ".join(f"{level!r} (configuration {index})" for level, index in levels.items())
        raise TrainingSetError(f"levels of theory are mixed: {found}; their energies do not compare, keep one of them")


def _weights(configurations: Sequence[Configuration]) -> FloatArray:
    weights = np.array([_weight(c.features.get(WEIGHT, "1")) for c in configurations])
    wrong = [index for index, weight in enumerate(weights) if not 0.0 < weight < np.inf]
    if wrong:
        raise TrainingSetError(f"{_named(wrong)} (counted from 0) with a {WEIGHT} that is no positive number")
    return weights


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _check_species(configurations: Sequence[Configuration], species_count: int) -> None:
    unknown = [i for i, c in enumerate(configurations) if c.types.max() >= species_count]
    if unknown:
        raise UnknownSpeciesError(f"{_named(unknown)} with a species beyond the potential's {species_count}")


def _add_structures(dataset: _core.Dataset, configurations: Sequence[Configuration], potential: Potential) -> None:
    close = []
    for index, c in enumerate(configurations):
        periodic = [c.cell is not None] * 3
        cell = np.zeros((3, 3)) if c.cell is None else np.ascontiguousarray(c.cell)
        pairs = dataset.add(c.types, np.ascontiguousarray(c.positions), cell, periodic, potential.species_count,
                            potential.min_dist)  # fmt: skip
        if pairs:
            i, j, distance = min(pairs, key=lambda pair: pair[2])
            close.append(f"{index} (atoms {i} and {j}: {distance:.3f} angstrom)")
    if close:
        shown = ", ".join(close[:MAX_NAMED]) + (f" and {len(close) - MAX_NAMED} more" if len(close) > MAX_NAMED else "")
        raise TrainingSetError(
            f"pairs closer than min_dist {potential.min_dist} angstrom in configurations {shown}: "
            "drop them or lower min_dist"
        )


def _fingerprint(configurations: Sequence[Configuration], weights: FloatArray) -> str:
    digest = hashlib.sha256(weights.tobytes())
    for c in configurations:
        for array in (c.types, c.positions, c.cell, c.energy, c.forces, c.plus_stress):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
