"""The interface engine: boundaries of zero thickness, for boundaries much narrower than grains."""

import numpy as np

from argyro.common.errors import ContinuumError
from argyro.microstructure.model import Microstructure
from argyro.microstructure.tessellation import tessellate

from .grains import ANGSTROM_PER_NM, interior_fraction, require_narrower, scaled_to
from .interface_level import Level, Solution
from .interface_mesh import mesh_grains, refined
from .interface_topology import topology_of
from .material import EffectiveDiffusivity, GrainBoundaryMaterial

ENGINE = "interface"
ELEMENT_SIZE = 1.0  # of the coarser mesh, relative to the grain size
OVERLAP_WIDTH = 0.02  # relative to the grain size: where the overlap of boundaries is measured


class InterfaceEngine:
    """Effective diffusivities of one microstructure, of any grain size, on meshes that are made once.

    Args:
        microstructure: The grains, of any size.
        element_size: Of the coarser of the two meshes, relative to the grain size; the finer one halves its edges.

    Raises:
        ContinuumError: the grains cannot be meshed.
        StructureError: there is no tessellation.
    """

    def __init__(self, microstructure: Microstructure, *, element_size: float = ELEMENT_SIZE) -> None:
        # Lengths in units of the grain size, so that all sizes share the matrices
        self.microstructure = scaled_to(microstructure, 1 / ANGSTROM_PER_NM)
        tessellation = tessellate(self.microstructure)
        mesh = mesh_grains(topology_of(tessellation), element_size)
        self._coarse, self._fine = Level(mesh), Level(refined(mesh))
        nominal = tessellation.boundary_fraction(OVERLAP_WIDTH)
        real = 1 - interior_fraction(tessellation, OVERLAP_WIDTH / ANGSTROM_PER_NM)
        self._overlap = (nominal - real) / nominal / OVERLAP_WIDTH if nominal else 0.0

    def effective_diffusivity(self, material: GrainBoundaryMaterial, size_nm: float) -> EffectiveDiffusivity:
        """Effective diffusivity of grains of a size.

        Args:
            material: Of grains and boundaries.
            size_nm: Grain size, the diameter of the sphere of the mean grain volume.

        Returns:
            The tensor extrapolated from two meshes as if the error were of second order. Edges of grains lower the
            order, so the discretization error is the whole difference of the meshes. The model error adds what is
            neglected by changes to first order, and the part of all changes by boundaries that the overlap of
            boundaries, counted twice where they meet, is of their volume.

        Raises:
            ContinuumError: boundaries are as wide as grains, or so wide that changes to first order mean nothing, or
                there is no convergence.
        """
        require_narrower(material.width_nm, scaled_to(self.microstructure, size_nm))
        resistance = material.excess_resistance * material.D_bulk / size_nm
        conductance = material.excess_conductance / (material.D_bulk * size_nm)
        coarse, fine = (level.solve(resistance, conductance) for level in (self._coarse, self._fine))
        tensor = fine.tensor + (fine.tensor - coarse.tensor) / 3
        if np.linalg.eigvalsh(tensor).min() <= 0:
            raise ContinuumError(
                f"boundaries {material.width_nm:g} nm wide between grains of {size_nm:g} nm are too wide to be treated "
                "as of zero thickness; take the voxel engine"
            )
        mean = np.trace(tensor)
        return EffectiveDiffusivity(
            tensor=material.D_bulk * tensor,
            engine=ENGINE,
            discretization_error=float(abs(np.trace(fine.tensor - coarse.tensor)) / mean),
            model_error=fine.neglected + self._overlap_error(fine, material, size_nm),
        )

    def _overlap_error(self, solution: Solution, material: GrainBoundaryMaterial, size_nm: float) -> float:
        """Part of the mean that boundaries make, times the part of their volume that is counted twice.

        What flows along a boundary turns where it meets others, on a length of its width; in one that conducts less
        across than along this is longer by the root of their ratio, as if it were isotropic and so much wider.
        """
        turning = max(1.0, float(np.sqrt(material.D_par / material.D_perp)))
        changes = abs(np.trace(solution.across)) + turning * abs(np.trace(solution.along))
        return float(self._overlap * material.width_nm / size_nm * changes / np.trace(solution.tensor))
