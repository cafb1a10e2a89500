"""Random potentials and structures shared by the tests; everything follows from its seed."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mtpcore.levels import contraction_tables

if TYPE_CHECKING:
    from motep.potentials.mtp.data import MTPData

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int32]

LI6PS5CL_NUMBERS = (3, 15, 16, 17)


class Structure(NamedTuple):
    """One structure as the engines take it.

    Attributes:
        types: Species index of each atom, shape (N,).
        positions: Cartesian positions, shape (N, 3), angstrom.
        cell: Lattice vectors in rows, shape (3, 3), angstrom.
        pbc: Which lattice vectors are periodic.
    """

    types: IntArray
    positions: FloatArray
    cell: FloatArray
    pbc: tuple[bool, bool, bool]


def random_potential_fields(
    level: int,
    species_count: int,
    seed: int,
    cutoff: float = 5.0,
    min_dist: float = 1.5,
    *,
    radial_basis_size: int = 8,
) -> dict[str, Any]:
    """All attributes of a potential with random coefficients of a sane size."""
    rng = np.random.default_rng(seed)
    tables = contraction_tables(level)
    scalar_count = len(tables.alpha_moment_mapping)
    shape = (species_count, species_count, tables.radial_funcs_count, radial_basis_size)
    return {
        "species_count": species_count,
        "scaling": 0.08,
        "min_dist": min_dist,
        "max_dist": cutoff,
        "radial_basis_size": radial_basis_size,
        "radial_funcs_count": tables.radial_funcs_count,
        "radial_coeffs": rng.normal(scale=0.1, size=shape) / np.arange(1, radial_basis_size + 1),
        "alpha_index_basic": tables.alpha_index_basic,
        "alpha_index_times": tables.alpha_index_times,
        "alpha_moment_mapping": tables.alpha_moment_mapping,
        "alpha_moments_count": tables.alpha_moments_count,
        "species_coeffs": rng.normal(size=species_count),
        "moment_coeffs": rng.normal(size=scalar_count),
    }


def random_potential(level: int, species_count: int, seed: int, **options: Any) -> Any:
    """The same as an object with attributes."""
    return SimpleNamespace(**random_potential_fields(level, species_count, seed, **options))


def random_cell(
    atom_count: int,
    species_count: int,
    seed: int,
    *,
    pbc: tuple[bool, bool, bool] = (True, True, True),
    volume_per_atom: float = 18.0,
    separation: float = 1.7,
    skew: float = 0.2,
) -> Structure:
    """Random atoms, none closer than ``separation`` angstrom, in a skewed (triclinic) cell.

    Every species occurs where there are atoms enough.
    """
    rng = np.random.default_rng(seed)
    cell = np.eye(3) + skew * rng.uniform(-1.0, 1.0, (3, 3))
    cell *= (atom_count * volume_per_atom / abs(np.linalg.det(cell))) ** (1 / 3)
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3) @ cell
    positions = np.empty((0, 3))
    for _ in range(1000 * atom_count):
        if len(positions) == atom_count:
            break
        trial = rng.uniform(size=3) @ cell
        others = (positions[:, None] + images).reshape(-1, 3)
        if np.all(np.linalg.norm(others - trial, axis=1) > separation):
            positions = np.vstack([positions, trial])
    assert len(positions) == atom_count, "no room for atoms this far apart"
    types = rng.permutation(np.arange(atom_count) % species_count).astype(np.int32)
    return Structure(types, positions, cell, pbc)


def _li6ps5cl_fractional(rng: np.random.Generator) -> tuple[list[str], FloatArray]:
    """Symbols and fractional positions of the cubic cell (F-43m, 52 atoms)."""
    tetrahedron = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    octahedron = np.vstack([np.eye(3), -np.eye(3)])
    centring = 0.5 * np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]])
    # Each 24g site has two 48h sites beside it, across the cage's axis; one of them is filled.
    lithium = []
    for axis in octahedron:
        across = np.where(axis == 0, 1.0, 0.0)
        across[np.flatnonzero(across)[0]] *= -axis.sum()
        lithium.append(0.25 + 0.226 * axis + 0.067 * rng.choice([-1, 1]) * across)
    groups = {
        "Li": np.array(lithium),
        "P": np.full((1, 3), 0.5),
        "S": np.vstack([0.118 * tetrahedron + 0.5, np.full((1, 3), 0.25)]),
        "Cl": np.zeros((1, 3)),
    }
    symbols: list[str] = []
    sites = []
    for symbol, motif in groups.items():
        sites.append((motif[:, None] + centring).reshape(-1, 3))
        symbols += [symbol] * len(sites[-1])
    return symbols, np.vstack(sites)


def li6ps5cl_cell(a: float = 9.86, repeat: int = 1, rattle: float = 0.1, seed: int = 0) -> Any:
    """Ordered Li6PS5Cl, 52 atoms times ``repeat`` cubed, positions rattled by ``rattle`` angstrom.

    Source: H.-J. Deiseroth et al., Angew. Chem. Int. Ed. 47, 755 (2008): Cl on 4a, P on 4b, S on 4c
        and 16e (u = 0.618), Li on one of each pair of 48h.
    """
    from ase import Atoms  # noqa: PLC0415  optional dependency

    rng = np.random.default_rng(seed)
    symbols, fractional = _li6ps5cl_fractional(rng)
    cell: Any = Atoms(symbols, scaled_positions=fractional, cell=[a] * 3, pbc=True)
    atoms = cell.repeat(repeat)
    atoms.positions += rng.normal(scale=rattle, size=atoms.positions.shape)
    atoms.wrap()
    return atoms


def to_structure(atoms: Any, species_numbers: Sequence[int]) -> Structure:
    """What an engine takes, from ASE's atoms (``ase.Atoms`` is only partly typed)."""
    types = np.array([list(species_numbers).index(n) for n in atoms.numbers], dtype=np.int32)
    periodic = (bool(atoms.pbc[0]), bool(atoms.pbc[1]), bool(atoms.pbc[2]))
    return Structure(types, atoms.get_positions(), np.array(atoms.cell), periodic)


def to_atoms(structure: Structure, species_numbers: Sequence[int]) -> Any:
    """ASE's atoms of a structure."""
    from ase import Atoms  # noqa: PLC0415  optional dependency

    numbers = [species_numbers[t] for t in structure.types]
    return Atoms(numbers, structure.positions, cell=structure.cell, pbc=structure.pbc)


def to_motep(fields: Mapping[str, Any], species_numbers: Sequence[int]) -> "MTPData":
    """The same potential as motep's data."""
    from motep.potentials.mtp.data import BasisData, MTPData  # noqa: PLC0415  test oracle

    names = (
        "scaling",
        "species_count",
        "radial_funcs_count",
        "alpha_moments_count",
        "alpha_index_basic",
        "alpha_index_times",
        "alpha_moment_mapping",
    )
    data = MTPData(version="1.1.0", **{name: fields[name] for name in names})
    data.radial_basis = BasisData(
        type="RBChebyshev",
        min=np.float64(fields["min_dist"]),
        max=np.float64(fields["max_dist"]),
        size=np.int32(fields["radial_basis_size"]),
    )
    data.alpha_index_basic_count = len(fields["alpha_index_basic"])
    data.alpha_index_times_count = len(fields["alpha_index_times"])
    data.alpha_scalar_moments = len(fields["alpha_moment_mapping"])
    data.species = np.array(species_numbers, dtype=np.int32)
    for name in ("radial_coeffs", "species_coeffs", "moment_coeffs"):
        setattr(data, name, np.array(fields[name]))
    return data
