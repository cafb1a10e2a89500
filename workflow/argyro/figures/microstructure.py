"""Pictures of polycrystals: grains of the continuum stage, and atoms of polycrystals that are simulated."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ase import Atoms
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from mpl_toolkits.mplot3d.axes3d import Axes3D

from argyro.microstructure.model import FloatArray, Microstructure
from argyro.microstructure.regions import Regions
from argyro.microstructure.tessellation import Tessellation, tessellate

from .style import COLORS, PALE, message_figure, styled

SHRUNK = 0.94  # grains around their middles, so that boundaries show
SIDE = 3.2  # inches, of a panel
MOST_PANELS = 3
MOST_ATOMS = 40_000  # that are drawn
ROUNDS = {"elev": 22, "azim": -58}
COLUMNS = ["name", "kind", "grain", "volume", "unit", "diameter", "faces", "atoms"]


@dataclass(frozen=True, eq=False)
class Picture:
    """What is drawn in a panel.

    Attributes:
        name: Of the structure or microstructure.
        grains: Its grains.
        atoms: Its atoms, if it has any.
    """

    name: str
    grains: Microstructure
    atoms: Atoms | None = None


def microstructure_data(pictures: Sequence[Picture]) -> pd.DataFrame:
    """Volume, diameter and faces of every grain: of the continuum stage relative to their mean, else in angstrom."""
    rows = []
    for picture in pictures:
        tessellation = tessellate(picture.grains)
        has_atoms = picture.atoms is not None
        unit = 1.0 if has_atoms else float(tessellation.volumes.mean())
        inside = _grain_of_atoms(picture)
        facets = tessellation.facets
        for grain, volume in enumerate(tessellation.volumes):
            row: dict[str, Any] = {"name": picture.name, "kind": "atoms" if has_atoms else "grains", "grain": grain}
            row |= {"volume": volume / unit, "unit": "angstrom" if has_atoms else "mean grain volume"}
            row |= {"diameter": (6 * volume / unit / np.pi) ** (1 / 3)}
            row |= {"faces": int(((facets.grain == grain) & facets.is_boundary).sum())}
            rows.append(row | {"atoms": int((inside == grain).sum()) if has_atoms else None})
    return pd.DataFrame(rows, columns=COLUMNS)


def draw_microstructure(pictures: Sequence[Picture]) -> Figure:
    """Draw at most three polycrystals: grains in colours of their orientations, atoms in colours of grains.

    Atoms of boundaries are grey.

    Args:
        pictures: Of them.
    """
    if not pictures:
        return message_figure("there is no polycrystal in this campaign")
    shown = pictures[:MOST_PANELS]
    with styled():
        figure = Figure(figsize=(SIDE * len(shown), SIDE), layout="constrained")
        for number, picture in enumerate(shown):
            axes = figure.add_subplot(1, len(shown), number + 1, projection="3d")
            if picture.atoms is None:
                _draw_grains(axes, picture)
            else:
                _draw_atoms(axes, picture.atoms, picture)
            _draw_cell(axes, picture.grains.cell)
            kind = f"{picture.grains.grains} grains" if picture.atoms is None else f"{len(picture.atoms)} atoms"
            axes.set_title(f"{picture.name}, {kind}")
    return figure


def orientation_colors(rotations: FloatArray) -> FloatArray:
    """Colours of cubic crystals by the direction that points up: red for <100>, green for <110>, blue for <111>.

    Args:
        rotations: From crystal to sample, shape (N, 3, 3).

    Returns:
        Shape (N, 3): the direction's parts along the three corners of the standard triangle, the largest as 1.
    """
    up = np.sort(np.abs(rotations[:, 2, :]), axis=1)  # crystal coordinates of the sample's z, smallest first
    low, middle, high = up.T
    parts = np.stack([high - middle, np.sqrt(2) * (middle - low), np.sqrt(3) * low], axis=1)
    colors: FloatArray = parts / parts.max(axis=1, keepdims=True)
    return colors


def _grain_of_atoms(picture: Picture) -> npt.NDArray[np.int64]:
    """Grain of each atom: that of the nearest seed in power distance."""
    if picture.atoms is None:
        return np.zeros(0, dtype=np.int64)
    regions = Regions(tessellate(picture.grains))
    found: npt.NDArray[np.int64] = regions.find(picture.atoms.positions).grain
    return found


def _draw_grains(axes: Axes3D, picture: Picture) -> None:
    tessellation = tessellate(picture.grains)
    colors = orientation_colors(picture.grains.rotations)
    size = float(np.cbrt(picture.grains.volume))
    polygons, grains = zip(*_polygons(tessellation), strict=True)
    axes.add_collection3d(
        Poly3DCollection(
            [polygon / size for polygon in polygons], facecolors=colors[list(grains)], edgecolors=(0.2, 0.2, 0.2),
            lw=0.2, shade=True,
        ),
        autolim=False,
    )  # fmt: skip


def _polygons(tessellation: Tessellation) -> list[tuple[FloatArray, int]]:
    """Faces of all grains, each grain shrunk around its middle."""
    facets, found = tessellation.facets, []
    middles = tessellation.centroids
    for grain, polygon in zip(facets.grain.tolist(), facets.polygon, strict=True):
        corners = tessellation.corners[grain][polygon]
        shrunk = middles[grain] + SHRUNK * (corners - middles[grain])
        found.append((tessellation.microstructure.seeds[grain] + shrunk, grain))
    return found


def _draw_atoms(axes: Axes3D, atoms: Atoms, picture: Picture) -> None:
    size = float(np.cbrt(picture.grains.volume))
    chosen = np.unique(np.linspace(0, len(atoms) - 1, MOST_ATOMS).astype(int))
    grains = _grain_of_atoms(picture)[chosen]
    colors = np.array(COLORS)[grains % (len(COLORS) - 1)]
    colors[_is_boundary(atoms)[chosen]] = PALE
    places = atoms.get_positions(wrap=True)[chosen] / size
    axes.scatter(*places.T, s=4, c=colors, edgecolors="none", depthshade=True)


def _is_boundary(atoms: Atoms) -> npt.NDArray[np.bool_]:
    """Atoms whose surroundings are not those of their crystal, where they were told apart."""
    found: npt.NDArray[np.bool_] = atoms.arrays.get("is_boundary_by_structure", np.zeros(len(atoms), dtype=bool))
    return found


def _draw_cell(axes: Axes3D, cell: FloatArray) -> None:
    """The edges of the cell, and room for what reaches out of it."""
    size = float(np.cbrt(np.linalg.det(cell)))
    corners = {bits: np.array(bits) @ cell / size for bits in product((0, 1), repeat=3)}
    for start, end in product(corners, repeat=2):
        if sum(abs(a - b) for a, b in zip(start, end, strict=True)) == 1 and start < end:
            axes.plot(*np.array([corners[start], corners[end]]).T, color="0.5", lw=0.5)
    axes.set_axis_off()
    ends = np.array(list(corners.values()))
    middle, reach = ends.mean(axis=0), np.ptp(ends, axis=0) / 2
    axes.set(**{f"{axis}lim": (middle[k] - reach[k], middle[k] + reach[k]) for k, axis in enumerate("xyz")})
    lengths = 2 * reach
    axes.set_box_aspect(tuple(lengths / lengths.max()), zoom=0.9)
    axes.view_init(**ROUNDS)
