"""How often intervals of the stage `transport` hold the truth, on synthetic walks of known diffusivity.

    python benchmarks/transport_coverage.py

Writes benchmarks/results/transport_coverage.md after every case; --cases and --replicas make some lines anew. Shares
are of accepted walks and, where some are not accepted, of all (an upper bound that holds counts as right).
"""

import argparse
import time
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.signal import lfilter

from argyro.transport.collective import Resolved, collective_diffusivity, collective_of, haven_ratio
from argyro.transport.diffusivity import Diffusivity, tracer_diffusivity
from argyro.transport.displacements import SquaredDisplacements, lag_grid, squared_displacements
from argyro.transport.regions import Visits, lag_range, parallel_diffusivities, perpendicular_diffusivities

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int64]

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


def charges(rng: np.random.Generator, replicas: int) -> tuple[Trial, Trial]:
    """Trials of the collective diffusivity and of the Haven ratio, of the same walks."""
    runs, ratio = together(rng, replicas)
    moved = [collective_of(run.sum(axis=1, keepdims=True), run.shape[1], INTERVAL) for run in runs]
    charge = collective_diffusivity(moved, begin_ps=2.0)
    ions = tracer_diffusivity(list(map(measured, runs)), hop_length=HOP)
    if not isinstance(charge, Resolved):
        return NOTHING, NOTHING
    first = _trial(charge.interval68, charge.interval95, D / ratio * UNIT)
    if not isinstance(ions, Diffusivity):
        return first, NOTHING
    found = haven_ratio(ions, charge, int(rng.integers(2**31)))
    return first, _trial(found.interval68, found.interval95, ratio)


def _trial(interval68: tuple[float, float], interval95: tuple[float, float], truth: float) -> Trial:
    return Trial(
        accepted=True,
        in68=interval68[0] < truth < interval68[1],
        in95=interval95[0] < truth < interval95[1],
    )


RATES = (0.1, 0.3)
SITE, STEPS_PER_FRAME, LAYER = 0.5, 2, 24  # angstrom, sites of a layer
LAYER_SIZES = {1: (400, 60), 2: (400, 60), 8: (400, 15)}  # frames and ions, by replicas


def layers(rng: np.random.Generator, densities: tuple[float, float], size: tuple[int, int]) -> Visits:
    """Walks between two layers of different rates and densities of ions, which obey detailed balance."""
    layer = np.repeat([0, 1], LAYER)
    rate, density = np.array(RATES)[layer], np.array(densities)[layer]
    # From i to i + 1 in series of two half steps, each as fast as its layer; the same number of ions goes back
    conductance = 2 / (1 / (rate * density) + 1 / np.roll(rate * density, -1)) / SITE**2 * INTERVAL
    up, down = conductance / density, np.roll(conductance, 1) / density
    frames, ions = size
    place = rng.choice(len(layer), size=ions, p=density / density.sum())
    turns = _hopped(place, rng.random((frames * STEPS_PER_FRAME, ions)), up, down)
    widths = np.sqrt(2 * rate * INTERVAL)[turns % len(layer)]
    after = slice(STEPS_PER_FRAME, None, STEPS_PER_FRAME)
    flat = np.cumsum(rng.normal(size=(*widths[:-1].shape, 2)) * widths[:-1, :, None], axis=0)[
        STEPS_PER_FRAME - 1 :: STEPS_PER_FRAME
    ]
    at = turns[after]
    edge = np.array([min(abs(i + 0.5 - e) for e in (0, LAYER, 2 * LAYER)) * SITE for i in range(2 * LAYER)])
    positions = np.concatenate([flat, at[..., None] * SITE], axis=2) + CAGE * rng.normal(size=(frames, ions, 3))
    normal = np.array([0.0, 0.0, 1.0])
    return Visits(positions, layer[at % len(layer)], edge[at % len(layer)], normal, INTERVAL * STEPS_PER_FRAME)


@njit(cache=True)
def _hopped(place: IntArray, chance: FloatArray, up: FloatArray, down: FloatArray) -> IntArray:
    """Sites over the steps, unwrapped, the first ones included."""
    steps, ions = chance.shape
    sites = len(up)
    out = np.empty((steps + 1, ions), np.int64)
    out[0] = place
    for step in range(steps):
        for ion in range(ions):
            at = out[step, ion] % sites
            move = 0
            if chance[step, ion] < up[at]:
                move = 1
            elif chance[step, ion] > 1 - down[at]:
                move = -1
            out[step + 1, ion] = out[step, ion] + move
    return out


def regions(densities: tuple[float, float]) -> Callable[..., tuple[Trial, ...]]:
    """Trials of the diffusivities of both layers, along and across, of the same walks."""

    def trial(rng: np.random.Generator, replicas: int) -> tuple[Trial, ...]:
        runs = [layers(rng, densities, LAYER_SIZES[replicas]) for _ in range(replicas)]
        lags = lag_range(len(runs[0].positions), runs[0].interval, 1.0, max(RATES) * UNIT, LAYER * SITE)
        return tuple(
            _trial(found.interval68_cm2_per_s, found.interval95_cm2_per_s, rate * UNIT) if found else NOTHING
            for estimate in (parallel_diffusivities, perpendicular_diffusivities)
            for found, rate in zip(estimate(runs, lags, 2), RATES, strict=True)
        )

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
SKEW = (0.05, 0.1, 0.02)
SIDES = ("slow, along", "fast, along", "slow, across", "fast, across")
CASES: dict[str, tuple[Callable[..., Trial | tuple[Trial, ...]], tuple[str, ...], tuple[int, ...]]] = {
    "free": (tracer(0.0, (0, 1, 2), EQUAL), ("free",), REPLICAS),
    "caged": (tracer(CAGE, (0, 1, 2), EQUAL), ("caged, then free",), REPLICAS),
    "axis": (tracer(CAGE, (1,), SKEW), ("anisotropic, along y",), REPLICAS),
    "fast": (tracer(CAGE, (0, 1, 2), (2 * D, 2 * D, 2 * D)), ("caged, then free, twice as fast",), (1,)),
    "charges": (charges, ("collective, of ions that move together", "Haven ratio of these"), REPLICAS),
    "long": (tracer(CAGE, (0, 1, 2), EQUAL, 3), ("long (3600 frames), caged, then free",), (1,)),
    "0.5": (bound_walk("0.5"), ("not diffusive: exponent 0.5",), (1,)),
    "0.7": (bound_walk("0.7"), ("not diffusive: exponent 0.7",), (1,)),
    "cage": (bound_walk("cage"), ("not diffusive: slow cage",), (1,)),
    "layers": (regions((1.0, 1.0)), tuple(f"layers, {side}" for side in SIDES), REPLICAS),
    "unequal": (regions((1.0, 2.5)), tuple(f"layers of densities 1 and 2.5, {side}" for side in SIDES), REPLICAS),
}
"""By name: trials, the names of the intervals that they try, and numbers of replicas."""


def rows(name: str, trials: int, wanted: Container[int]) -> Iterator[tuple[tuple[str, int], str]]:
    """Lines of the table of a case, with what they are of."""
    trial, titles, replicas = CASES[name]
    for count in [count for count in replicas if count in wanted]:
        begin = time.process_time()
        rng = np.random.default_rng([*name.encode(), count, trials])
        answers = [trial(rng, count) for _ in range(trials)]
        spent = (time.process_time() - begin) / len(titles)
        for k, title in enumerate(titles):
            found = np.array([a if isinstance(a, Trial) else a[k] for a in answers], dtype=float)
            accepted, in68, in95, bound = found.T
            of = max(accepted.sum(), 1)
            right = f"{100 * (in95 + (1 - accepted) * bound).mean():.1f}"
            shares = f"{100 * in68.sum() / of:.1f} | {100 * in95.sum() / of:.1f} | {right}"
            values = "- | - | -" if title.startswith("not") else shares
            yield (
                (title, count),
                f"| {title} | {count} | {trials} | {100 * accepted.mean():.2f} | {values} | {spent:.0f} |",
            )


def made() -> dict[tuple[str, int], str]:
    """Lines of the table there is."""
    lines = RESULT.read_text(encoding="utf-8").splitlines() if RESULT.exists() else []
    cells = {line: line.split("|") for line in lines if line.startswith("| ") and not line.startswith("| case")}
    return {(row[1].strip(), int(row[2])): line for line, row in cells.items()}


def outside(lines: Sequence[str]) -> list[str]:
    """What the intervals of accepted walks fail at: 68 +- 2 and 95 +- 1 % were wanted."""
    failed = []
    for line in lines:
        title, count, _, _, in68, in95, *_ = (cell.strip() for cell in line.strip("|").split("|"))
        if in68 != "-" and not (66 <= float(in68) <= 70 and 94 <= float(in95) <= 96):  # noqa: PLR2004
            failed.append(f"* {title}, {count} {'replica' if count == '1' else 'replicas'}: {in68} and {in95} %")
    return ["Not within 68 +- 2 and 95 +- 1 %:", "", *failed] if failed else ["All within 68 +- 2 and 95 +- 1 %."]


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument(
        "--cases", nargs="*", choices=CASES, default=list(CASES), help="the others are kept as they are"
    )
    parser.add_argument("--replicas", nargs="*", type=int, choices=REPLICAS, default=list(REPLICAS))
    given = parser.parse_args()
    head = [
        "# Coverage of intervals",
        "",
        "Synthetic walks: 1200 frames of 64 or 2 x 32 ions, 600 frames of 8 x 16 ions; layers 400",
        "frames of 60 ions, of 15 in 8 replicas. Accepted: part of the walks called diffusive (or",
        "resolved). In 68 %: part of these whose interval holds the truth. Right of all: part of all walks whose",
        "interval of 95 %, or upper bound, does. Of walks that do not diffuse at most 1 % should be accepted.",
        "",
        "    python benchmarks/transport_coverage.py",
        "",
        "| case | replicas | trials | accepted | in 68 % | in 95 % | right of all | core s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    order = [(title, count) for _, titles, replicas in CASES.values() for title in titles for count in replicas]
    for name in given.cases:
        for key, line in rows(name, given.trials, given.replicas):
            lines = made() | {key: line}  # read anew: several of these may run side by side
            kept = [lines[key] for key in order if key in lines]
            RESULT.write_text("\n".join([*head, *kept, "", *outside(kept)]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
