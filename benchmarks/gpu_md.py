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
from mtpcore.gpu.sites import Precision
from mtpcore.gpu.source import common_source, default_tile
from mtpcore.gpu.tables import contraction_program
from mtpcore.samples import sample_potential

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks/results/gpu_md.md"
LEVELS, LARGE = (8, 12, 16, 18, 20), (10, 10, 10)
SIZES = ((2, 2, 2), (5, 5, 4), LARGE)  # 416, 5 200 and 52 000 atoms
BATCH = 128
NEIGHBORS, LISTED, CAPACITY = 27.7, 47.9, 64  # of Li6PS5Cl within 5 angstrom, and with a skin of 1 angstrom
MEMORY_BYTES_PER_ATOM = 4 * 64 + 2 * 32 + 2 * 24 + 2 * 24 + 4 * 24  # lists, places, velocities, forces, virials
MEMORY_RATE = 3.35e12  # bytes a second, of an H100 SXM
TARGETS = {8: 0.020, 16: 0.055, 18: 0.10}  # microseconds per atom and whole step, 52 000 atoms on an H100

BOUND = """## The least time of the kernel

For an atom with n neighbours within the cutoff and m in its list, R radial functions of K polynomials, M monomials,
B basic moments and degree D (fp64 throughout; a fused multiplication and addition is one instruction):

* **Arithmetic.** Distances 7 m and 7 n; polynomials with derivatives 7 K n, radial functions 2 R K n, reciprocal root
  7 n, unit vector and powers (2 D + 3) n; basic moments M n and n for each radial function of a monomial; contraction
  2 instructions for a product forwards and backwards, 1 for one of a leaf; the way back by Horner's scheme as the
  generated code has it, and (R + 24) n for forces. Time = instructions / ({sms} multiprocessors x {clock:.2f} GHz x
  {lanes} lanes).
* **Data path.** Shared memory and the level-1 cache give 128 bytes a cycle of a multiprocessor, or look up one line
  of global memory. The threads of an atom stand in groups that have a neighbour each, so that a word which a group
  reads together costs a cycle for all groups of a warp: R + 1 words (radial functions, x) for n neighbours over the
  number of groups, and two (powers of y and z) for each turn of columns of monomials; groups exchange half of their
  sums when they add them up, two cycles a number. An adjoint of each basic moment for 32 neighbours; contraction reads
  two numbers a product (one for a leaf) and writes its sums, conflicts of banks not counted. Lines: two for each
  place of m and n neighbours, three for each force of n, R K / 32 n for coefficients, and the tables of products once
  for the atoms of a block. Neighbours that share a line are looked up together, which is not in the bound: of level 16
  266 lines an atom were counted, where it has 315.
* **Issue.** Four instructions of warps a cycle: arithmetic / 32, the accesses above, and 19 for 32 entries of the
  tables, two atoms side by side.

The card's own memory is no limit: all fits the level-2 cache, and places, lists and forces are {memory} bytes an atom
and step, {memory_time:.4f} microseconds at 3.35 TB/s. The bound is the longest of the three, as `mtpcore.gpu.bound`
computes it for {neighbors} neighbours and {listed} in the list:

| level | instructions | data path, cycles | issue, instructions of warps | arithmetic, us | data path, us | issue, us |
|---|---|---|---|---|---|---|
{rows}

Not in it: conflicts of banks, waiting at barriers, of which a block has about 15, and for global memory.
Clocks read right after each of these kernels had run for 1.5 s were 1.979 to 1.980 GHz: the card does not slow down."""


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
        *(lambda level=level: line(backend, level, LARGE, precision="mixed") for level in (8, 16, 18)),
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
        f"that it takes no longer than 1/0.6 of the bound, in double precision.\n\n{bench.HEADER.rstrip()}"
    )


def line(
    backend: Backend, level: int, size: tuple[int, int, int], systems: int = 1, precision: Precision = "double"
) -> str:
    """A row of the table."""
    return bench.row(bench.measure(backend, level, size, systems=systems, seconds=0.5, precision=precision))


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
        tile = default_tile(tables, CAPACITY)
        work = work_per_atom(tables, tile, neighbors=NEIGHBORS, listed=LISTED)
        numbers = [f"{x:.0f}" for x in (work.arithmetic, work.data, work.issues)]
        numbers += [f"{seconds * 1e6:.4f}" for seconds in work.seconds(H100).values()]
        rows.append(f"| {level} | {' | '.join(numbers)} |")
    return BOUND.format(
        sms=H100.multiprocessors,
        clock=H100.clock / 1e9,
        lanes=H100.fp64_lanes,
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
