"""The benchmark for GPUs measures what it says, and its bound counts what the kernel does."""

import re

import pytest

from mtpcore import new_potential
from mtpcore.__main__ import main
from mtpcore.gpu import bench
from mtpcore.gpu.backend import CupyBackend, EmulatedBackend, GpuError
from mtpcore.gpu.bound import H100, pull_back_count, work_per_atom
from mtpcore.gpu.source import sites_source
from mtpcore.gpu.tables import Tables, contraction_program
from mtpcore.samples import sample_potential


def tables_of(level: int) -> Tables:
    return contraction_program(new_potential(level, 4, min_dist=1.5, max_dist=5.0))


@pytest.mark.parametrize("level", [2, 8, 16])
def test_bound_counts_the_arithmetic_of_the_generated_code(level: int) -> None:
    # Of each statement of the way back, one instruction if it multiplies, whether it adds as well or not
    tables = tables_of(level)
    text = sites_source(tables, 1).split("#define PULL_BACK")[1].split("\n\n")[0].split("struct")[0]
    statements = [part for part in re.split(r"[;\\\n]", text) if "=" in part]
    assert pull_back_count(tables) == sum("*" in statement for statement in statements)
    functions = float(tables.monomials[:, 3].sum())
    assert functions <= pull_back_count(tables) + 2 * len(tables.monomials) + 2 <= 6 * functions + 12


def test_bound_grows_with_all_there_is_to_do() -> None:
    few, many = (work_per_atom(tables_of(16), 8, neighbors=n, listed=2 * n) for n in (10.0, 30.0))
    assert few.arithmetic < many.arithmetic < 3.5 * few.arithmetic
    assert few.data < many.data < 3.5 * few.data
    limits = [work_per_atom(tables_of(level), 4, neighbors=28, listed=48).bound(H100)[1] for level in (8, 12, 16, 20)]
    assert limits == sorted(limits)
    assert many.bound(H100)[1] == max(many.seconds(H100).values())
    assert 2 * H100.multiprocessors * H100.clock * H100.fp64_lanes == pytest.approx(33.5e12, rel=0.01)


def test_bound_is_what_an_h100_counted() -> None:
    # Level 16, 27.7 neighbours, 47.9 in lists: Nsight Compute 2025.3 counted 903 cycles of shared memory without
    # conflicts and 266 lines of global memory looked up, 3760 instructions of warps
    work = work_per_atom(contraction_program(sample_potential(16)), 4, neighbors=27.7, listed=47.9)
    assert 0.8 * (903 + 266) < work.data < 903 + 266
    assert 0.4 * 3760 < work.issues < 3760
    assert work.arithmetic / 32 < work.issues


def test_benchmark_measures_steps_grades_and_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WARM_UP", "OUTPUT_EVERY"):
        monkeypatch.setattr(bench, name, 10)
    speed = bench.measure(EmulatedBackend(), 6, (1, 1, 1), systems=2, seconds=1e-3)
    assert (speed.level, speed.atoms, speed.systems) == (6, 52, 2)
    assert min(speed.step, speed.graded, speed.kernel, speed.bound) > 0
    assert bench.row(speed).startswith("| 6 | 2 x 52 | ")
    assert bench.row(speed).count("|") == bench.HEADER.splitlines()[0].count("|")


@pytest.mark.filterwarnings("ignore")  # of CuPy, where it is installed
def test_bench_without_a_gpu_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        CupyBackend()
    except GpuError:
        pass
    else:
        pytest.skip("there is a GPU here")
    assert main(["bench", "--gpu", "--levels", "2"]) == 1
    assert re.search("CuPy is missing|no GPU", capsys.readouterr().err)
