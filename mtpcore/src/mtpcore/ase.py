"""ASE calculator."""

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import atomic_numbers

from .engine import Engine
from .errors import CloseContactWarning, UnknownSpeciesError
from .potential import Potential, read_potential


class MTP(Calculator):
    """Moment tensor potential as an ASE calculator.

    Args:
        potential: A potential or the path of an ``.mtp`` or ``.almtp`` file.
        species: Element symbols in the order of the file's species, such as
            ["Li", "P", "S", "Cl"]: the files hold no element names.
        threads: Threads over atoms.

    Results are energy, energies, forces and, for periodic cells, stress; with an active set also
    ``grades`` on request: ``calculator.grades(atoms)``. Pairs closer than the potential's min_dist
    give a :class:`CloseContactWarning`.

    Raises:
        UnknownSpeciesError: atoms of an element that ``species`` lacks, a wrong number of species,
            or a symbol that names no element.
        InvalidStructureError: the structure cannot be evaluated.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012  as in ASE

    def __init__(
        self,
        potential: Potential | str | os.PathLike[str],
        species: Sequence[str],
        *,
        threads: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        if not isinstance(potential, Potential):
            potential = read_potential(potential)
        known = all(symbol in atomic_numbers for symbol in species)
        if not known or not len(set(species)) == len(species) == potential.species_count:
            raise UnknownSpeciesError(
                f"species must name {potential.species_count} different elements, "
                f"one for each species of the potential, not {list(species)}"
            )
        self.species = list(species)
        self.engine = Engine(potential, threads=threads)
        self._type_of_number = {atomic_numbers[symbol]: index for index, symbol in enumerate(species)}

    def types(self, atoms: Any) -> npt.NDArray[np.int32]:
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
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        structure: Any = self.atoms
        result = self.engine.evaluate(*self._arguments(structure))
        if result.close_pairs:
            i, j, distance = min(result.close_pairs, key=lambda pair: pair[2])
            warnings.warn(
                f"pairs closer than min_dist {self.engine.potential.min_dist:.3f} angstrom: "
                f"{len(result.close_pairs)}; the closest are atoms {i} and {j} "
                f"at {distance:.3f} angstrom",
                CloseContactWarning,
                stacklevel=2,
            )
        self.results = {
            "energy": result.energy,
            "free_energy": result.energy,
            "energies": result.site_energies,
            "forces": result.forces,
        }
        if structure.cell.rank == 3 and structure.pbc.all():  # noqa: PLR2004  three dimensions
            stress = -result.virial / structure.get_volume()
            self.results["stress"] = stress.ravel()[[0, 4, 8, 5, 2, 1]]

    def grades(self, atoms: Atoms) -> npt.NDArray[np.float64]:
        """Extrapolation grade of every atom's neighbourhood, shape (N,)."""
        return self.engine.grades(*self._arguments(atoms))

    def _arguments(self, atoms: Any) -> tuple[Any, Any, Any, Any]:
        """The structure as the engine takes it."""
        return self.types(atoms), atoms.positions, np.asarray(atoms.cell), atoms.pbc
