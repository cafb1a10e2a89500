"""Files of potentials: round trips, exchange with other programs, the binary layout, and faults."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers import LI6PS5CL_NUMBERS, random_cell, random_potential_fields, to_motep
from motep.io.mlip.mtp import read_mtp, write_mtp
from native import random_native, with_active_set
from potential_texts import CONFIGURATIONS, SMALL, TEMPLATE, put, read, selected_potential

from mtpcore import (
    Engine,
    Potential,
    new_potential,
    read_potential,
    write_potential,
)

type FloatArray = npt.NDArray[np.float64]

COEFFICIENTS = ("radial_coeffs", "species_coeffs", "moment_coeffs")
TABLES = ("alpha_index_basic", "alpha_index_times", "alpha_moment_mapping")


def assert_same(found: Potential, expected: Potential) -> None:
    """Equal bit for bit, active set included."""
    names = ["name", "tag", "scaling", "species_count", "min_dist", "max_dist", "trained"]
    names += ["radial_basis_size", "radial_funcs_count", "alpha_moments_count"]
    for name in names:
        assert getattr(found, name) == getattr(expected, name), name
    for name in (*COEFFICIENTS, *TABLES):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    assert (found.active_set is None) == (expected.active_set is None)
    if found.active_set is None or expected.active_set is None:
        return
    for name in ("energy_weight", "force_weight", "stress_weight", "site_energy_weight"):
        assert getattr(found.active_set, name) == getattr(expected.active_set, name), name
    for name in ("matrix", "inverse_transposed", "configuration_index", "equation_index"):
        np.testing.assert_array_equal(getattr(found.active_set, name), getattr(expected.active_set, name), err_msg=name)
    assert found.active_set.weight_scaling == expected.active_set.weight_scaling
    assert found.active_set.configurations == expected.active_set.configurations


# ------------------------------------------------------------------ round trips


@pytest.mark.parametrize("level", [2, 8, 16, 20])
@pytest.mark.parametrize("species_count", [1, 4])
def test_what_was_written_is_read_bit_for_bit(tmp_path: Path, level: int, species_count: int) -> None:
    potential = random_native(level, species_count, seed=level)
    write_potential(tmp_path / "p.mtp", potential)
    assert_same(read_potential(tmp_path / "p.mtp"), potential)


@pytest.mark.parametrize("make", [lambda: random_native(12, 3), selected_potential])
def test_write_read_write_gives_the_same_file(tmp_path: Path, make: Any) -> None:
    write_potential(tmp_path / "first", make())
    write_potential(tmp_path / "second", read_potential(tmp_path / "first"))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_active_set_is_read_bit_for_bit(tmp_path: Path) -> None:
    potential = selected_potential()
    write_potential(tmp_path / "p.almtp", potential)
    assert_same(read_potential(tmp_path / "p.almtp"), potential)


def test_active_set_of_configurations_keeps_its_mode(tmp_path: Path) -> None:
    potential = selected_potential()
    active_set: Any = potential.active_set
    active_set.energy_weight, active_set.site_energy_weight = 1.0, 0.0
    potential.active_set = active_set
    write_potential(tmp_path / "p.almtp", potential)
    found = read_potential(tmp_path / "p.almtp").active_set
    assert found is not None
    assert found.energy_weight == 1.0
    assert not found.neighborhood_mode


@pytest.mark.parametrize(
    "name",
    [
        "",
        "MTP of Li6PS5Cl, r = 5 A",
        "scaling = 3",
        "#MVS_v1.1",
        "Kraft's potential \u2014 \u03b1/\u03b2",
        "radial_coeffs",
        "\udcff not UTF-8",
    ],
)
def test_awkward_names_and_tags_survive(tmp_path: Path, name: str) -> None:
    potential = random_native(2, 1)
    potential.name = potential.tag = name
    write_potential(tmp_path / "p.mtp", potential)
    assert_same(read_potential(tmp_path / "p.mtp"), potential)


@pytest.mark.parametrize("name", ["two\nlines", " blank before", "blank behind ", "return\r"])
def test_names_that_would_not_survive_are_not_written(tmp_path: Path, name: str) -> None:
    potential = random_native(2, 1)
    potential.name = name
    with pytest.raises(ValueError, match="name and tag must be single lines"):
        write_potential(tmp_path / "p.mtp", potential)
    assert not list(tmp_path.iterdir())


def test_a_name_that_hides_the_active_set_is_not_written(tmp_path: Path) -> None:
    """MLIP takes the first '#' of a file for the mark of the active set."""
    potential = selected_potential()
    potential.tag = "fit #3"
    with pytest.raises(ValueError, match="must hold no '#'"):
        write_potential(tmp_path / "p.almtp", potential)


@pytest.mark.parametrize("value", [5e-324, -2.2250738585072014e-308, 1.7976931348623157e308, -0.0])
def test_extreme_numbers_survive(tmp_path: Path, value: float) -> None:
    potential = random_native(2, 1)
    potential.moment_coeffs = np.full(len(potential.moment_coeffs), value)
    write_potential(tmp_path / "p.mtp", potential)
    found = read_potential(tmp_path / "p.mtp").moment_coeffs
    assert found.tobytes() == potential.moment_coeffs.tobytes()


def test_species_labels_survive(tmp_path: Path) -> None:
    text = SMALL.replace("0-0", "3-3").replace("0-1", "3-17").replace("1-0", "17-3")
    potential = read(tmp_path, text.replace("1-1\n", "17-17\n"))
    assert list(potential.species_labels) == [3, 17]
    write_potential(tmp_path / "copy.mtp", potential)
    assert "\t\t3-17\n" in (tmp_path / "copy.mtp").read_text()
    assert_same(read_potential(tmp_path / "copy.mtp"), potential)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = put(tmp_path, SMALL)
    potential = read_potential(path)
    potential.moment_coeffs = np.array([np.nan, 1.0])
    with pytest.raises(ValueError, match="NaN"):
        write_potential(path, potential)
    assert path.read_text() == SMALL
    assert list(tmp_path.iterdir()) == [path]


def test_writing_into_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"cannot write .*No such file or directory"):
        write_potential(tmp_path / "nowhere" / "p.mtp", random_native(2, 1))


# ------------------------------------------------------------------ other programs


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize(("level", "species_count"), [(2, 1), (8, 4), (16, 2)])
def test_files_of_motep_are_read(tmp_path: Path, level: int, species_count: int, *, legacy: bool) -> None:
    fields = random_potential_fields(level, species_count, seed=1)
    write_mtp(tmp_path / "m.mtp", to_motep(fields, LI6PS5CL_NUMBERS[:species_count]), legacy=legacy)
    found = read_potential(tmp_path / "m.mtp")
    for name in ("min_dist", "max_dist", "scaling", *COEFFICIENTS):
        # motep writes 16 significant digits.
        np.testing.assert_allclose(getattr(found, name), fields[name], rtol=1e-15, err_msg=name)
    for name in TABLES:
        np.testing.assert_array_equal(getattr(found, name), fields[name], err_msg=name)


@pytest.mark.parametrize(("level", "species_count"), [(2, 1), (8, 4), (16, 2)])
def test_motep_reads_our_files(tmp_path: Path, level: int, species_count: int) -> None:
    potential = random_native(level, species_count)
    write_potential(tmp_path / "p.mtp", potential)
    found = read_mtp(tmp_path / "p.mtp")
    assert (found.radial_basis.min, found.radial_basis.max) == (1.5, 5.0)
    assert found.scaling == potential.scaling
    for name in (*COEFFICIENTS, *TABLES):
        np.testing.assert_array_equal(getattr(found, name), getattr(potential, name), err_msg=name)


def test_template_without_coefficients_is_read_as_untrained(tmp_path: Path) -> None:
    template = read(tmp_path, TEMPLATE)
    assert not template.trained
    assert (template.min_dist, template.max_dist, template.radial_basis_size) == (2.0, 5.0, 8)
    assert template.parameter_count == 8 + 1 + 2
    write_potential(tmp_path / "copy.mtp", template)
    assert_same(read_potential(tmp_path / "copy.mtp"), template)
    assert "coeffs" not in (tmp_path / "copy.mtp").read_text()


def test_new_potential_has_the_tables_of_the_template_and_can_be_trained(tmp_path: Path) -> None:
    made = new_potential(8, 3, min_dist=1.4, max_dist=5.5)
    assert not made.trained
    write_potential(tmp_path / "p.mtp", made)
    assert_same(read_potential(tmp_path / "p.mtp"), made)
    made.trained = True
    assert Engine(made).evaluate(*random_cell(6, 3, seed=1)).energy == 0.0


@pytest.mark.parametrize(
    ("low", "high", "size"),
    [
        ("min_dist", "max_dist", "radial_basis_size"),
        ("min_val", "max_val", "basis_size"),
        ("min", "max", "size"),
    ],
)
def test_every_generation_of_keys_is_read(tmp_path: Path, low: str, high: str, size: str) -> None:
    text = SMALL.replace("min_dist", low).replace("max_dist", high)
    assert_same(
        read(tmp_path, text.replace("radial_basis_size", size)),
        read_potential(put(tmp_path, SMALL)),
    )


def test_line_ends_of_other_systems_are_read(tmp_path: Path) -> None:
    assert_same(read(tmp_path, SMALL.replace("\n", "\r\n")), read(tmp_path, SMALL))


def test_values_are_where_they_belong(tmp_path: Path) -> None:
    potential = read(tmp_path, SMALL)
    assert potential.radial_coeffs.shape == (2, 2, 1, 3)
    np.testing.assert_array_equal(potential.radial_coeffs[0, 1, 0], [0.4, 0.5, 0.6])
    np.testing.assert_array_equal(potential.radial_coeffs[1, 1, 0], [1.0, 1.1, -0.12])
    np.testing.assert_array_equal(potential.species_coeffs, [-1.5, 2.5])
    np.testing.assert_array_equal(potential.moment_coeffs, [0.25, -0.125])
    assert (potential.scaling, potential.min_dist, potential.max_dist) == (0.5, 1.5, 5.0)


# ------------------------------------------------------------------ layout of the active set


def split_active_set(content: bytes, count: int) -> dict[str, Any]:
    """The parts of an .almtp file, by MLIP-3's layout and none of the code under test."""
    text, mark, rest = content.partition(b"\n#MVS_v1.1\n")
    assert mark, "no active set"
    lines = rest.split(b"\n", 5)
    weights = dict(line.split(b" ") for line in lines[:5])
    binary = lines[5]
    assert binary[:1] == b"#"
    size = count * count
    numbers = struct.unpack_from(f"<{2 * size}d", binary, 1)
    tail = binary[1 + 16 * size :]
    assert tail[:3] == b"\n#\n"
    *links, configurations = tail[3:].split(b"\n", count + 1)
    assert links.pop() == b"#"
    return {
        "text": text,
        "weights": {key.decode(): float(value) for key, value in weights.items()},
        "matrix": np.reshape(numbers[:size], (count, count)),
        "inverse_transposed": np.reshape(numbers[size:], (count, count)),
        "links": [tuple(map(int, line.split(b" "))) for line in links],
        "configurations": configurations.decode(),
    }


def test_active_set_has_the_layout_of_mlip(tmp_path: Path) -> None:
    potential = selected_potential()
    active_set: Any = potential.active_set
    write_potential(tmp_path / "p.almtp", potential)
    parts = split_active_set((tmp_path / "p.almtp").read_bytes(), potential.parameter_count)
    assert list(parts["weights"].items()) == [
        ("energy_weight", 0.0),
        ("force_weight", 0.0),
        ("stress_weight", 0.0),
        ("site_en_weight", 1.0),
        ("weight_scaling", 2.0),
    ]
    np.testing.assert_array_equal(parts["matrix"], active_set.matrix)
    np.testing.assert_array_equal(parts["inverse_transposed"], active_set.inverse_transposed)
    links = zip(active_set.configuration_index, active_set.equation_index, strict=True)
    assert parts["links"] == list(links)
    assert parts["configurations"] == CONFIGURATIONS
    # The text before it is the .mtp file.
    potential.active_set = None
    write_potential(tmp_path / "p.mtp", potential)
    assert (tmp_path / "p.mtp").read_bytes() == parts["text"]


def test_stored_inverse_is_transposed(tmp_path: Path) -> None:
    potential = selected_potential()
    write_potential(tmp_path / "p.almtp", potential)
    found: Any = read_potential(tmp_path / "p.almtp").active_set
    product = found.matrix @ found.inverse_transposed.T
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-12)


def test_an_active_set_written_by_hand_is_read(tmp_path: Path) -> None:
    count = read(tmp_path, SMALL).parameter_count
    matrix = np.eye(count) + np.triu(np.full((count, count), 0.25), 1)
    inverse = np.linalg.inv(matrix)
    head = "\n#MVS_v1.1\nenergy_weight 0\nforce_weight 0.0\nstress_weight 0e0\n"
    content = (SMALL + head + "site_en_weight 1\nweight_scaling 0\n#").encode()
    content += struct.pack(f"<{count**2}d", *matrix.ravel())
    content += struct.pack(f"<{count**2}d", *inverse.T.ravel())
    content += b"\n#\n" + b"".join(b"0 %d\n" % row for row in range(count))
    content += b"#\n" + CONFIGURATIONS.encode()
    found: Any = read(tmp_path, content).active_set
    np.testing.assert_array_equal(found.matrix, matrix)
    np.testing.assert_array_equal(found.inverse_transposed, inverse.T)
    np.testing.assert_array_equal(found.configuration_index, np.zeros(count))
    np.testing.assert_array_equal(found.equation_index, np.arange(count))
    assert found.configurations == CONFIGURATIONS
    write_potential(tmp_path / "copy.almtp", read(tmp_path, content))
    assert (tmp_path / "copy.almtp").read_bytes().endswith(content[content.index(b"\n#\n") :])


def test_an_ill_conditioned_active_set_is_read(tmp_path: Path) -> None:
    """Rows of an active set start at 1e-6 and grow to thousands."""
    potential = random_native(4, 2)
    rng = np.random.default_rng(0)
    count = potential.parameter_count
    matrix = 10.0 ** rng.uniform(-6, 4, size=(count, 1)) * rng.normal(size=(count, count))
    write_potential(tmp_path / "p.almtp", with_active_set(potential, matrix))
    found: Any = read_potential(tmp_path / "p.almtp").active_set
    np.testing.assert_array_equal(found.matrix, matrix)
