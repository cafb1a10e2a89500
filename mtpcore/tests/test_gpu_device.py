"""On a card: the same as on a processor, at full size, and clean under NVIDIA's checkers."""

import shutil
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest
from gpu_checks import assert_like_the_core, graded, system
from gpu_motion import argyrodite, motion_of, settled_solid, total_energies
from helpers import random_cell
from native import fitted_solid, solid_potential, with_random_active_set

from mtpcore.gpu import systems as systems_module
from mtpcore.gpu.backend import Backend, CupyBackend, EmulatedBackend, GpuError
from mtpcore.gpu.bench import measure
from mtpcore.gpu.sites import GpuEngine, Sites

NPT = {"thermostat_time": 0.1, "coupling": "isotropic", "barostat_time": 0.5}


def card() -> Backend | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of CuPy, on where it finds CUDA
        try:
            return CupyBackend()
        except GpuError:
            return None


CARD = card()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore"),  # of CuPy, when it first compiles its own kernels
    pytest.mark.skipif(CARD is None, reason="needs an NVIDIA GPU and CuPy: pip install 'mtpcore[gpu]'"),
]


@pytest.fixture(scope="module")
def backend() -> Backend:
    assert CARD is not None
    return CARD


@pytest.mark.parametrize("level", range(2, 25, 2))
def test_energies_forces_virials_and_grades_are_those_of_the_core(backend: Backend, level: int) -> None:
    assert_like_the_core(backend, graded(level), [random_cell(n, 3, seed=level) for n in (5, 60)])


def test_card_and_emulation_agree_to_rounding_along_a_run(backend: Backend) -> None:
    potential = solid_potential(10)
    ends = []
    for device in (backend, EmulatedBackend()):
        motion = motion_of(Sites(device, potential), **NPT)
        motion.advance(100)
        ends.append((motion.positions()[0], motion.observe()[0]))
    np.testing.assert_allclose(ends[0][0], ends[1][0], atol=1e-7)
    np.testing.assert_allclose(ends[0][1].cell, ends[1][1].cell, atol=1e-9)


def test_runs_repeat_to_the_last_bit_and_do_not_depend_on_company(backend: Backend) -> None:
    sites = Sites(backend, with_random_active_set(solid_potential(12)))
    small = [argyrodite(seed, temperatures=(400.0 + 100 * seed, 400.0), repeat=(2, 2, 2)) for seed in range(1, 6)]
    states = []
    for group, number in ((small, 2), (small, 2), (small[2:3], 0)):
        motion = motion_of(sites, *group, **NPT)
        motion.advance(500)
        states.append(motion.state(number) | {"grades": motion.grades()[number]})
    for other in states[1:]:
        assert all(np.array_equal(states[0][name], other[name]) for name in other)


@pytest.mark.parametrize("level", [8, 16])
def test_energy_drifts_by_less_than_a_millionth_of_an_electronvolt_per_atom_and_picosecond(
    backend: Backend, level: int
) -> None:
    # As LAMMPS is asked on a processor: the same potential, 10 ps at 1 fs near 300 K
    sites = Sites(backend, fitted_solid(level))
    motion = motion_of(sites, settled_solid(sites), timestep=0.001)
    motion.advance(1000)
    energies = total_energies(motion, every=5, count=2000)
    assert 200 < motion.temperatures()[0] < 600
    assert abs(np.polyfit(np.arange(2000) * 0.005, energies, 1)[0]) < 1e-6


def test_mean_temperature_and_pressure_are_those_asked_for(backend: Backend) -> None:
    systems = [argyrodite(seed, repeat=(2, 2, 2)) for seed in range(16)]
    motion = motion_of(Sites(backend, solid_potential(8)), *systems, timestep=0.002, **NPT)
    motion.advance(5000)
    temperatures, pressures = [], []
    for _ in range(100):
        motion.advance(50)
        seen = motion.observe()
        temperatures.append([one.temperature for one in seen])
        pressures.append([one.pressure[:3].mean() for one in seen])
    for values, expected in ((temperatures, 500.0), (pressures, 0.0)):
        means = np.mean(values, axis=0)
        assert abs(means.mean() - expected) < 4 * means.std(ddof=1) / 4  # of 16 systems


def test_memory_of_an_atom_is_below_three_kilobytes(backend: Backend) -> None:
    speed = measure(backend, 16, (10, 10, 10), seconds=0.2)
    assert speed.memory is not None
    assert speed.memory < 3000


def test_too_little_memory_names_the_largest_system_that_fits(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems_module, "START_CAPACITY", 2**36)
    with pytest.raises(GpuError, match=r"at most about \d+ atoms fit"):
        GpuEngine(solid_potential(4), backend).evaluate([system(random_cell(50, 4, seed=1))])


PROGRAM = """
    import sys

    sys.path.insert(0, {tests!r})
    from gpu_motion import argyrodite, motion_of
    from mtpcore.gpu.backend import CupyBackend
    from mtpcore.gpu.sites import Sites
    from native import solid_potential, with_random_active_set

    sites = Sites(CupyBackend(), with_random_active_set(solid_potential({level})))
    motion = motion_of(sites, argyrodite(1), argyrodite(2), skin=0.3, thermostat_time=0.1, coupling="isotropic")
    motion.advance(12)
    motion.grades()
    motion.observe()
"""


@pytest.mark.skipif(shutil.which("compute-sanitizer") is None, reason="needs compute-sanitizer, of the CUDA toolkit")
@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "initcheck", "synccheck"])
def test_kernels_are_clean_under_the_sanitizer(tool: str) -> None:
    program = textwrap.dedent(PROGRAM.format(tests=str(Path(__file__).parent), level=12))
    only = ["--kernel-name-exclude", "kernel_substring=cupy"] if tool == "initcheck" else []
    command = ["compute-sanitizer", "--tool", tool, *only, "--error-exitcode", "9", sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]
