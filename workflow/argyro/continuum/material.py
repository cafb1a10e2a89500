"""What both engines take and give: diffusivities of grains and boundaries, and the effective diffusivity of all."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from argyro.common.errors import ContinuumError

type FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GrainBoundaryMaterial:
    """Isotropic grains and the boundaries between them, layers of a width with D_par (I - n n^T) + D_perp n n^T.

    Attributes:
        D_bulk: Diffusivity of the grains, in any unit.
        D_par: Diffusivity along boundaries, in the same unit.
        D_perp: Diffusivity across boundaries, in the same unit.
        width_nm: Of boundaries.

    Raises:
        ContinuumError: one of them is not a positive number.
    """

    D_bulk: float
    D_par: float
    D_perp: float
    width_nm: float

    def __post_init__(self) -> None:
        for name in ("D_bulk", "D_par", "D_perp", "width_nm"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ContinuumError(f"{name} is {value:g}; it must be a positive, finite number")

    @property
    def excess_resistance(self) -> float:
        """Of a boundary beyond that of bulk in its place, w (1/D_perp - 1/D_bulk): nm per unit of diffusivity."""
        return self.width_nm * (1 / self.D_perp - 1 / self.D_bulk)

    @property
    def excess_conductance(self) -> float:
        """Of a boundary beyond that of bulk in its place, w (D_par - D_bulk): nm times unit of diffusivity."""
        return self.width_nm * (self.D_par - self.D_bulk)

    def boundary_tensor(self, normal: FloatArray) -> FloatArray:
        """Diffusivity of boundaries with these unit normals, shape (..., 3) to (..., 3, 3)."""
        across = normal[..., :, None] * normal[..., None, :]
        tensor: FloatArray = self.D_par * np.eye(3) + (self.D_perp - self.D_par) * across
        return tensor


@dataclass(frozen=True, eq=False)
class EffectiveDiffusivity:
    """Effective diffusivity of a polycrystal.

    Attributes:
        tensor: Shape (3, 3), symmetric, in the unit of the material's diffusivities.
        engine: That found it: interface or voxel.
        discretization_error: Of the isotropic mean, relative to it: estimate from two meshes or grids.
        model_error: Of the isotropic mean, relative to it: estimate of what the engine leaves out of the layers.
    """

    tensor: FloatArray
    engine: str
    discretization_error: float
    model_error: float

    @property
    def eigenvalues(self) -> FloatArray:
        """Principal diffusivities in ascending order, shape (3,)."""
        values: FloatArray = np.linalg.eigvalsh(self.tensor)
        return values

    @property
    def mean(self) -> float:
        """Isotropic mean, a third of the trace."""
        return float(np.trace(self.tensor)) / 3
