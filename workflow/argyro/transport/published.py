"""The published protocol: a single time origin, and a late window of the run.

Source: Ou et al., Nat. Commun. 17, 8726 (2026), methods. It has no interval: use it for comparison only.
"""

from collections.abc import Sequence

import numpy as np

from argyro.md.trajectory import Trajectory

from .diffusivity import CM2_PER_S
from .displacements import frame_interval, mobile_blocks

WINDOW = (0.6, 1.0)  # of the run; published: 3 to 5 ns of 5


def single_origin_diffusivity(
    trajectory: Trajectory, elements: Sequence[str], axes: Sequence[int] = (0, 1, 2)
) -> float:
    """Diffusivity in cm^2/s by MSD = 2 d D t from the first frame, over the last two fifths of the run.

    Args:
        trajectory: Of the ions.
        elements: Of the ions.
        axes: Along which: d of them.
    """
    interval, total, count = frame_interval(trajectory), np.zeros(len(trajectory.steps)), 0
    for positions in mobile_blocks(trajectory, elements):
        total += ((positions - positions[0])[..., list(axes)] ** 2).sum(axis=(1, 2))
        count += positions.shape[1]
    times = interval * np.arange(len(total))
    late = times >= WINDOW[0] * times[-1]
    return float((total[late] / count / times[late]).mean() / (2 * len(axes)) * CM2_PER_S)
