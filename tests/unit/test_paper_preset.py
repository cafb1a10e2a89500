"""The preset `paper` holds the numbers of the published protocol (Ou et al., Nat. Commun. 17, 8726 (2026))."""

from typing import Any

import pytest

from argyro.config.load import load_files, preset_file

PUBLISHED: dict[str, Any] = {
    "structures.seeds.kind": "md",
    "structures.seeds.supercell": (1, 1, 1),
    "structures.seeds.md.temperature_K": 1500,
    "structures.seeds.md.timestep_ps": 0.002,
    "structures.seeds.contacts": 0,
    "labels.backend": "vasp",
    "learning.mode": "local",
    "learning.repeats": 5,
    "learning.levels": [6, 8, 10, 12, 14, 16, 18],
    "learning.carving.core": "cube",
    "learning.carving.core_radius_angstrom": 6.5,
    "learning.carving.edge_angstrom": 16,
    "learning.carving.edge_step_angstrom": 0.2,
    "learning.carving.min_atoms": 200,
    "learning.carving.whole_units": False,
    "learning.carving.crowding": "distance",
    "learning.carving.margin_angstrom": 0,
    "learning.carving.density_ratio": 0,
    "learning.carving.min_density_ratio": 0,
    "learning.boundary.minimum_distance_angstrom": 1.6,
    "learning.fit.energy_weight": 1,
    "learning.fit.force_weight_angstrom2": 1e-3,
    "learning.fit.stress_weight": 0,
    "learning.fit.radial_basis_size": 8,
    "learning.fit.min_dist_angstrom": 1.5,
    "learning.fit.max_dist_angstrom": 5,
    "dynamics.timestep_ps": 0.002,
    "dynamics.equilibration_ps": 200,
    "dynamics.production_ps": 5000,
    "dynamics.ensemble": "nve",
    "dynamics.temperatures_K": (400, 450, 500, 550, 600, 700),
    "dynamics.boundary_width_angstrom": 25,
    "dynamics.relaxation.anneal_temperature_K": 600,
    "dynamics.relaxation.cool_ps": 1000,
    "transport.published_protocol": True,
}
PUBLISHED_RUNG = {"samplers": 4, "select_grade": 1.4, "stop_grade": 5, "accept_grade": 1.7, "max_rounds": 100}


@pytest.mark.parametrize("key", PUBLISHED)
def test_setting_is_the_published_one(key: str) -> None:
    value: Any = load_files(preset_file("paper"))
    for name in key.split("."):
        value = getattr(value, name)
    assert value == PUBLISHED[key]


def test_every_level_explores_by_the_published_grades() -> None:
    for rung in load_files(preset_file("paper")).learning.ladder:
        assert {name: getattr(rung, name) for name in PUBLISHED_RUNG} == PUBLISHED_RUNG
