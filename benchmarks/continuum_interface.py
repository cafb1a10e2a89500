"""What the interface engine costs: python benchmarks/continuum_interface.py.

* 27 grains of the published cell: both meshes and their first case, then 60 further cases on them, slow and fast.
* 200 lognormal Laguerre grains and 1000 Voronoi grains: meshes and one case of each kind, and peak memory.

One thread, processor and wall time. Writes benchmarks/results/continuum_interface.md.
"""

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from argyro.continuum.interface import InterfaceEngine
from argyro.continuum.material import GrainBoundaryMaterial
from argyro.microstructure.generate import draw_microstructure

RESULT = Path(__file__).resolve().parent / "results/continuum_interface.md"
WIDTH = 2.5  # nm
CASES = [(27, 0.0), (200, 0.3), (1000, 0.0)]
CONTRASTS = np.logspace(-2, 2, 12)
SIZES = np.geomspace(30, 5000, 5)  # nm


def measured(action: object) -> tuple[float, float]:
    """Processor and wall time of an action, seconds."""
    processor, wall = time.process_time(), time.perf_counter()
    action()  # type: ignore[operator]
    return time.process_time() - processor, time.perf_counter() - wall


def measure(grains: int, spread: float) -> None:
    """Print the rows of one microstructure."""
    name = f"{grains} {'lognormal Laguerre' if spread else 'Voronoi'} grains"
    drawn = draw_microstructure("b", np.eye(3) * 100, grains, diameter_spread=spread, seed=42)
    engines: list[InterfaceEngine] = []
    times = measured(lambda: engines.append(InterfaceEngine(drawn)))
    print(row(name, "tessellation and two meshes", times))
    engine = engines[0]
    slow, fast = (GrainBoundaryMaterial(1.0, c, c, WIDTH) for c in (0.1, 10.0))
    print(row(name, "first case of slow boundaries", measured(lambda: engine.effective_diffusivity(slow, 100.0))))
    print(row(name, "first case of fast boundaries", measured(lambda: engine.effective_diffusivity(fast, 100.0))))
    if grains == CASES[0][0]:
        materials = [(GrainBoundaryMaterial(1.0, c, c, WIDTH), size) for c in CONTRASTS for size in SIZES]
        processor, wall = measured(lambda: [engine.effective_diffusivity(m, size) for m, size in materials])
        each = (processor / len(materials), wall / len(materials))
        print(row(name, f"each of {len(materials)} further cases, contrasts 0.01 to 100, 30 nm to 5 micrometres", each))
    else:
        print(
            row(name, "a further case of slow boundaries", measured(lambda: engine.effective_diffusivity(slow, 50.0)))
        )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"| {name} | peak memory of the process, GB | {memory:.2f} | |")


def row(name: str, what: str, times: tuple[float, float]) -> str:
    """A row of the table."""
    return f"| {name} | {what} | {times[0]:.3g} | {times[1]:.3g} |"


def main() -> None:
    """Measure each microstructure in a process of its own, and write the table."""
    if len(sys.argv) > 1:
        measure(int(sys.argv[1]), float(sys.argv[2]))
        return
    lines = [
        "# What the interface engine costs",
        "",
        "Command: `OMP_NUM_THREADS=1 python benchmarks/continuum_interface.py`, on one core of a machine in use by",
        "others at the same time: processor times are what to look at.",
        "Every case is solved on both meshes.",
        "",
        "| grains | what | processor time, s | wall time, s |",
        "|---|---|---|---|",
    ]
    for grains, spread in CASES:
        began = len(lines)
        command = [sys.executable, "-P", __file__, str(grains), str(spread)]
        lines += subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        print("\n".join(lines[began:]), flush=True)
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
