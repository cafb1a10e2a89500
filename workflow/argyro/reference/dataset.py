"""Label sets of one chemical system: put together, split, and made small enough to be committed."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms

DIGITS = {"REF_energy": 6, "REF_forces": 5, "REF_stress": 8}
"""Decimals of shipped labels in eV, eV/angstrom and eV/angstrom^3: beyond what self-consistency gives, or a foundation
model in single precision."""
DROPPED = ("rung", "time_s", "scf_steps")
"""What the store says of a calculation and a shipped set does not repeat for each structure."""


def shipped(generations: Mapping[int, Sequence[Atoms]]) -> list[Atoms]:
    """Labels of all generations as they are committed.

    Args:
        generations: Labelled structures of each, by its number.

    Returns:
        Copies with labels of few digits and ``generation`` in ``info``; of those that had one, chosen from a set that
        was put together before, it stays what it was.
    """
    return [_small(atoms, generation) for generation, labelled in generations.items() for atoms in labelled]


def _small(atoms: Atoms, generation: int) -> Atoms:
    copy = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    copy.info.update({key: value for key, value in atoms.info.items() if key not in DROPPED})
    copy.info.setdefault("generation", generation)
    copy.info["REF_energy"] = round(float(atoms.info["REF_energy"]), DIGITS["REF_energy"])
    copy.info["REF_stress"] = np.asarray(atoms.info["REF_stress"], dtype=float).round(DIGITS["REF_stress"])
    copy.set_array("REF_forces", np.asarray(atoms.arrays["REF_forces"], dtype=float).round(DIGITS["REF_forces"]))
    return copy


def split(labelled: Sequence[Atoms], holdout_fraction: float) -> tuple[list[Atoms], list[Atoms]]:
    """Training and hold-out labels.

    What comes from one run, or was made from its frames, is on one side. Which side does not change when labels of more
    runs are added.

    Args:
        labelled: With ``source`` and ``generation`` in ``info``.
        holdout_fraction: Part of the sources that is held out.
    """
    held = [_draw(source_of(atoms)) < holdout_fraction for atoms in labelled]
    training = [atoms for atoms, out in zip(labelled, held, strict=True) if not out]
    return training, [atoms for atoms, out in zip(labelled, held, strict=True) if out]


def source_of(atoms: Atoms) -> str:
    """What a structure shares with all that come from the same run, or were made from its frames."""
    return f"{atoms.info['generation']} {atoms.info['source']}"


def _draw(name: str) -> float:
    """A number from 0 to 1 that depends on the name only."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64
