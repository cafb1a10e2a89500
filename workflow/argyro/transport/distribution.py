"""Where atoms are: radial distribution functions, and maps of the density of mobile ions."""

from pathlib import Path

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list

from argyro.common.files import replacing
from argyro.md.trajectory import Trajectory

from .displacements import FloatArray


def radial_distribution(
    trajectory: Trajectory, first: str, second: str, *, cutoff: float = 6.0, bins: int = 120, frames: int = 50
) -> tuple[FloatArray, FloatArray]:
    """Radial distribution function of two elements.

    Args:
        trajectory: Of all atoms.
        first: Element around which is counted.
        second: Element that is counted.
        cutoff: Angstrom.
        bins: Shells.
        frames: Evenly spread over the run that are used, at most.

    Returns:
        Middles of the shells in angstrom, and g in them, shape (bins,) each.
    """
    edges = np.linspace(0, cutoff, bins + 1)
    counts, expected = np.zeros(bins), np.zeros(bins)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    elements = trajectory.metadata["elements"]
    wanted = set(np.unique(np.linspace(0, len(trajectory.steps) - 1, frames).astype(int)).tolist())
    number = -1
    for span in trajectory.spans():
        for positions, cell in zip(span.positions, span.cells, strict=True):
            number += 1
            if number not in wanted:
                continue
            atoms = Atoms(elements, positions, cell=cell, pbc=True)
            counts += np.histogram(neighbour_list("d", atoms, {(first, second): cutoff}), edges)[0]
            ones, others = (int((atoms.symbols == symbol).sum()) for symbol in (first, second))
            # Every pair of different elements is found from either end
            pairs = ones * (ones - 1) if first == second else 2 * ones * others
            expected += pairs * shells / atoms.get_volume()
    return (edges[1:] + edges[:-1]) / 2, np.divide(counts, expected, out=np.zeros(bins), where=expected > 0)


def density_map(trajectory: Trajectory, element: str, spacing: float = 0.3) -> tuple[FloatArray, FloatArray]:
    """Mean number of ions per cubic angstrom on a grid over the cell.

    Args:
        trajectory: With the ions.
        element: Of the ions.
        spacing: Of the grid, about, angstrom.

    Returns:
        The density, shape (n1, n2, n3), and the cell vectors as rows.
    """
    cell = trajectory.cells.mean(axis=0)
    inverse = np.linalg.inv(cell)
    shape = np.maximum(1, np.rint(np.linalg.norm(cell, axis=1) / spacing)).astype(int)
    total = np.zeros(shape.prod())
    mine = np.isin(trajectory.metadata["elements"], [element])
    place = 0
    for atoms, positions in trajectory.blocks():
        chosen = mine[place : place + len(atoms)]
        place += len(atoms)
        moved = positions[:, chosen] - (trajectory.framework - trajectory.framework[0])[:, None]
        fractional = moved.reshape(-1, 3) @ inverse
        index = np.floor((fractional - np.floor(fractional)) * shape).astype(int) % shape
        total += np.bincount(np.ravel_multi_index(index.T, shape), minlength=len(total))
    voxel = np.linalg.det(cell) / shape.prod()
    return total.reshape(shape) / (len(trajectory.steps) * voxel), cell


def write_density_cube(path: Path, atoms: Atoms, density: FloatArray) -> None:
    """Write a density as a Gaussian cube file, which VESTA and OVITO read, in one step.

    Args:
        path: The file.
        atoms: The framework that is shown with it, in the cell of the density.
        density: Shape (n1, n2, n3), per cubic angstrom.
    """
    from ase.io.cube import write_cube  # noqa: PLC0415  half a second

    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        write_cube(file, atoms, data=density)
