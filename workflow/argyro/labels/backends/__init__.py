"""One module per labelling backend; `open_backend` finds them."""

from collections.abc import Callable
from importlib import import_module

from argyro.config.labels import BackendName, LabelsConfig

from .base import Backend

WITH_PROTOCOLS: frozenset[BackendName] = frozenset({"gpaw", "cp2k", "espresso", "vasp"})
"""Backends whose level of theory depends on the protocol."""
type Opener = Callable[[LabelsConfig], Backend]


def open_backend(config: LabelsConfig) -> Backend:
    """The backend a configuration asks for.

    Raises:
        MissingDependencyError: its program, package or data are not here; the message says how to get them.
        LabelError: its settings do not fit what is here.
    """
    name: BackendName = config.backend
    # Each module is imported only when it is used: what it needs may not be installed
    opener: Opener = import_module(f".{name}", __package__).open_backend
    return opener(config)


def level_of_protocol(config: LabelsConfig) -> str | None:
    """The level of theory that a protocol means; None where it means none. The backend need not be installed."""
    if config.backend not in WITH_PROTOCOLS:
        return None
    level: str = import_module(f".{config.backend}", __package__).level_of_theory(config)
    return level
