"""The diffusivity by kinisi, an independent estimator, to be read beside ours.

McCluskey, Coles and Morgan, J. Chem. Theory Comput. 21, 79 (2025): Bayesian regression of the mean squared displacement
with a covariance of its own. Its errors are two to three times ours on walks whose truth is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from .displacements import FloatArray

LAGS, LAST_LAG = 30, 0.3  # how many, and the last one as a part of the run
SAMPLES = 1000


@dataclass(frozen=True)
class KinisiDiffusivity:
    """Mean and quantiles of kinisi's samples.

    Attributes:
        D_cm2_per_s: Mean.
        error_cm2_per_s: Standard deviation.
        interval68_cm2_per_s: From the quantiles 0.16 to 0.84.
        interval95_cm2_per_s: From the quantiles 0.025 to 0.975.
    """

    D_cm2_per_s: float
    error_cm2_per_s: float
    interval68_cm2_per_s: tuple[float, float]
    interval95_cm2_per_s: tuple[float, float]


def kinisi_diffusivity(
    replicas: Sequence[FloatArray], interval_ps: float, begin_ps: float, seed: int
) -> KinisiDiffusivity:
    """Tracer diffusivity in three dimensions.

    Args:
        replicas: Positions of the ions of runs of one length, unwrapped and free of drift, shape (F, N, 3), angstrom.
        interval_ps: Between frames.
        begin_ps: Where the mean squared displacement is a straight line.
        seed: Of kinisi's samples.
    """
    # Hundreds of modules, which only those need who ask for this
    import scipp as sc  # noqa: PLC0415
    from kinisi.diffusion import Diffusion  # noqa: PLC0415
    from kinisi.displacement import calculate_msd  # noqa: PLC0415

    moved = np.concatenate([positions[1:] - positions[0] for positions in replicas], axis=1)
    lags = np.unique(np.rint(np.geomspace(1, LAST_LAG * len(moved), LAGS)).astype(int))
    parsed = SimpleNamespace(
        displacements=sc.array(dims=["obs", "particle", "dimension"], values=moved, unit="angstrom"),
        dt_index=sc.array(dims=["time interval"], values=lags),
        dt=sc.array(dims=["time interval"], values=lags * interval_ps, unit="ps"),
        dimensionality=3 * sc.units.dimensionless,
    )
    estimate = Diffusion(calculate_msd(parsed, progress=False))
    estimate._diffusion(  # noqa: SLF001  its public twin wants files of trajectories
        sc.scalar(begin_ps, unit="ps"),
        progress=False,
        n_samples=SAMPLES,
        random_state=np.random.RandomState(seed % 2**32),
    )
    samples = estimate.D.to(unit="cm^2/s").values
    ends = np.quantile(samples, [0.16, 0.84, 0.025, 0.975]).tolist()
    return KinisiDiffusivity(float(samples.mean()), float(samples.std()), (ends[0], ends[1]), (ends[2], ends[3]))
