"""Time and memory of building polycrystals, and of telling the region of every lithium ion.

    python benchmarks/polycrystals.py

Writes benchmarks/results/polycrystals.md. Each size runs in a process of its own, so that its peak memory is its own.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits
from argyro.microstructure.generate import draw_microstructure
from argyro.microstructure.regions import Regions
from argyro.microstructure.tessellation import tessellate
from argyro.structures.polycrystal import build_polycrystal
from argyro.structures.validator import validate

RESULT = Path(__file__).parent / "results/polycrystals.md"
CASES = ((50.0, 2), (103.0, 8), (277.0, 27), (372.0, 27))  # edge in angstrom, grains
KILOBYTES_PER_MEGABYTE = 1024


def measure(edge: float, grains: int) -> dict[str, float]:
    """Processor time in s and peak memory in MB of one size."""
    material = Material(id="Li6PS5Cl-50", formula="Li6PS5Cl", anion="Cl", exchange_percent=50)
    limits = DistanceLimits()
    begin = time.process_time()
    microstructure = draw_microstructure("polycrystal", np.eye(3) * edge, grains, diameter_spread=0.3, seed=42)
    atoms = build_polycrystal(material, microstructure, limits=limits, seed=1)
    built = time.process_time()
    report = validate(atoms, material, limits)
    validated = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KILOBYTES_PER_MEGABYTE
    regions, lithium = Regions(tessellate(microstructure)), atoms.positions[atoms.symbols == "Li"][:100_000]
    begin_regions = time.process_time()
    regions.find(lithium)
    per_ion = (time.process_time() - begin_regions) / len(lithium)
    bulk = edge**3 / (material.cubic_lattice_constant**3 / 52)
    return {
        "atoms": len(atoms),
        "sound": report.ok,
        "density": len(atoms) / bulk,
        "build_s": built - begin,
        "validate_s": validated - built,
        "peak_MB": peak,
        "region_us_per_ion": 1e6 * per_ion,
    }


def main() -> None:
    """Measure all sizes and write the table."""
    lines = [
        "# Polycrystals: time and memory",
        "",
        "Li6PS5Cl at 50 % exchange, log-normal grains (spread 0.3), seconds of one core. `region`: grain, facet and",
        "distance of a lithium ion, as the transport stage needs them for every stored frame.",
        "",
        "    python benchmarks/polycrystals.py",
        "",
        "| edge, nm | grains | atoms | sound | of bulk density | build, s | validate, s | peak, MB | region, us/ion |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for edge, grains in CASES:
        command = [sys.executable, "-P", __file__, str(edge), str(grains)]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        lines.append(
            f"| {edge / 10:g} | {grains} | {row['atoms']} | {'yes' if row['sound'] else 'no'} | {row['density']:.3f} | "
            f"{row['build_s']:.1f} | {row['validate_s']:.1f} | {row['peak_MB']:.0f} | {row['region_us_per_ion']:.1f} |"
        )
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(float(sys.argv[1]), int(sys.argv[2]))))
    else:
        main()
