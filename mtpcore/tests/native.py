"""Potentials of the native engine made for tests, and numerical derivatives to check them with."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from helpers import Structure, random_cell, random_potential_fields

from mtpcore import (
    ActiveSet,
    Engine,
    FitSettings,
    Potential,
    fit,
    new_potential,
    reference,
    samples,
    upconvert,
    write_potential,
)
from mtpcore.configuration import Configuration

type FloatArray = npt.NDArray[np.float64]

LABELLED = Path(__file__).parent / "data/li6ps5cl_gfn1.extxyz.xz"
LI6PS5CL_ELEMENTS = ["Li", "P", "S", "Cl"]

# Central difference of eighth order: exact for polynomials up to degree eight.
STENCIL = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}

TRICLINIC = "triclinic"
CELLS: dict[str, dict[str, Any]] = {
    TRICLINIC: {"atom_count": 7, "skew": 0.35},
    "orthogonal": {"atom_count": 6, "skew": 0.0},
    "smaller than the cutoff": {"atom_count": 2, "skew": 0.2},
    "slab": {"atom_count": 6, "pbc": (True, True, False)},
    "wire": {"atom_count": 6, "pbc": (False, True, False)},
    "open": {"atom_count": 6, "pbc": (False, False, False)},
}


def native_potential(fields: Mapping[str, Any]) -> Potential:
    """The potential with these attributes."""
    potential = Potential()
    for name, value in fields.items():
        if name.startswith("alpha_index") or name == "alpha_moment_mapping":
            setattr(potential, name, np.ascontiguousarray(value, dtype=np.int32))
        elif isinstance(value, np.ndarray):
            setattr(potential, name, np.ascontiguousarray(value))
        else:
            setattr(potential, name, value)
    potential.trained = True
    potential.validate()
    return potential


def random_native(level: int, species_count: int, seed: int = 0, **options: Any) -> Potential:
    """A potential with random coefficients."""
    return native_potential(random_potential_fields(level, species_count, seed, **options))


def cell_of_kind(kind: str, species_count: int, seed: int, cutoff: float = 5.0) -> Structure:
    """A random structure of one of the kinds in ``CELLS``, no pair on the verge of the cutoff.

    The energy has no second derivative at the cutoff, which would spoil numerical derivatives.
    """
    options = dict(CELLS[kind])
    atom_count = options.pop("atom_count")
    for number in range(seed, seed + 100_000, 1000):
        structure = random_cell(atom_count, species_count, number, **options)
        _, positions, cell, pbc = structure
        near = reference.neighborhoods(positions, cell, pbc, cutoff + 0.1)
        distances = np.linalg.norm(np.vstack([n.vectors for n in near]), axis=1)
        if np.all(np.abs(distances - cutoff) > 0.004):
            return structure
    raise AssertionError("every structure has a pair at the cutoff")


def with_random_active_set(potential: Potential, seed: int = 0) -> Potential:
    """A copy with a well-conditioned active set that was never selected from anything."""
    rng = np.random.default_rng(seed)
    count = potential.parameter_count
    matrix = np.diag(rng.uniform(1.0, 2.0, count)) + rng.normal(scale=0.3 / count, size=(count, count))
    return with_active_set(potential, matrix)


def with_active_set(potential: Potential, matrix: FloatArray) -> Potential:
    """A copy whose active set of neighbourhoods is this matrix."""
    active_set = ActiveSet()
    active_set.matrix = np.ascontiguousarray(matrix)
    active_set.inverse_transposed = np.ascontiguousarray(np.linalg.inv(matrix).T)
    links = np.full(len(matrix), -1, dtype=np.int32)
    active_set.configuration_index = active_set.equation_index = links
    copy = Potential(potential)
    copy.active_set = active_set
    copy.validate()
    return copy


def shuffled(potential: Potential, seed: int) -> Potential:
    """The same potential with basic moments, products, other moments and scalars in a random order."""
    rng = np.random.default_rng(seed)
    basics, count = len(potential.alpha_index_basic), potential.alpha_moments_count
    depth = np.zeros(count, dtype=int)
    for left, right, _, target in potential.alpha_index_times:
        depth[target] = max(depth[target], 1 + depth[left], 1 + depth[right])
    order = np.concatenate([rng.permutation(basics), basics + np.lexsort((rng.random(count - basics), depth[basics:]))])
    number = np.empty(count, dtype=np.int32)
    number[order] = np.arange(count)
    result = Potential(potential)
    result.alpha_index_basic = np.ascontiguousarray(potential.alpha_index_basic[order[:basics]])
    times = potential.alpha_index_times.copy()
    times[:, [0, 1, 3]] = number[times[:, [0, 1, 3]]]
    times = times[rng.permutation(len(times))]
    result.alpha_index_times = np.ascontiguousarray(times[np.argsort(times[:, 3], kind="stable")])
    scalars = rng.permutation(len(potential.alpha_moment_mapping))
    result.alpha_moment_mapping = np.ascontiguousarray(number[potential.alpha_moment_mapping[scalars]])
    result.moment_coeffs = np.ascontiguousarray(potential.moment_coeffs[scalars])
    result.validate()
    return result


def derivative(function: Callable[[float], Any], step: float) -> Any:
    """Derivative at 0."""
    return sum(c * (function(k * step) - function(-k * step)) for k, c in STENCIL.items()) / step


def moved(structure: Structure, displacement: FloatArray) -> Structure:
    """The structure with displaced atoms."""
    return structure._replace(positions=structure.positions + displacement)


def strained(structure: Structure, strain: FloatArray) -> Structure:
    """The structure under a homogeneous strain."""
    deformation = np.eye(3) + strain
    return structure._replace(positions=structure.positions @ deformation, cell=structure.cell @ deformation)


def numerical_forces(engine: Engine, structure: Structure, step: float = 5e-4) -> FloatArray:
    """Minus the gradient of the energy, shape (N, 3), eV/angstrom."""
    forces = np.empty_like(structure.positions)
    for index in np.ndindex(forces.shape):
        direction = np.zeros_like(forces)
        direction[index] = 1.0

        def energy(t: float, direction: FloatArray = direction) -> float:
            return engine.evaluate(*moved(structure, t * direction)).energy

        forces[index] = -derivative(energy, step)
    return forces


def numerical_virial(engine: Engine, structure: Structure, step: float = 1e-4) -> FloatArray:
    """Minus the derivative of the energy by the strain, shape (3, 3), eV."""
    virial = np.empty((3, 3))
    for index in np.ndindex(3, 3):
        strain = np.zeros((3, 3))
        strain[index] = 1.0

        def energy(t: float, strain: FloatArray = strain) -> float:
            return engine.evaluate(*strained(structure, t * strain)).energy

        virial[index] = -derivative(energy, step)
    return virial


def solid_potential(level: int, many_body: float = 2e-5, seed: int = 0) -> Potential:
    """A potential under which Li6PS5Cl vibrates without falling apart."""
    return samples.solid_potential(random_native(level, 4, seed), many_body)


def fitted_solid(level: int = 8) -> Potential:
    """Fitted to labels of GFN1-xTB at level 8 in seconds: a solid whose vibrations are those of the real one."""
    from ase.io import read  # noqa: PLC0415  most of this is used where there is no ASE

    data = [Configuration.from_atoms(atoms, LI6PS5CL_ELEMENTS) for atoms in read(LABELLED, ":")]
    start = new_potential(8, len(LI6PS5CL_ELEMENTS), min_dist=1.4, max_dist=5.0)
    fitted = fit(start, data, settings=FitSettings(hops=0, max_iterations=40, threads=2)).potential
    return fitted if level == 8 else upconvert(fitted, level)


def write_barely_unknown(path: Path, atoms: Any, species: Sequence[str], grade: float) -> None:
    """Write a solid's potential with an active set by which the largest grade of a structure is this one."""
    from mtpcore.ase import MTP  # noqa: PLC0415  most of this is used where there is no ASE

    graded = with_random_active_set(solid_potential(8))
    write_potential(path, graded)
    assert graded.active_set is not None
    scale = MTP(path, species).grades(atoms).max() / grade
    write_potential(path, with_active_set(graded, graded.active_set.matrix * scale))
