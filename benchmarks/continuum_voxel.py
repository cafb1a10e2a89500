"""Speed and memory of the voxel engine: python benchmarks/continuum_voxel.py (see --help).

The published cell of 27 grains, boundaries a sixteenth of its edge wide and ten times faster or slower than the grains,
all three load cases from nothing to a residual of 1e-8. Solver time: grids are made and compiled code is loaded before.
Each measurement is a process of its own, whose peak memory includes its libraries (about 0.2 GB).

Writes benchmarks/results/continuum_voxel.md.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from argyro.continuum.material import GrainBoundaryMaterial
from argyro.continuum.voxel_grid import voxelize
from argyro.continuum.voxel_solver import Voxels, solve_voxels
from argyro.microstructure.generate import draw_microstructure
from argyro.microstructure.tessellation import tessellate

ROOT = Path(__file__).resolve().parents[1]
EDGE = 100.0  # angstrom
WIDTH_NM = EDGE / 160


def voxels(count: int, D_gb: float) -> Voxels:
    """The published grains on a grid."""
    grains = tessellate(draw_microstructure("published", EDGE * np.eye(3), 27, seed=42))
    boundaries = voxelize(grains, WIDTH_NM, (count,) * 3)
    material = GrainBoundaryMaterial(D_bulk=1.0, D_par=D_gb, D_perp=D_gb, width_nm=WIDTH_NM)
    return Voxels(boundaries.number, boundaries.tensors(material), EDGE * np.eye(3))


def measure(count: int, D_gb: float, threads: int) -> dict[str, float]:
    """One solution, in this process."""
    solve_voxels(voxels(8, D_gb), threads=threads)
    problem = voxels(count, D_gb)
    began, began_processor = time.perf_counter(), time.process_time()
    solution = solve_voxels(problem, threads=threads)
    return {
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - began_processor,
        "iterations": sum(solution.iterations),
        "residual": max(solution.residuals),
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }


def best(count: int, D_gb: float, threads: int, repeats: int) -> dict[str, float]:
    """Of several processes, the one with the least processor time."""
    command = [sys.executable, "-P", __file__, "--measure", str(count), str(D_gb), str(threads)]
    runs = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(repeats)]
    result: dict[str, float] = min(runs, key=lambda run: run["processor"])
    return result


def main() -> int:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96, 128, 192, 256])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        count, D_gb, threads = options.measure
        print(json.dumps(measure(int(count), float(D_gb), int(threads))))
        return 0
    head = (
        "voxels | D_GB / D_bulk | threads | iterations | wall, s | processor, s | ns / voxel and iteration | peak, MB"
    )
    lines = [
        "# Voxel engine",
        "",
        f"Command: `{' '.join(['python benchmarks/continuum_voxel.py', *sys.argv[1:]])}`",
        "",
        f"Load before, of {os.cpu_count()} cores: {os.getloadavg()[0]:.1f}. Under load, wall time tells little.",
        "",
        f"| {head} |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for count in options.sizes:
        for D_gb, threads in ((10.0, 1), (10.0, 2), (0.1, 1)):
            run = best(count, D_gb, threads, options.repeats)
            each = 1e9 * run["processor"] / run["iterations"] / count**3
            lines.append(
                f"| {count}^3 | {D_gb:g} | {threads} | {run['iterations']:.0f} | {run['seconds']:.2f} "
                f"| {run['processor']:.2f} | {each:.1f} | {run['megabytes']:.0f} |"
            )
            print(lines[-1], flush=True)
            (ROOT / "benchmarks/results/continuum_voxel.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
