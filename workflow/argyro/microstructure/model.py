"""The contract of a microstructure: what ``microstructure.json`` holds."""

from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from scipy.spatial.transform import Rotation

from argyro.common.errors import FileError, StructureError
from argyro.common.files import read_json, write_json

type FloatArray = npt.NDArray[np.float64]
type Vector = tuple[float, float, float]
type Quaternion = tuple[float, float, float, float]

SCHEMA = "argyro-microstructure/1"
NORM_TOLERANCE = 1e-6
RIGHT_ANGLE = 1e-9  # cosine of an angle that counts as right


class Microstructure(BaseModel):
    """Grains of a periodic cell: all places belong to the seed of the smallest power distance r^2 - w."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, validate_by_name=True,
        validate_by_alias=True, serialize_by_alias=True,
    )  # fmt: skip

    format: Literal["argyro-microstructure/1"] = Field(default="argyro-microstructure/1", alias="schema")
    """Name and version of the contract."""
    name: str
    """Name of the microstructure."""
    seed: int
    """Of the random numbers it was drawn with."""
    cell_angstrom: tuple[Vector, Vector, Vector]
    """Cell vectors as rows."""
    pbc: tuple[Literal[True], Literal[True], Literal[True]] = (True, True, True)
    """Periodic in all directions."""
    seeds_fractional: tuple[Vector, ...] = Field(min_length=1)
    """Seeds of the grains, fractions of the cell."""
    weights_angstrom2: tuple[float, ...]
    """Weight w of each; all equal: Voronoi, else Laguerre."""
    orientations_quaternion: tuple[Quaternion, ...]
    """Rotation of each from crystal to sample: w, x, y, z, of length one."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        count = len(self.seeds_fractional)
        for name in ("weights_angstrom2", "orientations_quaternion"):
            if len(getattr(self, name)) != count:
                raise ValueError(f"{name} has {len(getattr(self, name))} members for {count} seeds; give one each")
        if np.linalg.det(self.cell) <= 0:
            raise ValueError("cell_angstrom is flat or left-handed; its vectors, as rows, must be right-handed")
        norms = np.linalg.norm(self.orientations_quaternion, axis=1)
        if np.abs(norms - 1).max() > NORM_TOLERANCE:
            raise ValueError(f"orientations_quaternion: number {np.abs(norms - 1).argmax()} is not of length one")
        return self

    @property
    def cell(self) -> FloatArray:
        """Cell vectors as rows, shape (3, 3), angstrom."""
        return np.array(self.cell_angstrom)

    @property
    def volume(self) -> float:
        """Of the cell, cubic angstrom."""
        return float(np.linalg.det(self.cell))

    @property
    def grains(self) -> int:
        """Number of grains."""
        return len(self.seeds_fractional)

    @property
    def seeds(self) -> FloatArray:
        """Seeds inside the cell, shape (N, 3), angstrom."""
        fractional = np.array(self.seeds_fractional)
        return (fractional - np.floor(fractional)) @ self.cell

    @property
    def weights(self) -> FloatArray:
        """Shape (N,), square angstrom."""
        return np.array(self.weights_angstrom2)

    @property
    def rotations(self) -> FloatArray:
        """Rotation matrices from crystal to sample, shape (N, 3, 3)."""
        matrices: FloatArray = Rotation.from_quat(np.array(self.orientations_quaternion), scalar_first=True).as_matrix()
        return matrices

    @property
    def column_axes(self) -> tuple[int, ...]:
        """Cell vectors along which all grains go on for ever, as seeds differ only across them.

        There a grain meets its own image in a facet that is no boundary. These vectors have to be normal to the others.
        """
        fractional = np.array(self.seeds_fractional)
        axes = tuple(axis for axis in range(3) if np.ptp(fractional[:, axis]) == 0)
        across = [axis for axis in range(3) if axis not in axes]
        lengths = np.linalg.norm(self.cell, axis=1)
        cosines = (self.cell @ self.cell.T) / np.outer(lengths, lengths)
        return axes if (np.abs(cosines[np.ix_(axes, across)]) < RIGHT_ANGLE).all() else ()


def strained(microstructure: Microstructure, cell: FloatArray) -> Microstructure:
    """The same grains in a cell whose vectors are longer or shorter.

    Args:
        microstructure: What is strained.
        cell: The new cell vectors as rows, shape (3, 3), angstrom.

    Raises:
        StructureError: boundaries would turn: the cell is strained differently along its vectors, and grains are not
            slabs, which only the strain along their normal matters to.
    """
    old = microstructure.cell
    stretch = np.linalg.norm(cell, axis=1) / np.linalg.norm(old, axis=1)
    varied = np.flatnonzero(np.ptp(np.array(microstructure.seeds_fractional), axis=0) > 0)
    is_slab = len(varied) == 1 and len(microstructure.column_axes) == 2  # noqa: PLR2004
    if np.abs(cell - stretch[:, None] * old).max() > NORM_TOLERANCE * np.abs(old).max() or not (
        is_slab or np.ptp(stretch) < NORM_TOLERANCE
    ):
        factors = ", ".join(f"{factor:.4f}" for factor in stretch)
        raise StructureError(
            f"the microstructure {microstructure.name} cannot follow strains by {factors} of its cell vectors: its "
            "boundaries would turn"
        )
    scale = float(stretch[varied[0]] if is_slab else stretch.mean())
    return microstructure.model_copy(
        update={
            "cell_angstrom": tuple(map(tuple, cell.tolist())),
            "weights_angstrom2": tuple((microstructure.weights * scale**2).tolist()),
        }
    )


def read_microstructure(path: Path) -> Microstructure:
    """A microstructure from its file.

    Raises:
        FileError: missing, no JSON, or not what the contract says.
    """
    try:
        return Microstructure.model_validate(read_json(path))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
        raise FileError(f"{path} is no microstructure ({SCHEMA}): {problems}") from None


def write_microstructure(path: Path, microstructure: Microstructure) -> None:
    """Write a microstructure in one step."""
    write_json(path, microstructure.model_dump(mode="json", by_alias=True))
