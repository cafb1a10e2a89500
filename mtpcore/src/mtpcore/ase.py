"""ASE calculator."""

import os
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import atomic_numbers
from ase.stress import full_3x3_to_voigt_6_stress

from .engine import Engine
from .errors import CloseContactWarning, UnknownSpeciesError
from .potential import Potential, read_potential


class MTP(Calculator):  # type: ignore[misc]  # ase ships no types
    """Moment tensor potential as an ASE calculator.

    Args:
        potential: A potential or the path of an ``.mtp`` or ``.almtp`` file.
        species: Element symbols in the order of the file's species, such as ["Li", "P", "S", "Cl"]: the files hold no
            element names.
        threads: Threads over atoms.

    Results are energy, energies, forces and, for periodic cells, stress; with an active set also ``grades`` on request:
    ``calculator.grades(atoms)``.

    Raises:
        UnknownSpeciesError: atoms of an element that ``species`` lacks, or a wrong number of species.
        InvalidStructureError: the structure cannot be evaluated.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "energies", "forces", "stress"]

    def __init__(
        self,
        potential: Potential | str | os.PathLike[str],
        species: Sequence[str],
        *,
        threads: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not isinstance(potential, Potential):
            potential = read_potential(potential)
        if len(species) != potential.species_count or len(set(species)) != len(species):
            raise UnknownSpeciesError(
                f"species must name the potential's {potential.species_count} species once each, not {list(species)}"
            )
        self.species = list(species)
        self.engine = Engine(potential, threads=threads)
        self._type_of_number = {atomic_numbers[symbol]: index for index, symbol in enumerate(species)}

    def types(self, atoms: Atoms) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        """Species index of every atom, shape (N,)."""
        try:
            types = [self._type_of_number[number] for number in atoms.numbers]
        except KeyError:
            unknown = sorted(set(atoms.get_chemical_symbols()) - set(self.species))
            raise UnknownSpeciesError(f"the potential knows {self.species}, not {unknown}") from None
        return np.array(types, dtype=np.int32)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Evaluate; ASE's entry point."""
        super().calculate(atoms, properties, system_changes)
        result = self.engine.evaluate(
            self.types(self.atoms), self.atoms.positions, np.asarray(self.atoms.cell), self.atoms.pbc
        )
        if result.close_pairs:
            i, j, distance = min(result.close_pairs, key=lambda pair: pair[2])
            warnings.warn(
                f"{len(result.close_pairs)} pairs are closer than min_dist {self.engine.potential.min_dist:.3f} angstrom, "
                f"the closest are atoms {i} and {j} at {distance:.3f} angstrom",
                CloseContactWarning,
                stacklevel=2,
            )
        self.results = {
            "energy": result.energy,
            "free_energy": result.energy,
            "energies": result.site_energies,
            "forces": result.forces,
        }
        if self.atoms.cell.rank == 3 and self.atoms.pbc.all():  # noqa: PLR2004  three dimensions
            stress = -result.virial / self.atoms.get_volume()
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)

    def grades(self, atoms: Atoms) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Extrapolation grade of every atom's neighbourhood, shape (N,)."""
        return self.engine.grades(self.types(atoms), atoms.positions, np.asarray(atoms.cell), atoms.pbc)
