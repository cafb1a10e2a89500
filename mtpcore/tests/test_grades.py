"""Extrapolation grades against motep's Grader on the same active set, and by their definition."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from helpers import (
    LI6PS5CL_NUMBERS,
    Structure,
    random_cell,
    random_potential_fields,
    to_atoms,
    to_motep,
)
from motep.grade import Grader
from motep.grade.maxvol import MaxVolSetting
from motep.grade.setting import GradeMode
from native import native_potential, random_native, with_active_set, with_random_active_set

from mtpcore import Engine, Potential, select_simd, simd, simd_available

type FloatArray = npt.NDArray[np.float64]


class Selected(NamedTuple):
    """An active set selected by motep.

    Attributes:
        grader: motep's grader that holds it.
        potential: The same potential and active set for the native engine.
        condition: Condition number of the active set.
        candidates: Structures whose neighbourhoods could be selected.
        others: Further structures.
    """

    grader: Any
    potential: Potential
    condition: float
    candidates: list[Structure]
    others: list[Structure]


def our_order(potential: Potential) -> npt.NDArray[np.intp]:
    """Columns of motep's rows (moment, species, radial) in ours (radial, species, moment)."""
    scalars, species = len(potential.moment_coeffs), potential.species_count
    radial = np.arange(potential.radial_coeffs.size) + scalars + species
    return np.concatenate([radial, np.arange(species) + scalars, np.arange(scalars)])


@cache
def selected(level: int, species_count: int) -> Selected:
    """Active set of motep's choice from random structures."""
    fields = random_potential_fields(level, species_count, seed=level)
    potential = native_potential(fields)
    count = potential.parameter_count // 8 + 4
    numbers = LI6PS5CL_NUMBERS[:species_count]
    structures = [random_cell(8, species_count, seed=seed) for seed in range(count + 4)]
    grader = Grader(
        to_motep(fields, numbers),
        seed=1,
        mode=GradeMode.NEIGHBORHOOD,
        maxvol_setting=MaxVolSetting(algorithm="mlip"),
    )
    grader.update([to_atoms(structure, numbers) for structure in structures[:count]])
    matrix = grader.maxvol_result.submatrix[:, our_order(potential)]
    condition = float(np.linalg.cond(matrix))
    chosen = with_active_set(potential, matrix)
    return Selected(grader, chosen, condition, structures[:count], structures[count:])


CASES = pytest.mark.parametrize(("level", "species_count"), [(2, 1), (4, 2), (6, 1), (8, 2), (10, 1)])


# MLIP's algorithm, whose rows start at 1e-6: other active sets are singular, since the factors of
# a moment tensor potential may exchange their scale.
@CASES
def test_grades_are_those_of_motep(level: int, species_count: int) -> None:
    case = selected(level, species_count)
    engine = Engine(case.potential)
    numbers = LI6PS5CL_NUMBERS[:species_count]
    images = [case.candidates[0], *case.others]
    graded = case.grader.grade([to_atoms(structure, numbers) for structure in images])
    tolerance = max(1e-8, 10 * np.finfo(float).eps * case.condition)
    print(f"level {level}: cond(A) = {case.condition:.3g}, tolerance {tolerance:.1e}")  # noqa: T201
    assert tolerance < 1e-2, "too singular an active set to compare anything"
    for structure, atoms in zip(images, graded, strict=True):
        found = engine.grades(*structure)
        expected = atoms.calc.results["nbh_grades"]
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
        assert found.max() == pytest.approx(atoms.calc.results["MV_grade"], rel=tolerance)


def test_other_structures_extrapolate() -> None:
    case = selected(8, 2)
    engine = Engine(case.potential)
    assert max(engine.grades(*structure).max() for structure in case.others) > 1.01


@CASES
def test_selected_neighbourhoods_have_grade_one(level: int, species_count: int) -> None:
    case = selected(level, species_count)
    engine = Engine(case.potential)
    grades = np.concatenate([engine.grades(*structure) for structure in case.candidates])
    chosen = case.grader.maxvol_result.indices
    assert len(chosen) > level
    tolerance = max(1e-8, 10 * np.finfo(float).eps * case.condition)
    np.testing.assert_allclose(grades[chosen], 1.0, atol=tolerance)
    assert grades.max() <= 1.001 + tolerance


@pytest.mark.parametrize(("level", "species_count"), [(8, 4), (16, 2), (12, 9)])
def test_grades_are_the_largest_coefficients_of_the_expansion(level: int, species_count: int) -> None:
    """b = c A, grade = max |c|; more neighbourhoods than one batch holds."""
    potential = with_random_active_set(random_native(level, species_count))
    engine = Engine(potential)
    structure = random_cell(70, species_count, seed=1)
    active_set: Any = potential.active_set
    rows = engine.site_energy_jacobian(*structure)
    expected = np.abs(np.linalg.solve(active_set.matrix.T, rows.T)).max(axis=0)
    np.testing.assert_allclose(engine.grades(*structure), expected, rtol=1e-11)


def test_grades_depend_on_the_coefficients_only_through_the_rows() -> None:
    """An active set of twice the size grades half."""
    potential = with_random_active_set(random_native(8, 2))
    active_set: Any = potential.active_set
    doubled = with_active_set(potential, 2.0 * active_set.matrix)
    structure = random_cell(9, 2, seed=4)
    np.testing.assert_allclose(Engine(doubled).grades(*structure), Engine(potential).grades(*structure) / 2, rtol=1e-12)


@pytest.mark.parametrize("variant", simd_available())
def test_an_overflow_does_not_pass_for_a_small_grade(variant: str) -> None:
    potential = with_random_active_set(random_native(8, 2))
    potential.moment_coeffs = np.full_like(potential.moment_coeffs, 1.7e308)
    before = simd()
    try:
        select_simd(variant)
        grades = Engine(potential).grades(*random_cell(9, 2, seed=4))
    finally:
        select_simd(before)
    assert not np.isfinite(grades).any()
