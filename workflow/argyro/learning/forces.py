"""Forces of potentials beside labels, atom by atom, by what was labelled and whether the potential was fitted to it."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from ase import Atoms

import mtpcore
from mtpcore.configuration import Configuration

SEED, CONTACT, OTHER = "seed", "pushed together", "ready label"


def kind_of(atoms: Atoms, kinds: Mapping[str, str]) -> str:
    """What a labelled structure is of.

    Args:
        atoms: With what made it in ``info``.
        kinds: Of target structures, by name.

    Returns:
        ``seed``, ``pushed together``, what the target structure is that a cell was carved from, or ``ready label``.
    """
    if atoms.info.get("structure") in kinds:
        return f"carved from {kinds[atoms.info['structure']]}" if "carve_center" in atoms.info else "whole structure"
    if "seed_index" not in atoms.info:
        return OTHER
    return CONTACT if atoms.info.get("contact", False) else SEED


def all_structures(training: Sequence[Atoms], seeds: Sequence[Atoms]) -> list[Atoms]:
    """A training set, then the seeds that were held out of it."""
    known = identities(training)
    return [*training, *(atoms for atoms in seeds if not identities([atoms]) <= known)]


def identities(structures: Iterable[Atoms]) -> set[bytes]:
    """What tells structures apart: where their atoms are."""
    return {atoms.get_positions().tobytes() for atoms in structures}


def force_table(
    potential: mtpcore.Potential,
    structures: Sequence[Atoms],
    fitted: set[bytes],
    species: Sequence[str],
    kinds: Mapping[str, str],
) -> pd.DataFrame:
    """A row for each force component of each atom.

    Args:
        potential: What computes forces.
        structures: With labels.
        fitted: Identities of those that it was fitted to.
        species: Elements in the order of its species.
        kinds: Of target structures, by name.

    Returns:
        Number of the structure, its kind and whether it was fitted to, element and axis, label and force, eV/angstrom.
    """
    engine = mtpcore.Engine(potential, threads=1)
    parts = []
    for number, atoms in enumerate(structures):
        configuration = Configuration.from_atoms(atoms, species)
        found = engine.evaluate(configuration.types, configuration.positions, atoms.cell.array, (True, True, True))
        columns = {
            "element": np.repeat(atoms.get_chemical_symbols(), 3),
            "axis": np.tile(list("xyz"), len(atoms)),
            "label_eV_per_angstrom": atoms.arrays["REF_forces"].ravel(),
            "force_eV_per_angstrom": found.forces.ravel(),
        }
        is_fitted = identities([atoms]) <= fitted
        parts.append(pd.DataFrame(columns).assign(structure=number, kind=kind_of(atoms, kinds), fitted=is_fitted))
    return pd.concat(parts, ignore_index=True)
