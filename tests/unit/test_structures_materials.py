"""Materials: what is accepted, and what is said of the rest."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from argyro.common.errors import StructureError
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits, SeedsConfig
from argyro.structures.bulk import build_bulk


def material(**settings: Any) -> Material:
    return Material(**({"id": "material", "formula": "Li6PS5Cl", "anion": "Cl"} | settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"formula": ""}, "is not a formula"),
        ({"formula": "Li6PS5Cl+"}, "is not a formula"),
        ({"formula": "Li6PS5Zz"}, "'Zz', which is not an element"),
        ({"formula": "Li6PS5Cl0.0"}, "leave it out"),
        ({"formula": "Li3PS5ClLi3"}, "names Li twice"),
        ({"formula": "Li5PS5Cl"}, r"has charge -1 per formula unit"),
        ({"formula": "Li6PS4Cl2"}, r"has charge \+1 per formula unit"),
        ({"formula": "Li8PS6Cl"}, "is no argyrodite .*give its crystal structure as cif"),
        ({"formula": "Li6.5PS5.5Cl0.5"}, "is no argyrodite"),
        ({"formula": "Li6PS5F", "anion": "F"}, "is no argyrodite"),
        ({"formula": "Li6SbS5Cl"}, r"P is named .* not in its formula Li6SbS5Cl; set mobile, rigid_units"),
        ({"mobile": "S"}, "is no argyrodite"),
        ({"mobile": "Na"}, "Na is named"),
        ({"anion": "Br"}, "expected its halides, 'Cl'"),
        ({"formula": "Li6PS5Cl0.5Br0.5", "anion": "BrCl"}, "expected its halides, 'ClBr'"),
        ({"exchange_percent": -25}, "greater than or equal to 0"),
        ({"exchange_percent": 101}, "less than or equal to 100"),
        ({"exchange_percent": float("nan")}, "finite number"),
        ({"formula": "Li5.5PS4.5Cl1.5", "exchange_percent": 75}, "more free sulfur than .* has; at most 50"),
        ({"lattice_constant_angstrom": 0}, "greater than 0"),
        ({"rigid_units": [{"max_bond_angstrom": -1}]}, "greater than 0"),
        ({"oxidation_states": {"Cl": 1}}, r"has charge \+2"),
        ({"cif": "/no such/file.cif"}, "there is no file /no such/file.cif"),
        ({"id": "a/b"}, "should match pattern"),
    ],
)
def test_wrong_material_is_refused_with_a_reason(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        material(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exchange_percent": 50}, "its occupancies say who sits where"),
        ({"lattice_constant_angstrom": 9.8}, "a cif has its own cell"),
    ],
)
def test_settings_of_argyrodites_do_not_go_with_a_cif(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    (tmp_path / "my crystal.cif").touch()
    assert material(cif=tmp_path / "my crystal.cif").cif == tmp_path / "my crystal.cif"
    with pytest.raises(ValidationError, match=message):
        material(cif=tmp_path / "my crystal.cif", **settings)


@pytest.mark.parametrize(
    ("settings", "supercell", "message"),
    [
        ({"exchange_percent": 30}, (1, 1, 1), "30 of material .* 1x1x1 cell with its 4 halide sites.* are 25 and 50;"),
        ({"exchange_percent": 3.125}, (2, 2, 1), "16 halide sites; the nearest possible are 0 and 6.25;"),
        ({"exchange_percent": 99}, (2, 2, 2), "the nearest possible are 96.875 and 100;"),
        (
            {"formula": "Li6PS5Cl0.3Br0.7", "anion": "ClBr"},
            (1, 1, 1),
            "are Li6PS5Cl0.25Br0.75 and Li6PS5Cl0.5Br0.5; .* multiple of 5 cubic cells",
        ),
        (
            {"formula": "Li5.4PS4.4Cl1.6"},
            (1, 1, 1),
            "are Li5.5PS4.5Cl1.5 and Li5.25PS4.25Cl1.75; .* multiple of 5 cubic cells",
        ),
        ({"formula": "Li5.125PS4.125Cl1.875"}, (1, 1, 1), "multiple of 2 cubic cells"),
    ],
)
def test_impossible_cell_is_refused_with_the_nearest_possible(
    settings: dict[str, Any], supercell: tuple[int, int, int], message: str
) -> None:
    refused = material(**settings)
    with pytest.raises(ValueError, match=message):
        refused.check_cell(supercell)
    with pytest.raises(StructureError, match=message):
        build_bulk(refused, supercell, lithium_sites="48h", limits=DistanceLimits(), seed=1)


@given(count=st.integers(0, 96), decimals=st.integers(2, 8))
def test_exchange_may_be_rounded_to_two_decimals(count: int, decimals: int) -> None:
    percent = round(100 * count / 96, decimals)
    assert material(exchange_percent=percent).exchanged_sites((4, 3, 2)) == count


@given(percent=st.floats(0, 100))
def test_exchange_is_never_rounded_by_more(percent: float) -> None:
    try:
        count = material(exchange_percent=percent).exchanged_sites((2, 2, 2))
    except ValueError:
        assert min(abs(percent - 3.125 * k) for k in range(33)) > 0.0049
    else:
        assert abs(percent - 3.125 * count) < 0.0051


def test_materials_of_one_halide_share_their_system() -> None:
    names = {material(exchange_percent=x).chemical_system for x in (0, 50)}
    assert names == {"LiPSCl"}
    assert material(formula="BrLi6PS5", anion="Br").chemical_system == "LiPSBr"
    assert material(formula="Li6PS5Br0.5Cl0.5", anion="ClBr").chemical_system == "LiPSClBr"


def test_lattice_constants_are_the_measured_ones_unless_given() -> None:
    """Kraft et al., J. Am. Chem. Soc. 139, 10909 (2017); their mean for equal parts by Vegard's rule."""
    assert material().cubic_lattice_constant == 9.8614
    assert material(formula="Li6PS5I", anion="I").cubic_lattice_constant == 10.1414
    assert material(formula="Li6PS5Cl0.5Br0.5", anion="ClBr").cubic_lattice_constant == pytest.approx(9.9232)
    assert material(lattice_constant_angstrom=10.25).cubic_lattice_constant == 10.25


def test_displacements_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"displacement_min_angstrom 0\.2 is above"):
        SeedsConfig(displacement_min_angstrom=0.2, displacement_max_angstrom=0.1)
