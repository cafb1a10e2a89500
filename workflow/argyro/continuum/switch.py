"""Which engine computes a case: by the ratio of boundary width to grain size, both where they overlap."""

from dataclasses import dataclass

import numpy as np
from scipy.fft import next_fast_len

from argyro.config.continuum import ContinuumConfig
from argyro.microstructure.model import Microstructure

from .grains import ANGSTROM_PER_NM, grain_size_nm
from .material import GrainBoundaryMaterial
from .voxel import needed_voxels


@dataclass(frozen=True)
class Choice:
    """Engines for a case.

    Attributes:
        interface: Whether the interface engine computes it.
        voxels: Grid of the voxel engine, along the shortest cell vector; zero if it doesn't.
    """

    interface: bool
    voxels: int


def choose(settings: ContinuumConfig, microstructure: Microstructure, material: GrainBoundaryMaterial) -> Choice:
    """Engines for a case: interface for thin boundaries, voxels for wide ones, both in between.

    In between, voxels are used where the largest grid has as many across boundaries as the settings want; for wide
    boundaries it is enough that it resolves them. Where it doesn't, the interface engine computes them after all.

    Args:
        settings: Of the stage.
        microstructure: Of the actual size.
        material: Of grains and boundaries.
    """
    ratio = material.width_nm / grain_size_nm(microstructure)
    if ratio <= settings.interface_below:
        return Choice(interface=True, voxels=0)
    needed = needed_voxels(microstructure, material)
    wanted = max(_wanted_voxels(settings, microstructure, material), needed)
    limit = settings.max_voxels
    if ratio < settings.voxel_above:
        return Choice(interface=True, voxels=wanted if wanted <= limit else 0)
    return Choice(interface=needed > limit, voxels=min(wanted, limit) if needed <= limit else 0)


def _wanted_voxels(settings: ContinuumConfig, microstructure: Microstructure, material: GrainBoundaryMaterial) -> int:
    """Voxels along the shortest cell vector with as many across boundaries as the settings want."""
    slow = min(material.D_par, material.D_perp) < material.D_bulk
    across = settings.voxels_across_slow if slow else settings.voxels_across_fast
    shortest = float(np.linalg.norm(microstructure.cell, axis=1).min()) / ANGSTROM_PER_NM
    wanted = int(np.ceil(across * shortest / material.width_nm))
    return 2 * int(next_fast_len(-(-wanted // 2), real=True))  # even, as the coarser grid has half
