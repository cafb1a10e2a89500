"""Drawing of microstructures: seeds, sizes and orientations of grains."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.sparse import coo_array, csc_array
from scipy.sparse.linalg import spsolve
from scipy.spatial.transform import Rotation
from scipy.stats import norm, qmc

from argyro.common.errors import StructureError

from .model import FloatArray, Microstructure, Quaternion
from .tessellation import Tessellation, tessellate

type Arrangement = Literal["sobol", "poisson", "lloyd"]

LLOYD_ROUNDS = 30
ROUNDS = 100  # of Newton's method
SMALLEST_STEP = 1e-4
VOLUME_TOLERANCE = 1e-6  # of grain volumes, relative to their mean
COLUMN = 2  # the cell vector that columns are along


def draw_microstructure(
    name: str,
    cell: FloatArray,
    grains: int,
    *,
    diameter_spread: float = 0.0,
    orientations: Sequence[Quaternion] | None = None,
    column: FloatArray | None = None,
    arrangement: Arrangement = "sobol",
    seed: int,
) -> Microstructure:
    """A random microstructure.

    Args:
        name: Of the microstructure.
        cell: Cell vectors as rows, shape (3, 3), angstrom.
        grains: Number of grains.
        diameter_spread: Standard deviation of the logarithm of sphere-equivalent grain diameters, or of those of equal
            area in columns; zero: Voronoi grains around the seeds, of whatever size.
        orientations: From crystal to sample, w, x, y, z, for each grain; none: uniformly random.
        column: Direction in the crystals, shape (3,), that is along the third cell vector, grains being columns along
            it; none: grains in space.
        arrangement: Of seeds: a scrambled Sobol sequence, independent of each other (a Poisson process of a fixed
            number), or those moved to the centroids of their grains again and again (Lloyd, IEEE Trans. Inf. Theory 28,
            129 (1982)), which makes grains alike and round.
        seed: Of seeds, of sizes and of orientations.

    Raises:
        StructureError: orientations are not as many as grains, or no weights give these sizes.
    """
    if orientations is not None and len(orientations) != grains:
        raise StructureError(
            f"microstructure {name}: {len(orientations)} orientations for {grains} grains; give one each"
        )
    rng = np.random.default_rng(seed)
    seeds = _seeds(grains, arrangement, column is not None, seed)
    microstructure = Microstructure(
        name=name,
        seed=seed,
        cell_angstrom=cell.tolist(),
        seeds_fractional=seeds.tolist(),
        weights_angstrom2=(0.0,) * grains,
        orientations_quaternion=tuple(orientations or _orientations(grains, column, rng)),
    )
    if arrangement == "lloyd":
        microstructure = _relaxed(microstructure)
    if diameter_spread == 0:
        return microstructure
    # Equally likely sizes in random order: the distribution is met as well as so many grains can
    quantiles = norm.ppf((rng.permutation(grains) + 0.5) / grains)
    dimensions = 3 if column is None else 2
    return with_volumes(microstructure, np.exp(dimensions * diameter_spread * quantiles))


def _seeds(grains: int, arrangement: Arrangement, columnar: bool, seed: int) -> FloatArray:  # noqa: FBT001
    """Fractions of the cell, shape (N, 3)."""
    dimensions = 2 if columnar else 3
    if arrangement != "sobol":
        points = np.random.default_rng([seed, 1]).random((grains, dimensions))
        return np.column_stack([points, np.full(grains, 0.5)]) if columnar else points
    # With its older keyword scipy scrambles otherwise; published seeds are those of 42 given that way
    points = qmc.Sobol(dimensions, seed=seed).random_base2(int(np.ceil(np.log2(grains))))[:grains]
    return np.column_stack([points, np.full(grains, 0.5)]) if columnar else points


def _relaxed(microstructure: Microstructure) -> Microstructure:
    """Seeds moved to the centroids of their grains, many times."""
    for _ in range(LLOYD_ROUNDS):
        tessellation = tessellate(microstructure)
        places = microstructure.seeds + tessellation.centroids
        fractions = np.linalg.solve(microstructure.cell.T, places.T).T
        fractions[:, list(microstructure.column_axes)] = 0.5  # of columns the centroid's height is rounding error
        update = {"seeds_fractional": tuple(map(tuple, fractions.tolist()))}
        microstructure = microstructure.model_copy(update=update)
    return microstructure


def _orientations(grains: int, column: FloatArray | None, rng: np.random.Generator) -> list[Quaternion]:
    """Uniformly random rotations, or such that bring a direction to z."""
    if column is None:
        rotations = Rotation.random(grains, rng=rng)
    else:
        upright, _ = Rotation.align_vectors([[0.0, 0.0, 1.0]], [column])
        turns = np.outer(rng.uniform(0, 2 * np.pi, grains), [0.0, 0.0, 1.0])
        rotations = Rotation.from_rotvec(turns) * upright
    quaternions: list[Quaternion] = [tuple(q) for q in rotations.as_quat(scalar_first=True).tolist()]
    return quaternions


def with_volumes(microstructure: Microstructure, volumes: FloatArray) -> Microstructure:
    """The same seeds with the weights that give grains these volumes, shape (N,), scaled to fill the cell.

    The weights are unique but for a constant, and damped Newton steps find them (Kitagawa, Merigot, Thibert, J. Eur.
    Math. Soc. 21, 2603 (2019)): a volume changes with the difference of two weights by facet area / (2 seed distance).

    Raises:
        StructureError: Newton's method came to a halt; a grain would be too small for where its seed is.
    """
    wanted = volumes * (microstructure.volume / volumes.sum())
    current = tessellate(microstructure)
    for _ in range(ROUNDS):
        missing = wanted - current.volumes
        if np.abs(missing).max() <= VOLUME_TOLERANCE * wanted.mean():
            return current.microstructure
        step = np.append(0.0, spsolve(_volume_derivatives(current)[1:, 1:], missing[1:]))
        current = _damped_step(current, step, wanted)
    raise StructureError(f"microstructure {microstructure.name}: weights for these volumes were not found")


def _damped_step(current: Tessellation, step: FloatArray, wanted: FloatArray) -> Tessellation:
    """A part of a Newton step that keeps all grains and brings the volumes nearer."""
    microstructure = current.microstructure
    error = np.linalg.norm(wanted - current.volumes)
    part = 1.0
    while part > SMALLEST_STEP:
        weights = microstructure.weights + part * step
        update = {"weights_angstrom2": tuple((weights - weights.mean()).tolist())}
        try:
            tried = tessellate(microstructure.model_copy(update=update))
        except StructureError:  # a grain has vanished
            part /= 2
            continue
        if np.linalg.norm(wanted - tried.volumes) < (1 - part / 2) * error:
            return tried
        part /= 2
    raise StructureError(
        f"microstructure {microstructure.name}: no weights were found that give {microstructure.grains} grains these "
        "sizes; take a smaller diameter_spread or another seed"
    )


def _volume_derivatives(tessellation: Tessellation) -> csc_array:
    """Change of each volume with each weight, shape (N, N), angstrom."""
    facets, count = tessellation.facets, tessellation.microstructure.grains
    distance = np.linalg.norm(
        tessellation.microstructure.seeds[facets.neighbour]
        + facets.shift @ tessellation.microstructure.cell
        - tessellation.microstructure.seeds[facets.grain],
        axis=1,
    )
    slope = facets.area / (2 * distance)
    rows = np.concatenate([facets.grain, facets.grain])
    columns = np.concatenate([facets.grain, facets.neighbour])
    return coo_array((np.concatenate([slope, -slope]), (rows, columns)), shape=(count, count)).tocsc()
