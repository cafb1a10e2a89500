"""Concentration and flux inside a polycrystal, as a file for ParaView and as a picture."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from argyro.common.files import replacing

from .material import FloatArray
from .voxel_solver import Voxels, VoxelSolution

ANGSTROM_PER_NM = 10.0


@dataclass(frozen=True, eq=False)
class VoxelFields:
    """Fields of a mean concentration gradient of minus one, so that the mean flux is along it as D_eff says.

    Attributes:
        cell: Cell vectors as rows, shape (3, 3), in the unit of the voxels' cell.
        concentration: On nodes, those of the far faces included, shape (X + 1, Y + 1, Z + 1), unit of gradient times
            length; its mean place is arbitrary.
        flux: Means of voxels, shape (X, Y, Z, 3), unit of diffusivity times gradient.
    """

    cell: FloatArray
    concentration: FloatArray
    flux: FloatArray


def voxel_fields(voxels: Voxels, solution: VoxelSolution, direction: FloatArray) -> VoxelFields:
    """Fields that belong to an effective diffusivity.

    Args:
        voxels: What was solved.
        solution: Its solution.
        direction: Of the mean flux without anisotropy, shape (3,); its length does not matter.
    """
    mean = direction / np.linalg.norm(direction)
    length = np.cbrt(np.linalg.det(voxels.cell))
    fluctuation = np.pad(length * np.tensordot(mean, solution.potentials, 1), ((0, 1),) * 3, mode="wrap")
    fractions = [np.arange(count + 1) / count for count in voxels.shape]
    slopes = voxels.cell @ mean  # along the cell vectors
    linear = sum(np.meshgrid(*(s * f for s, f in zip(slopes, fractions, strict=True)), indexing="ij", sparse=True))
    potential = linear + fluctuation
    gradient = _mean_gradients(potential) @ np.linalg.inv(voxels.cell / np.array(voxels.shape)[:, None]).T
    flux = np.einsum("xyzij,xyzj->xyzi", voxels.tensors[voxels.material], gradient)
    return VoxelFields(voxels.cell, -potential, flux)


def _mean_gradients(nodes: FloatArray) -> FloatArray:
    """Mean differences of the corners of each voxel along its edges, shape (X, Y, Z, 3)."""
    differences = []
    for axis in range(3):
        difference = np.diff(nodes, axis=axis)
        for other in {0, 1, 2} - {axis}:
            low, high = (np.take(difference, np.arange(s, difference.shape[other] - 1 + s), other) for s in (0, 1))
            difference = (low + high) / 2
        differences.append(difference)
    return np.stack(differences, axis=-1)


def write_vtkhdf(folder: Path, fields: VoxelFields) -> None:
    """Write ``concentration.vtkhdf`` (on points) and ``flux.vtkhdf`` (in cells) for ParaView and PyVista.

    They are hexahedra, with the field as ``u``: DOLFINx gives it that name, and writes one field to a file.
    """
    # Starts MPI, which those who only compute do without; its library has to be there before DOLFINx
    from mpi4py import MPI  # noqa: I001, PLC0415
    from dolfinx.io import vtkhdf  # noqa: PLC0415
    from dolfinx.mesh import CellType, compute_midpoints, create_unit_cube  # noqa: PLC0415

    x, y, z = fields.flux.shape[:3]
    shape = np.array([x, y, z])
    mesh = create_unit_cube(MPI.COMM_SELF, x, y, z, CellType.hexahedron)
    middles = compute_midpoints(mesh, 3, np.arange(mesh.topology.index_map(3).size_local, dtype=np.int32))
    here = tuple((middles * shape).astype(int).T)
    nodes = tuple(np.rint(mesh.geometry.x * shape).astype(int).T)
    mesh.geometry.x[:] = mesh.geometry.x @ fields.cell
    with replacing(folder / "concentration.vtkhdf") as path:
        vtkhdf.write_mesh(path, mesh)
        vtkhdf.write_point_data(path, mesh, fields.concentration[nodes], 0.0)
    with replacing(folder / "flux.vtkhdf") as path:
        vtkhdf.write_mesh(path, mesh)
        vtkhdf.write_cell_data(path, mesh, fields.flux[here].ravel(), 0.0)


def draw_fields(path: Path, fields: VoxelFields) -> Figure:
    """Draw concentration and size of the flux in the plane of the first two cell vectors, halfway along the third.

    Args:
        path: The PNG.
        fields: With the cell in angstrom.

    Returns:
        What was drawn.
    """
    middle = fields.flux.shape[2] // 2
    fractions = [np.arange(count) / (count - 1) for count in fields.concentration.shape[:2]]
    first, second = np.meshgrid(*fractions, indexing="ij")
    places = (first[..., None] * fields.cell[0] + second[..., None] * fields.cell[1]) / ANGSTROM_PER_NM
    size = np.linalg.norm(fields.flux[:, :, middle], axis=-1) / np.linalg.norm(fields.flux.mean(axis=(0, 1, 2)))
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2)
    concentration = fields.concentration[:, :, middle] / ANGSTROM_PER_NM
    contents = (
        (concentration, "gouraud", None, "concentration (mean gradient $\\times$ nm)"),
        (size, "flat", LogNorm(), "flux / mean flux"),
    )
    for axes, (values, shading, norm, title) in zip(panels, contents, strict=True):
        drawn = axes.pcolormesh(places[..., 0], places[..., 1], values, shading=shading, norm=norm, rasterized=True)
        figure.colorbar(drawn, ax=axes, label=title)
        axes.set(aspect="equal", xlabel="x (nm)", ylabel="y (nm)")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=200)
    return figure
