"""Time and memory of mean squared displacements of a large trajectory, streamed from disk.

    python benchmarks/transport_speed.py

50 000 ions, 5 000 frames. Writes benchmarks/results/transport_speed.md; needs 4 GB of disk for a while.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from argyro.md.trajectory import Frames, Trajectory, join_trajectories, write_trajectory
from argyro.transport.diffusivity import Diffusivity, tracer_diffusivity
from argyro.transport.displacements import ion_displacements

RESULT = Path(__file__).parent / "results/transport_speed.md"
IONS, FRAMES, PARTS = 50_000, 5_000, 25
D, INTERVAL = 0.05, 0.1  # square angstrom per ps, ps
KILOBYTES_PER_GIGABYTE = 1024**2


def write(path: Path) -> None:
    """A trajectory of walks, written piece by piece as a run writes it."""
    rng, last = np.random.default_rng(1), np.zeros((1, IONS, 3))
    count, parts = FRAMES // PARTS, []
    for part in range(PARTS):
        steps = rng.normal(scale=np.sqrt(2 * D * INTERVAL), size=(count, IONS, 3))
        positions = last + steps.cumsum(axis=0)
        last = positions[-1:]
        frames = Frames(
            50 * (part * count + np.arange(count)),
            positions,
            np.repeat(np.eye(3)[None] * 100.0, count, axis=0),
            np.zeros((count, 3)),
        )
        parts.append(path.with_name(f"part-{part}.parquet"))
        write_trajectory(parts[-1], frames, np.arange(IONS), {"timestep_ps": 0.002, "elements": ["Li"] * IONS})
    join_trajectories(path, parts)


def measure(path: Path) -> dict[str, float]:
    """Displacements and diffusivity of the trajectory, in a process of its own."""
    begin, wall = time.process_time(), time.perf_counter()
    displacements = ion_displacements(Trajectory(path), ["Li"])
    times = time.process_time() - begin, time.perf_counter() - wall
    found = tracer_diffusivity([displacements], hop_length=1.3)
    if not isinstance(found, Diffusivity):
        raise SystemExit(f"no diffusivity: {found}")
    return {
        "core_s": times[0],
        "wall_s": times[1],
        "peak_GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KILOBYTES_PER_GIGABYTE,
        "off_standard_errors": (found.D_cm2_per_s - D * 1e-4) / found.error_cm2_per_s,
        "relative_error": found.error_cm2_per_s / found.D_cm2_per_s,
    }


def main() -> None:
    """Write the trajectory, measure in another process, write the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mobile.parquet"
        write(path)
        size = path.stat().st_size / 1e9
        command = [sys.executable, "-P", __file__, str(path)]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    RESULT.write_text(
        "# Mean squared displacements of a large trajectory\n\n"
        f"{IONS} ions, {FRAMES} frames, 60 lags, all time origins, streamed from a file of {size:.1f} GB; one core.\n\n"
        "    python benchmarks/transport_speed.py\n\n"
        "| core s | wall s | peak memory, GB | D against truth, standard errors | relative standard error |\n"
        "|---|---|---|---|---|\n"
        f"| {row['core_s']:.1f} | {row['wall_s']:.1f} | {row['peak_GB']:.2f} | {row['off_standard_errors']:+.2f} | "
        f"{row['relative_error']:.1e} |\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(Path(sys.argv[1]))))
    else:
        main()
