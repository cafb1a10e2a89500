"""Kernels for GPUs against the native core, on a processor or on a card, shared by tests."""

import numpy as np
import numpy.typing as npt
import pytest
from helpers import Structure
from native import random_native, with_random_active_set

from mtpcore import Engine, Potential
from mtpcore.gpu.backend import Backend
from mtpcore.gpu.sites import GpuEngine
from mtpcore.gpu.systems import System


def system(structure: Structure) -> System:
    """A structure as kernels take it."""
    return System(structure.types, structure.positions, structure.cell)


def assert_equal(found: npt.ArrayLike, expected: npt.ArrayLike, tolerance: float) -> None:
    """Equal within a fraction of the largest entry."""
    scale = np.abs(expected).max()
    assert np.abs(np.subtract(found, expected)).max() <= tolerance * scale


def graded(level: int, species: int = 3, **options: float) -> Potential:
    """A random potential with a random active set."""
    return with_random_active_set(random_native(level, species, seed=level, **options))


def assert_like_the_core(backend: Backend, potential: Potential, structures: list[Structure]) -> None:
    """To 1e-10 of the largest entry, as the core's own sums are accurate."""
    engine, kernels = Engine(potential), GpuEngine(potential, backend)
    systems = [system(s) for s in structures]
    for structure, found, grades in zip(structures, kernels.evaluate(systems), kernels.grades(systems), strict=True):
        expected = engine.evaluate(*structure)
        assert found.energy == pytest.approx(expected.energy, rel=1e-12)
        assert_equal(found.site_energies, expected.site_energies, 1e-12)
        assert_equal(found.forces, expected.forces, 1e-10)
        assert_equal(found.virial, expected.virial, 1e-10)
        assert_equal(grades, engine.grades(*structure), 1e-10)
