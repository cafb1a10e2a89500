"""Seeds are random as asked for, sound, and the same for the same seed."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from ase.data import atomic_numbers, covalent_radii

from argyro.common.errors import StructureError
from argyro.config.materials import Material
from argyro.config.structures import SeedsConfig, StructuresConfig
from argyro.structures.seeds import build_seeds, seed_limits
from argyro.structures.validator import validate

MATERIAL = Material(id="Li6PS5Br", formula="Li6PS5Br", anion="Br", exchange_percent=50)
UNSTRAINED = {"linear_strain_min": 0, "linear_strain_max": 0, "random_strain": 0}
STILL = {"displacement_min_angstrom": 0, "displacement_max_angstrom": 0, "mobile_displacement_angstrom": 0}


def settings(**seeds: Any) -> StructuresConfig:
    return StructuresConfig(seeds=SeedsConfig(**seeds))


def test_same_seed_gives_the_same_seeds_and_another_seed_others() -> None:
    first, again, other = (build_seeds(MATERIAL, settings(count=4), seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))
    assert [atoms.info for atoms in first] == [
        {"material": "Li6PS5Br", "exchange_percent": 50, "seed_index": index} for index in range(4)
    ]


def test_more_seeds_of_equal_displacement_begin_with_the_fewer() -> None:
    equal = {"displacement_min_angstrom": 0.1, "displacement_max_angstrom": 0.1}
    few, many = (build_seeds(MATERIAL, settings(count=count, **equal), seed=1) for count in (2, 5))
    assert many[:2] == few


@pytest.mark.parametrize("supercell", [(1, 1, 1), (2, 1, 1), (2, 2, 2)])
def test_seeds_are_sound_though_strongly_rattled(supercell: tuple[int, int, int]) -> None:
    strong = settings(count=8, supercell=supercell, displacement_max_angstrom=0.2, limits_factor=0.8)
    for atoms in build_seeds(MATERIAL, strong, seed=3):
        report = validate(atoms, MATERIAL, seed_limits(strong))
        assert report.ok
        assert report.rigid_units["PS4"]["whole"] == 4 * np.prod(supercell)


def test_arrangements_are_fresh() -> None:
    still = build_seeds(MATERIAL, settings(count=12, **UNSTRAINED, **STILL), seed=1)
    lithium = {atoms.positions[:24].round(3).tobytes() for atoms in still}
    anions = {atoms.positions[28:].round(3).tobytes() for atoms in still}
    assert len(lithium) == 12
    assert len(anions) > 6


def test_displacements_have_the_asked_spread() -> None:
    count = 40
    still = build_seeds(MATERIAL, settings(count=count, **UNSTRAINED, **STILL), seed=1)
    moved = build_seeds(
        MATERIAL,
        settings(
            count=count,
            **UNSTRAINED,
            displacement_min_angstrom=0.02,
            displacement_max_angstrom=0.06,
            mobile_displacement_angstrom=0.08,
        ),
        seed=1,
    )
    for index, (before, after) in enumerate(zip(still, moved, strict=True)):
        amplitude = 0.02 + 0.04 * index / (count - 1)
        displacement = after.positions - before.positions
        # Of 84 normal numbers the spread is known to 8 %, of 72 to 8 %
        assert displacement[24:].std() == pytest.approx(amplitude, rel=0.4)
        assert displacement[:24].std() == pytest.approx(np.hypot(amplitude, 0.08), rel=0.4)


def test_cells_are_strained_within_the_range() -> None:
    strained = settings(count=60, linear_strain_min=-0.02, linear_strain_max=0.04, random_strain=0.0)
    lengths = np.array([atoms.cell.lengths() for atoms in build_seeds(MATERIAL, strained, seed=1)]) / 9.985
    assert (np.ptp(lengths, axis=1) < 1e-9).all()
    assert 0.98 <= lengths.min() < 0.99
    assert 1.03 < lengths.max() <= 1.04


def test_random_strain_has_the_asked_spread_in_every_component() -> None:
    strained = settings(count=150, linear_strain_min=0, linear_strain_max=0, random_strain=0.01, **STILL)
    deformations = np.array([atoms.cell.array for atoms in build_seeds(MATERIAL, strained, seed=1)]) / 9.985
    np.testing.assert_allclose(deformations, np.swapaxes(deformations, 1, 2), atol=1e-12)
    spread = (deformations - np.eye(3)).std(axis=0)
    np.testing.assert_allclose(spread, 0.01, rtol=0.25)  # of 150 normal numbers known to 6 %


def test_displacements_beyond_all_bounds_are_refused() -> None:
    with pytest.raises(
        StructureError, match=r"Li6PS5Br: displacements of 2\.0\d angstrom .*; reduce structures\.seeds"
    ):
        build_seeds(MATERIAL, settings(count=1, displacement_max_angstrom=2, displacement_min_angstrom=2), seed=1)


def test_contacts_come_after_the_seeds_each_with_an_atom_closer_to_another_than_any_two_of_their_elements() -> None:
    plain, more = (build_seeds(MATERIAL, settings(count=4, contacts=contacts), seed=1) for contacts in (0, 18))
    assert more[:4] == plain
    assert [atoms.info["seed_index"] for atoms in more] == list(range(22))
    for atoms in more[4:]:
        source = next(source for source in plain if (source.cell == atoms.cell).all())
        fractions = source.cell.scaled_positions(atoms.positions) - source.get_scaled_positions()
        (moved,) = np.flatnonzero(np.abs(fractions - fractions.round()).max(axis=1) > 1e-9)
        before, after = (frame.get_all_distances(mic=True) for frame in (source, atoms))
        in_unit = (source.symbols == "P") | ((source.symbols == "S") & (before[:, source.symbols == "P"].min(1) < 2.6))
        assert not in_unit[moved]
        first, second = atoms.info["contact"].split("-")
        mates = atoms.symbols == (second if atoms.symbols[moved] == first else first)
        mates[moved] = False
        pairs = (source.symbols[:, None] == first) & (source.symbols == second) & (before > 0)
        usual = before[(pairs & ~in_unit[:, None]) | (pairs & ~in_unit)].min()
        radii = covalent_radii[[atomic_numbers[first], atomic_numbers[second]]].sum()
        assert min(0.85 * radii, 0.9 * usual) - 1e-9 < after[moved, mates].min() < 0.99 * usual
    # Pairs of four elements without P-P, which no atom outside PS4 can make
    counts = Counter(atoms.info["contact"] for atoms in more[4:])
    assert (len(counts), max(counts.values())) == (9, 2)
