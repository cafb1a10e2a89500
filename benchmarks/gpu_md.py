"""Molecular dynamics on an NVIDIA GPU: checks against the native core first, then speed, memory and the bound.

One program for a card that is at hand for a quarter of an hour: it writes its table after every part, so that whatever
was reached is there. Usage: .venv/bin/python benchmarks/gpu_md.py [--minutes 12] [--skip-tests]
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mtpcore.gpu import bench
from mtpcore.gpu.backend import Backend, CupyBackend, GpuError
from mtpcore.gpu.bound import H100, work_per_atom
from mtpcore.gpu.source import common_source
from mtpcore.gpu.tables import contraction_program
from mtpcore.samples import sample_potential

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks/results/gpu_md.md"
LEVELS, LARGE = (8, 12, 16, 18, 20), (10, 10, 10)
SIZES = ((2, 2, 2), (5, 5, 4), LARGE)  # 416, 5 200 and 52 000 atoms
BATCH = 128
NEIGHBORS, LISTED = 27.7, 47.9  # of Li6PS5Cl within 5 angstrom, and with a skin of 1 angstrom
MEMORY_BYTES_PER_ATOM = 4 * 64 + 2 * 32 + 2 * 24 + 2 * 24 + 4 * 24  # lists, places, velocities, forces, virials
MEMORY_RATE = 3.35e12  # bytes a second, of an H100 SXM
TARGETS = {8: 0.020, 16: 0.055, 18: 0.10}  # microseconds per atom and whole step, 52 000 atoms on an H100

BOUND = """## The least time of the kernel

For an atom with n neighbours within the cutoff and m in its list, R radial functions of K polynomials, M monomials,
B basic moments and degree D (fp64 throughout; a fused multiplication and addition is one instruction):

* **Arithmetic.** Distances of the list 12 m; polynomials with derivatives 7 K n, radial functions 2 R K n, root and
  quotient 32 n, powers 3 D n; basic moments 2 M n and n for each radial function of a monomial; contraction 2
  instructions for a product forwards, 4 backwards, 2 for a product of a leaf; the way back by Horner's scheme, as the
  generated code has it, and 30 n for forces. Time = instructions / ({sms} multiprocessors x {clock:.2f} GHz x {lanes}
  lanes).
* **Shared memory.** 128 bytes a cycle of a multiprocessor. Of a neighbour's record a warp reads one word together, so
  that 3 powers and the radial functions cost a cycle each for 32 monomials, and an adjoint one for 32 neighbours;
  contraction reads 2 words a product (1 for a leaf) and writes its sums.
* **Level-2 cache.** Lists and places twice (4 + 32 bytes an entry), 24 bytes of force a neighbour, and the tables of
  products, 8 bytes an entry (12 for leaves), once for the atoms of a block; at {cache:.1f} TB/s, an assumption. All
  of it fits the cache; the card's memory sees places, lists and forces once a step: {memory} bytes an atom,
  {memory_time:.4f} microseconds at 3.35 TB/s.

The bound is the longest of the three, as `mtpcore.gpu.bound` computes it for {neighbors} neighbours and
{listed} in the list:

| level | instructions | shared, bytes | cache, bytes | arithmetic, us | shared memory, us | cache, us |
|---|---|---|---|---|---|---|
{rows}

Not in it: waiting at barriers, of which a block has about 20, for which 4 blocks and more a multiprocessor make up."""


class Report:
    """The result file, written anew after every part."""

    def __init__(self, head: str) -> None:
        self._text = head

    def add(self, text: str, *, gap: str = "\n\n") -> None:
        """Print a part and keep it."""
        print(text, flush=True)
        self._text += gap + text
        RESULT.write_text(self._text + "\n", "utf-8")


def main() -> int:
    """Run everything that time allows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=12.0, help="after which nothing new is begun")
    parser.add_argument("--skip-tests", action="store_true", help="only measure")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    try:
        backend = CupyBackend()
        backend.compile(common_source())
    except GpuError as error:
        print(f"nothing was measured: {error}")
        return 1
    report = Report(f"# Molecular dynamics on a GPU\n\n`benchmarks/gpu_md.py` on one {backend.name}.")
    code = 0 if options.skip_tests else tested(report, end)
    report.add(f"## Speed, microseconds per atom and step\n\n{head()}")
    parts: list[Callable[[], str]] = [
        *(lambda level=level: line(backend, level, LARGE) for level in (16, 8, 18)),
        *(lambda level=level: line(backend, level, SIZES[0], BATCH) for level in (16, 8)),
        *(lambda level=level: line(backend, level, LARGE) for level in (12, 20)),
        *(lambda level=level, size=size: line(backend, level, size) for level in LEVELS for size in SIZES[:2]),
    ]
    for part in parts:
        if time.monotonic() > end:
            report.add("The time was over before the rest was measured.")
            break
        try:
            report.add(part(), gap="\n")
        except GpuError as error:
            report.add(f"Not measured: {error}")
    report.add(bound_text())
    if time.monotonic() < end:
        report.add(tiles(backend))
    return code


def head() -> str:
    """What the columns are."""
    targets = ", ".join(f"level {level}: {target}" for level, target in TARGETS.items())
    return (
        f"Whole steps at 600 K: neighbours, forces, thermostat, and output every {bench.OUTPUT_EVERY} steps; with "
        f"grades every {bench.GRADE_EVERY} steps besides. Wanted of a step of 52 000 atoms: {targets}; of the kernel, "
        f"that it takes no longer than 1/0.6 of the bound.\n\n{bench.HEADER.rstrip()}"
    )


def line(backend: Backend, level: int, size: tuple[int, int, int], systems: int = 1) -> str:
    """A row of the table."""
    return bench.row(bench.measure(backend, level, size, systems=systems, seconds=0.5))


def tiles(backend: Backend) -> str:
    """The kernel by atoms of a block."""
    rows = [f"| {level} | {_tile_times(backend, level)} |" for level in LEVELS]
    names = "| level | 1 | 2 | 4 | 8 |\n|---|---|---|---|---|\n"
    return "\n".join([f"## Kernel by atoms of a block, microseconds per atom\n\n{names.rstrip()}", *rows])


def _tile_times(backend: Backend, level: int) -> str:
    return " | ".join(f"{seconds:.4f}" for seconds in bench.best_tile(backend, level, SIZES[1]).values())


def bound_text() -> str:
    """The derivation of the bound, with its numbers."""
    rows = []
    for level in LEVELS:
        tables = contraction_program(sample_potential(level))
        work = work_per_atom(tables, 4, neighbors=NEIGHBORS, listed=LISTED)
        numbers = [f"{x:.0f}" for x in (work.arithmetic, work.shared, work.streamed)]
        numbers += [f"{seconds * 1e6:.4f}" for seconds in work.seconds(H100).values()]
        rows.append(f"| {level} | {' | '.join(numbers)} |")
    return BOUND.format(
        sms=H100.multiprocessors,
        clock=H100.clock / 1e9,
        lanes=H100.fp64_lanes,
        cache=H100.cache / 1e12,
        memory=MEMORY_BYTES_PER_ATOM,
        memory_time=MEMORY_BYTES_PER_ATOM / MEMORY_RATE * 1e6,
        neighbors=NEIGHBORS,
        listed=LISTED,
        rows="\n".join(rows),
    )


def tested(report: Report, end: float) -> int:
    """Run the tests that need a card."""
    words = ["-q", "-m", "gpu", "-k", "not sanitizer", "mtpcore/tests/test_gpu_device.py"]
    command, left = [sys.executable, "-m", "pytest", *words], end - time.monotonic()
    try:
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=left)
    except subprocess.TimeoutExpired:
        report.add("## Tests\n\nThe tests did not end in time.")
        return 1
    tail = "\n".join(result.stdout.strip().splitlines()[-25:])
    report.add(f"## Tests\n\n```\n{tail}\n```")
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
