"""Which software made a file."""

from collections.abc import Iterable
from importlib.metadata import version

import argyro


def software_versions(packages: Iterable[str] = ()) -> dict[str, str]:
    """Versions of Argyro and of the named Python packages.

    Raises:
        importlib.metadata.PackageNotFoundError: one of them is not installed.
    """
    return {"argyro": argyro.__version__} | {name: version(name) for name in packages}
