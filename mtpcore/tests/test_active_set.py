"""Grades and active sets: what is interpolated, what is added, what files hold."""

import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers import li6ps5cl_cell, random_cell
from motep.grade.maxvol import MaxVol as MotepMaxVol
from native import random_native, solid_potential

from mtpcore import (
    ActiveSetError,
    Engine,
    InvalidStructureError,
    MtpcoreError,
    Potential,
    UnknownSpeciesError,
    get_parameters,
    grade,
    read_potential,
    select,
    select_add,
    set_parameters,
    write_potential,
)
from mtpcore.cfg import Configuration, parse_cfg
from mtpcore.gauge import change_gauge

type FloatArray = npt.NDArray[np.float64]

SPECIES = ("Li", "P", "S", "Cl")
TOLERANCE = 1e-3 + 1e-8
LEVEL = 6


def cells(seeds: Sequence[int], rattle: float = 0.15) -> list[Configuration]:
    """Rattled Li6PS5Cl; every first atom has labels to keep."""
    return [
        replace(Configuration.from_atoms(li6ps5cl_cell(rattle=rattle, seed=seed), SPECIES), energy=float(seed))
        for seed in seeds
    ]


def rows_of(potential: Potential, configurations: Sequence[Configuration]) -> FloatArray:
    engine = Engine(potential, threads=1)
    parts = []
    for c in configurations:
        assert c.cell is not None
        parts.append(engine.site_energy_jacobian(c.types, c.positions, c.cell, [True] * 3))
    return np.vstack(parts)


def selected_rows(potential: Potential) -> FloatArray:
    active_set = potential.active_set
    assert active_set is not None
    return active_set.matrix[active_set.configuration_index >= 0]


def log_volume(potential: Potential) -> float:
    assert potential.active_set is not None
    return float(np.linalg.slogdet(potential.active_set.matrix)[1])


@pytest.fixture(scope="module")
def bare() -> Potential:
    return solid_potential(LEVEL)


@pytest.fixture(scope="module")
def training() -> list[Configuration]:
    return cells(range(6))


@pytest.fixture(scope="module")
def selected(bare: Potential, training: list[Configuration]) -> Potential:
    return select(bare, training, threads=1)


def test_no_training_neighbourhood_is_an_extrapolation(selected: Potential, training: list[Configuration]) -> None:
    grades = np.concatenate(grade(selected, training))
    assert grades.max() <= 1.0 + TOLERANCE
    assert len(selected_rows(selected)) > 100


def test_grades_are_the_largest_coefficients_in_the_chosen_rows(selected: Potential) -> None:
    (cell,) = cells([100], rattle=0.2)
    assert selected.active_set is not None
    expected = np.abs(np.linalg.solve(selected.active_set.matrix.T, rows_of(selected, [cell]).T)).max(axis=0)
    np.testing.assert_allclose(grade(selected, [cell])[0], expected, rtol=1e-6)
    assert cell.cell is not None
    engine = Engine(selected, threads=1).grades(cell.types, cell.positions, cell.cell, [True] * 3)
    np.testing.assert_array_equal(grade(selected, [cell])[0], engine)


def test_volume_is_not_below_moteps_on_the_same_rows(selected: Potential, training: list[Configuration]) -> None:
    chosen = selected_rows(selected)
    size = np.abs(chosen).max(axis=0)
    size[size == 0.0] = 1.0
    # motep needs rows of full rank: those of the space that the chosen rows span
    span = np.linalg.svd(chosen / size, full_matrices=False)[2]
    every, ours = rows_of(selected, training) / size @ span.T, chosen / size @ span.T
    volume = np.linalg.slogdet(ours)[1]
    for init in ("qr", "random"):
        result = MotepMaxVol(init_method=init, rng=np.random.default_rng(0)).run(every)
        assert volume >= np.linalg.slogdet(every[result.indices])[1], init


def fresh_inverse(potential: Potential) -> FloatArray:
    """Inverse of the active set, all its rows of data made anew from the configurations that the file names."""
    active_set = potential.active_set
    assert active_set is not None
    stored = parse_cfg(active_set.configurations)
    rows = active_set.matrix.copy()  # of start rows, which are no data
    for index, configuration in enumerate(stored):
        mine = active_set.configuration_index == index
        atoms = active_set.equation_index[mine] - (1 + 3 * 52 + 9)
        rows[mine] = rows_of(potential, [configuration])[atoms]
    columns = np.abs(rows).max(axis=0)
    inverse: FloatArray = np.linalg.solve(rows / columns, np.eye(len(rows))) / columns[:, None]
    return inverse


def test_an_active_set_grown_in_steps_equals_a_fresh_factorization_of_its_rows(
    bare: Potential, training: list[Configuration]
) -> None:
    grown = select(bare, training[:2], threads=1)
    for end in range(3, 7):
        grown = select_add(grown, training[: end - 1], training[end - 1 : end], threads=1).potential
    assert grown.active_set is not None
    expected, found = fresh_inverse(grown), grown.active_set.inverse_transposed.T
    size = np.abs(expected).max(axis=1, keepdims=True)
    np.testing.assert_allclose(found / size, expected / size, rtol=0.0, atol=1e-9)
    candidates = cells(range(100, 102), rattle=0.2)
    grades = np.abs(rows_of(grown, candidates) @ expected).max(axis=1)
    np.testing.assert_allclose(np.concatenate(grade(grown, candidates)), grades, rtol=1e-9)


def test_adding_and_choosing_from_all_at_once_both_dominate_every_candidate(
    bare: Potential, training: list[Configuration]
) -> None:
    first, more = training[:3], training[3:]
    step = select_add(select(bare, first, threads=1), first, more, threads=1).potential
    whole = select(bare, training, threads=1)
    for potential in (step, whole):
        assert max(values.max() for values in grade(potential, training)) <= 1.0 + TOLERANCE
    # Both are local maxima of the volume, equal to 1 % in the geometric mean over the rows.
    assert log_volume(step) == pytest.approx(log_volume(whole), abs=0.01 * bare.parameter_count)
    assert len(selected_rows(step)) == pytest.approx(len(selected_rows(whole)), rel=0.02)
    logarithms = [np.log(np.concatenate(grade(p, cells(range(200, 203))))) for p in (step, whole)]
    assert np.median(logarithms[0]) == pytest.approx(np.median(logarithms[1]), abs=0.15)
    assert np.corrcoef(logarithms)[0, 1] > 0.9


def test_the_stored_inverse_is_that_of_the_matrix(selected: Potential) -> None:
    active_set = selected.active_set
    assert active_set is not None
    product = active_set.matrix @ active_set.inverse_transposed.T
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-7)


def test_a_selection_goes_on_from_its_file_as_if_it_had_never_stopped(
    selected: Potential, training: list[Configuration], tmp_path: Path
) -> None:
    write_potential(tmp_path / "stopped.almtp", selected)
    candidates = cells(range(10, 13), rattle=0.2)
    results = [
        select_add(p, training, candidates, threads=1) for p in (selected, read_potential(tmp_path / "stopped.almtp"))
    ]
    sets = [result.potential.active_set for result in results]
    assert sets[0] is not None
    assert sets[1] is not None
    assert results[0].selected == results[1].selected
    np.testing.assert_array_equal(sets[0].matrix, sets[1].matrix)
    np.testing.assert_array_equal(sets[0].inverse_transposed, sets[1].inverse_transposed)
    assert sets[0].configurations == sets[1].configurations


def test_candidates_are_added_until_all_is_interpolated(selected: Potential, training: list[Configuration]) -> None:
    candidates = [training[2], *cells(range(20, 24), rattle=0.2), training[2]]
    result = select_add(selected, training, candidates, threads=1)
    assert result.selected
    assert not {0, 5} & set(result.selected)
    assert max(values.max() for values in result.grades_after) <= 1.0 + TOLERANCE
    grown = [*training, *(candidates[index] for index in result.selected)]
    assert max(values.max() for values in grade(result.potential, grown)) <= 1.0 + TOLERANCE
    again = select_add(result.potential, grown, candidates, threads=1)
    assert again.selected == []
    np.testing.assert_array_equal(again.table["grade_before"], again.table["grade_after"])


def test_grades_before_and_after_are_those_of_the_potentials(
    selected: Potential, training: list[Configuration]
) -> None:
    candidates = cells(range(30, 33), rattle=0.2)
    result = select_add(selected, training, candidates, threads=1)
    for found, potential in ((result.grades_before, selected), (result.grades_after, result.potential)):
        for values, expected in zip(found, grade(potential, candidates), strict=True):
            np.testing.assert_allclose(values, expected, rtol=1e-9)
    table = result.table
    assert {len(column) for column in table.values()} == {3}
    np.testing.assert_array_equal(table["grade_before"], [values.max() for values in result.grades_before])
    np.testing.assert_array_equal(np.flatnonzero(table["selected"]), result.selected)
    assert table["selected_atoms"].sum() == sum(len(atoms) for atoms in result.atoms)


def test_the_atoms_named_are_those_in_the_active_set(selected: Potential, training: list[Configuration]) -> None:
    candidates = cells(range(40, 43), rattle=0.2)
    result = select_add(selected, training, candidates, threads=1)
    chosen = {row.tobytes() for row in selected_rows(result.potential)}
    for index, atoms in zip(result.selected, result.atoms, strict=True):
        rows = rows_of(selected, [candidates[index]])
        assert [atom for atom, row in enumerate(rows) if row.tobytes() in chosen] == atoms.tolist()


def test_a_limit_takes_the_highest_grades(selected: Potential, training: list[Configuration]) -> None:
    candidates = cells(range(50, 55), rattle=0.2)
    result = select_add(selected, training, candidates, limit=2, threads=1)
    assert set(result.selected) == set(np.argsort(-result.table["grade_before"])[:2].tolist())
    assert select_add(selected, training, candidates, limit=0, threads=1).selected == []


def test_a_threshold_leaves_mild_extrapolations_alone(selected: Potential, training: list[Configuration]) -> None:
    candidates = cells([60], rattle=0.15) + cells([61], rattle=0.3)
    before = [values.max() for values in grade(selected, candidates)]
    threshold = np.sqrt(before[0] * before[1])
    assert 1.1 < before[0] < threshold < before[1]
    assert select_add(selected, training, candidates, threshold=threshold, threads=1).selected == [1]


def test_without_an_active_set_adding_begins_from_the_training_data(
    bare: Potential, selected: Potential, training: list[Configuration]
) -> None:
    candidates = cells([70], rattle=0.2)
    fresh, kept = (select_add(p, training, candidates, threads=1) for p in (bare, selected))
    np.testing.assert_array_equal(fresh.grades_after[0], kept.grades_after[0])


@pytest.mark.parametrize("kind", ["scaled", "flipped", "mixed"])
def test_grades_do_not_depend_on_the_gauge(
    kind: str, bare: Potential, selected: Potential, training: list[Configuration]
) -> None:
    count = bare.radial_funcs_count
    mixing = {
        "scaled": np.diag(np.geomspace(0.07, 30.0, count)),
        "flipped": np.diag(np.where(np.arange(count) % 2 == 0, -1.0, 1.0)),
        "mixed": np.diag(np.linspace(0.5, 2.0, count)) + np.tril(np.full((count, count), 0.8), -1),
    }[kind]
    candidates = cells(range(80, 83))
    other = change_gauge(bare, mixing)
    expected = np.concatenate(grade(selected, candidates))
    found = np.concatenate(grade(select(other, training, threads=1), candidates))
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    np.testing.assert_allclose(np.concatenate(grade(change_gauge(selected, mixing), candidates)), expected, rtol=1e-8)


def test_grades_do_not_depend_on_the_unit_of_energy(
    bare: Potential, selected: Potential, training: list[Configuration]
) -> None:
    other = Potential(bare)
    other.moment_coeffs = 1000.0 * bare.moment_coeffs
    candidates = cells([84])
    found = grade(select(other, training, threads=1), candidates)[0]
    np.testing.assert_allclose(found, grade(selected, candidates)[0], rtol=1e-8)


def test_a_species_that_never_occurred_is_a_gross_extrapolation(bare: Potential) -> None:
    without = [Configuration(c.types[c.types != 3], c.positions[c.types != 3], c.cell) for c in cells(range(3))]
    potential = select(bare, without, threads=1)
    assert max(values.max() for values in grade(potential, without)) <= 1.0 + TOLERANCE
    (cell,) = cells([90])
    grades = grade(potential, [cell])[0]
    assert grades[cell.types == 3].min() > 1e4


def test_one_configuration_is_enough(bare: Potential) -> None:
    (cell,) = cells([91])
    assert grade(select(bare, [cell], threads=1), [cell])[0].max() <= 1.0 + TOLERANCE


def test_an_isolated_atom_is_enough(bare: Potential) -> None:
    atom = Configuration(np.array([0]), np.zeros((1, 3)))
    potential = select(bare, [atom], threads=1)
    np.testing.assert_allclose(grade(potential, [atom])[0], 1.0)
    assert grade(potential, cells([92]))[0].min() > 1e4


@pytest.mark.parametrize("chunk", [1, 60])
def test_rows_can_be_looked_at_a_few_at_a_time(
    chunk: int, bare: Potential, selected: Potential, training: list[Configuration], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtpcore.selection.CHUNK", chunk)
    monkeypatch.setattr("mtpcore.selection.DEEPENINGS", 0)
    potential = select(bare, training, threads=1)
    assert max(values.max() for values in grade(potential, training)) <= 1.0 + TOLERANCE
    assert log_volume(potential) == pytest.approx(log_volume(selected), abs=0.01 * bare.parameter_count)


def test_equal_configurations_are_stored_once(bare: Potential) -> None:
    (cell,) = cells([93])
    active_set = select(bare, [cell, cell, cell], threads=1).active_set
    assert active_set is not None
    assert len(parse_cfg(active_set.configurations)) == 1


def test_the_choice_is_the_same_for_any_number_of_threads(
    selected: Potential, bare: Potential, training: list[Configuration]
) -> None:
    other = select(bare, training, threads=3).active_set
    assert other is not None
    assert selected.active_set is not None
    np.testing.assert_array_equal(other.equation_index, selected.active_set.equation_index)
    np.testing.assert_array_equal(other.configuration_index, selected.active_set.configuration_index)


# ---------------------------------------------------------------- configuration mode


def test_whole_configurations_can_be_chosen(bare: Potential, training: list[Configuration]) -> None:
    potential = select(bare, training, mode="configuration", threads=1)
    active_set = potential.active_set
    assert active_set is not None
    assert not active_set.neighborhood_mode
    used = active_set.configuration_index >= 0
    np.testing.assert_array_equal(active_set.equation_index[used], 0)
    assert all(values.shape == (1,) for values in grade(potential, training))
    assert max(values.max() for values in grade(potential, training)) <= 1.0 + TOLERANCE
    means = np.array([rows_of(bare, [c]).mean(axis=0) for c in training])
    for row, index in zip(active_set.matrix[used], active_set.configuration_index[used], strict=True):
        stored = parse_cfg(active_set.configurations)[index]
        np.testing.assert_allclose(row, means[int(stored.energy or 0.0)], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("scaling", "factor"), [(0, 8.0), (1, np.sqrt(8.0)), (2, 1.0)])
def test_the_grade_of_a_supercell_follows_the_weight_scaling(scaling: int, factor: float) -> None:
    potential = random_native(2, 2, seed=1)
    small = random_cell(6, 2, seed=2)
    shifts = np.stack(np.meshgrid(*[[0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3) @ small.cell
    configuration = Configuration(small.types, small.positions, small.cell)
    large = Configuration(np.tile(small.types, 8), (shifts[:, None] + small.positions).reshape(-1, 3), 2.0 * small.cell)
    chosen = select(potential, [configuration], mode="configuration", weight_scaling=scaling, threads=1)
    assert grade(chosen, [large])[0][0] == pytest.approx(factor, rel=1e-6)


def test_configurations_are_added_like_neighbourhoods(bare: Potential, training: list[Configuration]) -> None:
    candidates = cells(range(20, 24), rattle=0.2)
    result = select_add(bare, training, candidates, mode="configuration", threads=1)
    assert result.selected
    assert all(len(atoms) == 52 for atoms in result.atoms)
    assert max(values.max() for values in result.grades_after) <= 1.0 + TOLERANCE
    grown = [*training, *(candidates[index] for index in result.selected)]
    assert select_add(result.potential, grown, candidates, threads=1).selected == []


# ---------------------------------------------------------------- the file


def parse_almtp(path: Path, parameter_count: int) -> dict[str, Any]:
    """What stands behind the text of an .almtp file, read as MLIP-3 reads it: by its '#' marks."""
    data = path.read_bytes()
    mark, _, rest = data.partition(b"#")[2].partition(b"\n")
    assert mark == b"MVS_v1.1"
    head, _, rest = rest.partition(b"#")
    words = head.split()
    count = parameter_count**2
    numbers = struct.unpack(f"<{2 * count}d", rest[: 16 * count])
    _, _, rest = rest[16 * count :].partition(b"#")
    links, _, text = rest.partition(b"#")
    return {
        "weights": {key.decode(): float(value) for key, value in zip(words[::2], words[1::2], strict=True)},
        "matrix": np.array(numbers[:count]).reshape(parameter_count, -1),
        "inverse_transposed": np.array(numbers[count:]).reshape(parameter_count, -1),
        "links": np.array(links.split(), dtype=int).reshape(-1, 2),
        "text": text.decode(),
    }


def test_files_hold_what_mlip_reads(
    selected: Potential, bare: Potential, training: list[Configuration], tmp_path: Path
) -> None:
    write_potential(tmp_path / "selected.almtp", selected)
    content = parse_almtp(tmp_path / "selected.almtp", selected.parameter_count)
    assert content["weights"] == {
        "energy_weight": 0.0,
        "force_weight": 0.0,
        "stress_weight": 0.0,
        "site_en_weight": 1.0,
        "weight_scaling": 2.0,
    }
    product = content["matrix"] @ content["inverse_transposed"].T
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-7)
    blocks = content["text"].split("BEGIN_CFG")[1:]
    listed = [
        sorted(map(int, line.split()[2].split(",")))
        for block in blocks
        for line in block.splitlines()
        if line.split()[:2] == ["Feature", "selected_eqn_inds"]
    ]
    links = content["links"]
    assert len(listed) == len(blocks) == links[:, 0].max() + 1
    for index, equations in enumerate(listed):
        assert sorted(links[links[:, 0] == index, 1].tolist()) == equations
    # Of a configuration's equations, energy, 3 N forces and 9 stresses come before the N site energies.
    energies = [float(block.split("Energy")[1].split()[0]) for block in blocks]
    for row, (index, equation) in zip(content["matrix"], links, strict=True):
        if index == -1:
            assert equation == -1
            continue
        rows = rows_of(bare, [training[int(energies[index])]])
        np.testing.assert_array_equal(row, rows[equation - (1 + 3 * 52 + 9)])


def test_configurations_in_the_file_keep_labels_and_features(bare: Potential, tmp_path: Path) -> None:
    (cell,) = cells([94])
    features = {"level_of_theory": "PBE", "selected_eqn_inds": "7"}
    labelled = replace(cell, forces=np.full((52, 3), 0.1), features=features)
    write_potential(tmp_path / "one.almtp", select(bare, [labelled], threads=1))
    stored = read_potential(tmp_path / "one.almtp").active_set
    assert stored is not None
    (found,) = parse_cfg(stored.configurations)
    assert found.energy == 94.0
    assert found.features["level_of_theory"] == "PBE"
    assert found.features["selected_eqn_inds"] != "7"
    np.testing.assert_array_equal(found.positions, cell.positions)
    assert found.forces is not None
    np.testing.assert_array_equal(found.forces, labelled.forces)


# ---------------------------------------------------------------- refusals


def test_an_active_set_of_other_coefficients_is_refused(selected: Potential, training: list[Configuration]) -> None:
    stale = set_parameters(selected, 1.1 * get_parameters(selected))
    stale.active_set = selected.active_set
    with pytest.raises(ActiveSetError, match="other coefficients"):
        select_add(stale, training, cells([95]))


def test_an_active_set_of_the_other_mode_is_refused(selected: Potential, training: list[Configuration]) -> None:
    with pytest.raises(ActiveSetError, match="in neighborhood mode, not in configuration mode"):
        select_add(selected, training, cells([95]), mode="configuration")


def test_an_active_set_of_forces_is_refused(selected: Potential) -> None:
    other = Potential(selected)
    active_set = other.active_set
    assert active_set is not None
    active_set.force_weight = 0.01
    with pytest.raises(ActiveSetError, match=r"0\.01"):
        grade(other, cells([95]))


@pytest.mark.parametrize(("column", "value"), [("configuration_index", 99), ("equation_index", 3)])
def test_links_that_lead_nowhere_are_refused(
    column: str, value: int, selected: Potential, training: list[Configuration]
) -> None:
    other = Potential(selected)
    active_set = other.active_set
    assert active_set is not None
    links = getattr(active_set, column).copy()
    links[np.flatnonzero(links >= 0)[0]] = value
    setattr(active_set, column, links)
    with pytest.raises(ActiveSetError, match="configuration"):
        select_add(other, training, cells([95]))


def test_grades_without_an_active_set_are_refused(bare: Potential) -> None:
    with pytest.raises(ActiveSetError, match="holds no active set"):
        grade(bare, cells([95]))


def test_an_empty_training_set_is_refused(bare: Potential) -> None:
    with pytest.raises(ActiveSetError, match="needs configurations"):
        select(bare, [])


@pytest.mark.parametrize(("threshold", "limit"), [(0.9, None), (2.0, -1)])
def test_thresholds_and_limits_out_of_range_are_refused(
    threshold: float, limit: int | None, bare: Potential, training: list[Configuration]
) -> None:
    with pytest.raises(ActiveSetError, match="must be at least"):
        select_add(bare, training, training, threshold=threshold, limit=limit)


def test_errors_name_the_configuration(selected: Potential) -> None:
    good = cells([96])[0]
    foreign = replace(good, types=np.where(np.arange(52) == 0, 7, good.types))
    twins = replace(good, positions=np.where(np.arange(52)[:, None] == 1, good.positions[0], good.positions))
    with pytest.raises(UnknownSpeciesError, match="configuration 1: "):
        grade(selected, [good, foreign])
    with pytest.raises(InvalidStructureError, match=r"configuration 2: .*coincide"):
        select(selected, [good, good, twins])


def test_rows_that_overflow_are_refused(bare: Potential) -> None:
    good = cells([97])[0]
    huge = Potential(bare)
    huge.radial_coeffs = np.full_like(bare.radial_coeffs, 1e100)
    huge.moment_coeffs = np.full_like(bare.moment_coeffs, 1e250)
    with pytest.raises(InvalidStructureError, match=r"configuration 0: .*overflow"):
        select(huge, [good])


# ---------------------------------------------------------------- ASE


def test_atoms_of_ase_are_graded_like_configurations(selected: Potential) -> None:
    atoms = li6ps5cl_cell(rattle=0.2, seed=98)
    expected = grade(selected, [Configuration.from_atoms(atoms, SPECIES)])[0]
    np.testing.assert_array_equal(grade(selected, [atoms], species=SPECIES)[0], expected)
    atoms.pbc = (True, True, False)
    assert grade(selected, [atoms], species=SPECIES)[0].max() > expected.max()
    with pytest.raises(MtpcoreError, match="need species"):
        grade(selected, [atoms])
    with pytest.raises(UnknownSpeciesError, match="configuration 0: Cl"):
        grade(selected, [atoms], species=["Li", "P", "S", "Br"])


def test_atoms_of_ase_are_chosen_like_configurations(bare: Potential, training: list[Configuration]) -> None:
    atoms = [c.to_atoms(SPECIES) for c in training[:2]]
    ours, theirs = select(bare, atoms, species=SPECIES), select(bare, training[:2])
    assert ours.active_set is not None
    assert theirs.active_set is not None
    np.testing.assert_array_equal(ours.active_set.matrix, theirs.active_set.matrix)
