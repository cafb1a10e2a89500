"""The tests of the core on a build that watches every memory access and undefined operation."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mtpcore

TESTS = Path(__file__).parent
TOOLS = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
MODULES = (
    "test_engine",
    "test_parameter_derivatives",
    "test_refusals",
    "test_grades",
    "test_simd",
    "test_potential_files",
    "test_potential_faults",
    "test_fit",
)

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not (shutil.which("g++") and shutil.which("cmake", path=TOOLS)),
        reason="needs g++ and cmake",
    ),
]


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=TESTS.parent.parent,
        env={**os.environ, "PATH": TOOLS, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def compiler_library(name: str) -> str:
    """Path of one of the compiler's own libraries."""
    return run("g++", f"-print-file-name={name}").stdout.strip()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which Python imports a watched build."""
    folder = tmp_path_factory.mktemp("watched")
    build, package = folder / "build", folder / "site" / "mtpcore"
    options = ["-DMTPCORE_SANITIZE=ON", f"-DPython_EXECUTABLE={sys.executable}"]
    result = run("cmake", "-S", str(TESTS.parent), "-B", str(build), *options)
    assert result.returncode == 0, result.stderr
    result = run("cmake", "--build", str(build), "--target", "_core", "--parallel", "2")
    assert result.returncode == 0, result.stdout + result.stderr
    installed = Path(mtpcore.__file__).parent
    shutil.copytree(installed, package, ignore=shutil.ignore_patterns("*.so", "sources"))
    for library in build.glob("_core*.so"):
        shutil.copy2(library, package)
    return {
        "PYTHONPATH": str(package.parent),
        "LD_PRELOAD": f"{compiler_library('libasan.so')}:{compiler_library('libstdc++.so.6')}",
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter and its libraries never free some memory
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


def test_build_is_watched(watched: dict[str, str]) -> None:
    """Without the sanitizer's library it cannot even be loaded."""
    result = run(sys.executable, "-c", "import mtpcore", PYTHONPATH=watched["PYTHONPATH"])
    assert result.returncode != 0
    assert "ASan runtime does not come first" in result.stderr


@pytest.mark.parametrize("module", MODULES)
def test_core_runs_clean(watched: dict[str, str], module: str) -> None:
    path = str(TESTS / f"{module}.py")
    options = ("-q", "-p", "no:cacheprovider", "--capture=no")
    result = run(sys.executable, "-m", "pytest", path, *options, **watched)
    assert result.returncode == 0, (result.stdout + result.stderr)[-5000:]
    assert " passed" in result.stdout
