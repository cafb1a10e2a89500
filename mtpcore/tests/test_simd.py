"""Variants for different instruction sets do the same arithmetic; any of them can be chosen."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from helpers import LI6PS5CL_NUMBERS, Structure, li6ps5cl_cell, random_cell, to_structure
from native import random_native, with_random_active_set

import mtpcore
from mtpcore import Engine

type FloatArray = npt.NDArray[np.float64]

VARIANTS = mtpcore.simd_available()
STRUCTURES = {
    "bulk": to_structure(li6ps5cl_cell(), LI6PS5CL_NUMBERS),
    "small": random_cell(3, 4, seed=1),
    "open": random_cell(13, 4, seed=2, pbc=(False, False, False)),
}


@pytest.fixture(autouse=True)
def variant_as_it_was() -> Iterator[None]:
    before = mtpcore.simd()
    yield
    mtpcore.select_simd(before)


def all_results(engine: Engine, structure: Structure) -> dict[str, FloatArray]:
    """Everything the kernels compute."""
    rng = np.random.default_rng(0)
    result = engine.evaluate(*structure)
    return {
        "site energies": result.site_energies,
        "forces": result.forces,
        "virial": result.virial,
        "rows": engine.site_energy_jacobian(*structure),
        "grades": engine.grades(*structure),
        "loss gradient": engine.loss_gradient(
            *structure,
            energy_weight=0.3,
            force_weights=rng.normal(size=structure.positions.shape),
            strain_weights=rng.normal(size=(3, 3)),
        ),
    }


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("level", [2, 8, 14, 20])
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "generic"])
def test_every_variant_agrees_with_the_generic_one(variant: str, level: int, structure: str) -> None:
    engine = Engine(with_random_active_set(random_native(level, 4)), threads=1)
    mtpcore.select_simd("generic")
    expected = all_results(engine, STRUCTURES[structure])
    mtpcore.select_simd(variant)
    found = all_results(engine, STRUCTURES[structure])
    for name, values in expected.items():
        rounding = 1e-12 * np.abs(values).max()
        np.testing.assert_allclose(found[name], values, rtol=1e-12, atol=rounding, err_msg=name)


@pytest.mark.parametrize("species_count", [1, 3, 9])
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "generic"])
def test_variants_agree_for_any_number_of_species(variant: str, species_count: int) -> None:
    engine = Engine(random_native(8, species_count), threads=1)
    structure = random_cell(18, species_count, seed=3)
    mtpcore.select_simd("generic")
    expected = engine.evaluate(*structure).forces
    mtpcore.select_simd(variant)
    found = engine.evaluate(*structure).forces
    assert np.abs(found - expected).max() <= 1e-12 * np.abs(expected).max()


def test_variants_differ_in_the_last_bits() -> None:
    """The comparison above is between different code."""
    if len(VARIANTS) == 1:
        pytest.skip("this processor runs the generic variant only")
    engine = Engine(random_native(16, 4), threads=1)
    forces = []
    for variant in VARIANTS:
        mtpcore.select_simd(variant)
        forces.append(engine.evaluate(*STRUCTURES["bulk"]).forces)
    assert any((found != forces[-1]).any() for found in forces[:-1])


def test_selected_variant_is_reported() -> None:
    for variant in VARIANTS:
        mtpcore.select_simd(variant)
        assert mtpcore.simd() == variant


@pytest.mark.skipif(platform.machine() != "x86_64", reason="about x86-64")
def test_what_the_processor_has_is_available() -> None:
    with open("/proc/cpuinfo", encoding="utf-8") as stream:  # noqa: PTH123
        flags = set(next(line for line in stream if line.startswith("flags")).split())
    assert ("avx2" in VARIANTS) == ({"avx2", "fma"} <= flags)
    wide = {"avx512f", "avx512dq", "avx512vl", "avx512bw", "avx512cd", "avx2", "fma"}
    assert ("avx512" in VARIANTS) == (wide <= flags)
    assert VARIANTS[-1] == "generic"


def test_an_unknown_variant_cannot_be_selected() -> None:
    with pytest.raises(ValueError, match=r"'sse9' is not available here; choose one of:.* generic"):
        mtpcore.select_simd("sse9")
    assert mtpcore.simd() in VARIANTS


def run_with(setting: str | None, code: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter under a value of MTPCORE_SIMD."""
    environment = {key: value for key, value in os.environ.items() if key != "MTPCORE_SIMD"}
    if setting is not None:
        environment["MTPCORE_SIMD"] = setting
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("variant", VARIANTS)
def test_environment_variable_forces_a_variant(variant: str) -> None:
    result = run_with(variant, "import mtpcore; print(mtpcore.simd())")
    assert result.stdout.strip() == variant


@pytest.mark.parametrize("setting", [None, ""])
def test_widest_variant_is_the_default(setting: str | None) -> None:
    result = run_with(setting, "import mtpcore; print(mtpcore.simd())")
    assert result.stdout.strip() == VARIANTS[0]


def test_an_unknown_forced_variant_is_refused_at_first_use() -> None:
    result = run_with("avx9000", "import mtpcore; print('imported'); mtpcore.simd()")
    assert result.stdout.strip() == "imported"
    assert result.returncode != 0
    assert "SIMD variant 'avx9000' is not available here; choose one of:" in result.stderr
    assert "MTPCORE_SIMD" in result.stderr
