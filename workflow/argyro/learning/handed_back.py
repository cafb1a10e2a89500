"""Structures that runs of an earlier campaign, or of the user's own, met and that a potential is to know."""

from collections.abc import Collection, Sequence
from pathlib import Path

from ase import Atoms

from argyro.common.extxyz import read_structures

from .decide import LearningError

NO_SAMPLER = -1


def handed_back(files: Sequence[Path], species: Collection[str], materials: Collection[str]) -> list[Atoms]:
    """Those of a chemical system, as snapshots of a round.

    Args:
        files: Structures (extended XYZ), as `argyro.dynamics` collects them; files without any may be empty.
        species: Elements of the system; structures of others are left out.
        materials: Names of its materials.

    Raises:
        LearningError: a structure does not say which of the materials it is of.
    """
    found = []
    for file in files:
        if not file.stat().st_size:
            continue
        for number, atoms in enumerate(read_structures(file)):
            if set(atoms.symbols) != set(species):
                continue
            material = str(atoms.info.get("material", ""))
            if material not in materials:
                raise LearningError(
                    f"structure {number} of {file} is of the material '{material}'; it has to name one of "
                    f"{', '.join(sorted(materials))} (material=... in its second line)"
                )
            missing = {"structure": file.stem, "temperature_K": 0.0, "step": number} | atoms.info
            atoms.info = missing | {"sampler": NO_SAMPLER}
            found.append(atoms)
    return found
