"""The training set, and how well a potential does on it and on structures it never saw."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms

import mtpcore
from argyro.config.learning import Rung
from mtpcore.configuration import Configuration

from .selection import quantiles


@dataclass(frozen=True)
class Errors:
    """Root-mean-square errors of a potential.

    Attributes:
        energy_eV_per_atom: Of energies per atom; None where there is no structure.
        force_eV_per_angstrom: Of components of forces; None where there is no structure.
        structures: How many there are.
    """

    energy_eV_per_atom: float | None
    force_eV_per_angstrom: float | None
    structures: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


@dataclass(frozen=True)
class CenterGrades:
    """Grades, after a fit, of the environments that cells of the round were carved around.

    Attributes:
        count: How many there are.
        largest: Of them; 0 if there are none.
        above_select: How many are still above the select grade.
    """

    count: int
    largest: float
    above_select: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def seeds_of_system(seeds: Sequence[Atoms], species: Sequence[str]) -> list[Atoms]:
    """Labelled structures of exactly these elements: files of ready labels may hold other chemical systems too."""
    return [atoms for atoms in seeds if set(atoms.get_chemical_symbols()) == set(species)]


def split_seeds(seeds: Sequence[Atoms], fraction: float, seed: int) -> tuple[list[Atoms], list[Atoms]]:
    """Seeds to fit to, and those held out; which ones is random.

    Seeds with a contact are all fitted to: each is the only one of its kind, and an error there says nothing of others.

    Args:
        seeds: Labelled structures.
        fraction: Part that is held out.
        seed: Of the choice.
    """
    plain = [index for index, atoms in enumerate(seeds) if not atoms.info.get("contact", False)]
    chosen = set(np.random.default_rng(seed).permutation(plain)[: int(fraction * len(plain))].tolist())
    return (
        [atoms for index, atoms in enumerate(seeds) if index not in chosen],
        [atoms for index, atoms in enumerate(seeds) if index in chosen],
    )


def errors_on(potential: mtpcore.Potential, structures: Sequence[Atoms], species: Sequence[str]) -> Errors:
    """Errors of a potential on labelled structures."""
    if not structures:
        return Errors(None, None, 0)
    engine = mtpcore.Engine(potential, threads=1)
    energies, forces = [], []
    for atoms in structures:
        configuration = Configuration.from_atoms(atoms, species)
        found = engine.evaluate(configuration.types, configuration.positions, atoms.cell.array, (True, True, True))
        energies.append((found.energy - atoms.info["REF_energy"]) / len(atoms))
        forces.append((found.forces - atoms.arrays["REF_forces"]).ravel())
    return Errors(_rms(np.array(energies)), _rms(np.concatenate(forces)), len(structures))


def center_grades(
    potential: mtpcore.Potential, added: Sequence[Atoms], species: Sequence[str], rung: Rung
) -> CenterGrades:
    """How the potential grades the environments it was just taught; in global mode, the structures."""
    grades = []
    for atoms, values in zip(added, mtpcore.grade(potential, added, species=species, threads=1), strict=True):
        grades.append(float(values[atoms.info["carve_center"]] if len(values) == len(atoms) else values.max()))
    above = sum(grade > rung.select_grade for grade in grades)
    return CenterGrades(len(grades), max(grades, default=0.0), above)


def snapshot_grades(
    potential: mtpcore.Potential, snapshots: Sequence[Atoms], species: Sequence[str]
) -> list[float] | None:
    """How the potential grades what was met by the one before: quantiles as in `Selection`; None without snapshots.

    Most snapshots were not labelled, nor the atoms around those that were: this says what a round taught beyond them.
    """
    return quantiles(mtpcore.grade(potential, snapshots, species=species, threads=1)) if snapshots else None


def _rms(values: Any) -> float:
    return float(np.sqrt(np.mean(values**2)))
