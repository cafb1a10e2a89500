"""Target properties that levels are compared by."""

import numpy as np
import pytest

from argyro.common.errors import DynamicsError
from argyro.config.learning import OuterStopConfig
from argyro.learning.probes import agree, block_diffusivity


def probe(value: float | None, error: float = 0.0) -> dict[str, float | str | None]:
    return {"structure": "a", "quantity": "D_cm2_per_s", "value": value, "standard_error": error}


def test_random_walk_has_its_diffusivity_within_three_standard_errors() -> None:
    """D = <step^2> / (6 interval) in three dimensions."""
    rng = np.random.default_rng(1)
    walk = np.cumsum(rng.normal(scale=0.1, size=(2000, 200, 3)), axis=0)
    value, error = block_diffusivity(walk, 0.1)
    assert value == pytest.approx(3 * 0.1**2 / (6 * 0.1), abs=3 * error)
    assert error < 0.2 * value


def test_ions_that_only_rattle_do_not_diffuse() -> None:
    rattle = np.random.default_rng(1).normal(scale=0.1, size=(2000, 200, 3))
    value, error = block_diffusivity(rattle, 0.1)
    assert abs(value) < 3 * error + 1e-4


def test_too_short_a_run_is_refused() -> None:
    with pytest.raises(DynamicsError, match="make the runs longer"):
        block_diffusivity(np.zeros((12, 4, 3)), 0.1)


def test_levels_agree_only_where_values_do_and_are_resolved() -> None:
    assert agree([probe(1.0, 0.05)], [probe(1.1, 0.05)], 0.2)
    assert not agree([probe(1.0, 0.05)], [probe(1.4, 0.05)], 0.2)
    assert not agree([probe(1.0, 0.3)], [probe(1.0, 0.3)], 0.2)
    assert not agree([probe(None)], [probe(1.0)], 0.2)
    assert not agree([], [], 0.2)
    assert not agree([probe(1.0), probe(1.0)], [probe(1.0), probe(2.0)], 0.2)


def test_structures_are_probed_that_match_either_pattern() -> None:
    settings = OuterStopConfig(diffusivity_of=("*-bulk-*",), energy_of=("*-S3-*",))
    assert settings.probed(["a-bulk-2", "a-S3-c0", "a-S5-c0"]) == ["a-bulk-2", "a-S3-c0"]
    assert OuterStopConfig().probed(["a-bulk-2"]) == []
