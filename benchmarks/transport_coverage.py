"""How often intervals of the stage `transport` hold the truth, on synthetic walks of known diffusivity.

    python benchmarks/transport_coverage.py --trials 10000

Writes benchmarks/results/transport_coverage.md after every case. Shares over accepted walks and, where some are not,
over all (an upper bound that holds counts as right).
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from argyro.transport.collective import Resolved, collective_diffusivity, collective_of, haven_ratio
from argyro.transport.diffusivity import Diffusivity, tracer_diffusivity
from argyro.transport.displacements import SquaredDisplacements, lag_grid, squared_displacements
from argyro.transport.regions import Visits, lag_range, parallel_diffusivities, perpendicular_diffusivities

type FloatArray = npt.NDArray[np.float64]

RESULT = Path(__file__).parent / "results/transport_coverage.md"
INTERVAL, D, HOP = 0.1, 0.05, 1.3  # ps, square angstrom per ps, angstrom
UNIT = 1e-4  # cm^2/s
SIZES = {1: (1200, 64), 2: (1200, 32), 8: (600, 16)}  # frames and ions, by replicas
CAGE, MEMORY = 0.3, 0.5  # angstrom, ps
TOGETHER = 0.3  # step of all ions over that of each
REPLICAS = (1, 2, 8)


class Trial(NamedTuple):
    """One answer: whether there was one, and whether the intervals of 68 and 95 % held; a bound counts for all."""

    accepted: bool
    in68: bool
    in95: bool
    bound_holds: bool = True


NOTHING = Trial(accepted=False, in68=False, in95=False)


def rattling(rng: np.random.Generator, shape: tuple[int, ...], size: float, memory: float) -> FloatArray:
    """Gaussian noise along the first axis that is forgotten within a time."""
    kept = np.exp(-INTERVAL / memory)
    noise = rng.normal(size=shape)
    noise[1:] *= np.sqrt(1 - kept**2)
    return np.asarray(size * lfilter([1.0], [1.0, -kept], noise, axis=0), dtype=np.float64)


def walk(rng: np.random.Generator, rates: FloatArray, cage: float, size: tuple[int, int]) -> FloatArray:
    """Free or caged walks with a rate along each axis."""
    steps = rng.normal(size=(*size, 3)) * np.sqrt(2 * rates * INTERVAL)
    return steps.cumsum(axis=0) + (rattling(rng, steps.shape, cage, MEMORY) if cage else 0.0)


def measured(positions: FloatArray) -> SquaredDisplacements:
    """Squared displacements on the usual grid of lags."""
    lags = lag_grid(len(positions))
    return SquaredDisplacements(lags, INTERVAL, len(positions), squared_displacements(positions, lags))


def tracer(cage: float, axes: tuple[int, ...], rates: tuple[float, ...], longer: int = 1) -> Callable[..., Trial]:
    """Trials of the tracer diffusivity."""

    def trial(rng: np.random.Generator, replicas: int) -> Trial:
        frames, ions = SIZES[replicas]
        runs = [measured(walk(rng, np.array(rates), cage, (longer * frames, ions))) for _ in range(replicas)]
        found = tracer_diffusivity(runs, hop_length=HOP, axes=axes)
        truth = float(np.mean([rates[k] for k in axes])) * UNIT
        if not isinstance(found, Diffusivity):
            return NOTHING._replace(bound_holds=found.upper95_cm2_per_s >= truth)
        low, high = found.interval68_cm2_per_s
        low95, high95 = found.interval95_cm2_per_s
        return Trial(accepted=True, in68=low < truth < high, in95=low95 < truth < high95)

    return trial


def together(rng: np.random.Generator, replicas: int) -> tuple[list[FloatArray], float]:
    """Walks of ions that move together in part, and their Haven ratio."""
    scale, (frames, ions) = np.sqrt(2 * D * INTERVAL / (1 + TOGETHER**2)), SIZES[replicas]
    runs = []
    for _ in range(replicas):
        steps = rng.normal(size=(frames, ions, 3)) + TOGETHER * rng.normal(size=(frames, 1, 3))
        runs.append(scale * steps.cumsum(axis=0) + rattling(rng, steps.shape, CAGE, MEMORY))
    return runs, (1 + TOGETHER**2) / (1 + ions * TOGETHER**2)


def collective(rng: np.random.Generator, replicas: int) -> Trial:
    """Trials of the collective diffusivity."""
    runs, ratio = together(rng, replicas)
    moved = [collective_of(run.sum(axis=1, keepdims=True), run.shape[1], INTERVAL) for run in runs]
    found = collective_diffusivity(moved, begin_ps=2.0)
    return _resolved(found, D / ratio * UNIT) if isinstance(found, Resolved) else NOTHING


def haven(rng: np.random.Generator, replicas: int) -> Trial:
    """Trials of the Haven ratio."""
    runs, ratio = together(rng, replicas)
    moved = [collective_of(run.sum(axis=1, keepdims=True), run.shape[1], INTERVAL) for run in runs]
    charge, ions = (
        collective_diffusivity(moved, begin_ps=2.0),
        tracer_diffusivity(list(map(measured, runs)), hop_length=HOP),
    )
    if not (isinstance(charge, Resolved) and isinstance(ions, Diffusivity)):
        return NOTHING
    return _resolved(haven_ratio(ions, charge, int(rng.integers(2**31))), ratio)


def _resolved(found: Resolved, truth: float) -> Trial:
    low, high = found.interval68
    low95, high95 = found.interval95
    return Trial(accepted=True, in68=low < truth < high, in95=low95 < truth < high95)


RATES = (0.1, 0.3)
SITE, STEPS_PER_FRAME, LAYER = 0.5, 2, 24  # angstrom, sites of a layer
LAYER_FRAMES, LAYER_IONS = 400, 60


def layers(rng: np.random.Generator) -> Visits:
    """Walks between two layers of different rates, which obey detailed balance."""
    layer = np.repeat([0, 1], LAYER)
    rate = np.array(RATES)[layer]
    sites = len(layer)
    up = 2 / (1 / rate + 1 / np.roll(rate, -1)) / SITE**2 * INTERVAL
    down = np.roll(up, 1)
    edge = np.array([min(abs(i + 0.5 - e) for e in (0, LAYER, sites)) * SITE for i in range(sites)])
    place = rng.integers(sites, size=LAYER_IONS)
    height, flat = place.astype(float), np.zeros((LAYER_IONS, 2))
    steps = LAYER_FRAMES * STEPS_PER_FRAME
    normal, chance = rng.normal(size=(steps, LAYER_IONS, 2)), rng.random((steps, LAYER_IONS))
    positions, regions, depths = [], [], []
    for step in range(steps):
        flat += normal[step] * np.sqrt(2 * rate[place] * INTERVAL)[:, None]
        move = (chance[step] < up[place]).astype(int) - (chance[step] > 1 - down[place])
        height += move
        place = (place + move) % sites
        if step % STEPS_PER_FRAME == STEPS_PER_FRAME - 1:
            positions.append(np.column_stack([flat, height * SITE]))
            regions.append(layer[place])
            depths.append(edge[place])
    rattled = np.array(positions) + CAGE * rng.normal(size=(LAYER_FRAMES, LAYER_IONS, 3))
    return Visits(rattled, np.array(regions), np.array(depths), np.array([0.0, 0.0, 1.0]), INTERVAL * STEPS_PER_FRAME)


def region(estimate: Callable[..., list], which: int) -> Callable[..., Trial]:
    """Trials of the diffusivity of one of the layers."""

    def trial(rng: np.random.Generator, replicas: int) -> Trial:
        runs = [layers(rng) for _ in range(replicas)]
        lags = lag_range(len(runs[0].positions), runs[0].interval, 1.0, max(RATES) * UNIT, LAYER * SITE)
        found = estimate(runs, lags, 2)[which]
        if found is None:
            return NOTHING
        low, high = found.interval68_cm2_per_s
        low95, high95 = found.interval95_cm2_per_s
        truth = RATES[which] * UNIT
        return Trial(accepted=True, in68=low < truth < high, in95=low95 < truth < high95)

    return trial


def bound_walk(kind: str) -> Callable[..., Trial]:
    """Trials of walks that do not diffuse: accepted ones are wrong."""

    def trial(rng: np.random.Generator, replicas: int) -> Trial:
        runs = []
        for _ in range(replicas):
            if kind == "cage":
                runs.append(rattling(rng, (*SIZES[1], 3), 1.3, 5.0))
            else:
                runs.append(fractional(rng, float(kind)))
        found = tracer_diffusivity(list(map(measured, runs)), hop_length=HOP)
        return NOTHING._replace(accepted=isinstance(found, Diffusivity))

    return trial


def fractional(rng: np.random.Generator, exponent: float) -> FloatArray:
    """Fractional Brownian motion (Davies and Harte, Biometrika 74, 95 (1987))."""
    k = np.arange(SIZES[1][0] + 1)
    correlation = 0.5 * (np.abs(k + 1.0) ** exponent - 2 * np.abs(k) ** exponent + np.abs(k - 1.0) ** exponent)
    eigenvalues = np.fft.rfft(np.concatenate([correlation, correlation[-2:0:-1]])).real.clip(min=0)
    noise = (
        np.fft.rfft(rng.normal(size=(2 * SIZES[1][0], SIZES[1][1], 3)), axis=0) * np.sqrt(eigenvalues)[:, None, None]
    )
    return np.asarray(0.4 * np.fft.irfft(noise, axis=0)[: SIZES[1][0]].cumsum(axis=0), dtype=np.float64)


EQUAL = (D, D, D)
CASES: dict[str, tuple[Callable[..., Trial], tuple[int, ...], float]] = {
    "free": (tracer(0.0, (0, 1, 2), EQUAL), REPLICAS, 1),
    "caged, then free": (tracer(CAGE, (0, 1, 2), EQUAL), REPLICAS, 1),
    "anisotropic, along z": (tracer(CAGE, (2,), (0.02, 0.05, 0.1)), REPLICAS, 1),
    "anisotropic, in the plane": (tracer(CAGE, (0, 1), (0.05, 0.1, 0.02)), REPLICAS, 1),
    "collective, of ions that move together": (collective, REPLICAS, 0.2),
    "Haven ratio of these": (haven, REPLICAS, 0.2),
    "long (3600 frames), caged, then free": (tracer(CAGE, (0, 1, 2), EQUAL, 3), (1,), 0.2),
    "not diffusive: exponent 0.5": (bound_walk("0.5"), (1,), 1),
    "not diffusive: exponent 0.7": (bound_walk("0.7"), (1,), 1),
    "not diffusive: slow cage": (bound_walk("cage"), (1,), 1),
    "layers, slow, along": (region(parallel_diffusivities, 0), (1, 2), 0.2),
    "layers, fast, along": (region(parallel_diffusivities, 1), (1, 2), 0.2),
    "layers, slow, across": (region(perpendicular_diffusivities, 0), (1, 2), 0.2),
    "layers, fast, across": (region(perpendicular_diffusivities, 1), (1, 2), 0.2),
}
"""Trials of every case, numbers of replicas, and the part of the trials that is affordable."""


def rows(trials: int) -> Iterator[str]:
    """Lines of the table, one after another."""
    for case, (trial, replicas, part) in CASES.items():
        for count in replicas:
            begin = time.process_time()
            rng = np.random.default_rng([len(case), count, trials])
            found = np.array([trial(rng, count) for _ in range(max(1, round(trials * part)))], dtype=float)
            accepted, in68, in95, bound = found.T
            of = max(accepted.sum(), 1)
            right = f"{100 * (in95 + (1 - accepted) * bound).mean():.1f}"
            shares = f"{100 * in68.sum() / of:.1f} | {100 * in95.sum() / of:.1f} | {right}"
            yield (
                f"| {case} | {count} | {len(found)} | {100 * accepted.mean():.2f} | "
                f"{'- | - | -' if case.startswith('not') else shares} | {time.process_time() - begin:.0f} |"
            )


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    trials = parser.parse_args().trials
    lines = [
        "# Coverage of intervals",
        "",
        "Synthetic walks: 1200 frames of 64 or 2 x 32 ions, 600 frames of 8 x 16 ions; layers 400 frames of 60 ions.",
        "Accepted: part of the walks called diffusive (or resolved). In 68 %: part of these whose interval holds",
        "the truth. Right of all: part of all walks whose interval of 95 %, or upper bound, does. Of walks that do not",
        "diffuse at most 1 % should be accepted. All in percent.",
        "",
        f"    python benchmarks/transport_coverage.py --trials {trials}",
        "",
        "| case | replicas | trials | accepted | in 68 % | in 95 % | right of all | core s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for line in rows(trials):
        lines.append(line)
        RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
