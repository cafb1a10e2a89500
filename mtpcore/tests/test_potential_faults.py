"""Damaged files of potentials give a typed error with file, line, expectation and finding."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from potential_texts import CONFIGURATIONS, SMALL, TEMPLATE, put, read, selected_potential

from mtpcore import Engine, Potential, PotentialFormatError, read_potential, write_potential

# What is replaced, by what, on which line that is a fault, what was expected there, what was found
FAULTS = [
    ("MTP\n", "MPT\n", 1, "'MTP'", "'MPT'"),
    ("1.1.0", "1.2.0", 2, "version 1.1.0", "'1.2.0'"),
    ("scaling = 0.5", "scaling = O.5", 4, "a number (scaling)", "'O.5'"),
    ("scaling = 0.5", "scaling = 0.5.1", 4, "a number (scaling)", "'0.5.1'"),
    ("scaling = 0.5", "scaling = nan", 4, "a finite number (scaling)", "'nan'"),
    ("scaling = 0.5", "scaling = 1e999", 4, "double range", "'1e999'"),
    ("scaling = 0.5", "scaling = 0", 0, "a consistent potential", "scaling must be finite"),
    ("species_count = 2", "species_count = two", 5, "an integer (species_count)", "'two'"),
    ("species_count = 2", "species_count = 0", 5, "species_count in 1..1000", "0"),
    ("species_count = 2", "species_count = -2", 5, "species_count in 1..1000", "-2"),
    ("species_count = 2", "species_count = 3", 17, "a radial block of another", "1-0"),
    ("species_count = 2", "species_count = 1", 15, "'alpha_moments_count'", "'0-1"),
    ("species_count = 2\n", "", 6, "species_count before", "'radial_basis_type"),
    ("RBChebyshev", "RBTaylor", 7, "RBChebyshev", "'RBTaylor'"),
    ("min_dist = 1.5", "min_dist = 5", 0, "a consistent potential", "min_dist < max_dist"),
    ("max_dist = 5", "maximum = 5", 9, "'max_dist'", "'maximum"),
    ("basis_size = 3", "basis_size = 2", 14, "'}' after 2 entries of radial_coeffs", "', 0.3}'"),
    ("basis_size = 3", "basis_size = 4", 14, "4 entries of radial_coeffs", "only 3"),
    ("funcs_count = 1", "funcs_count = 2", 15, "'{'", "'0-1'"),
    ("funcs_count = 1", "funcs_count = 99999", 11, "radial_funcs_count in 1..1000", "99999"),
    ("\t\t0-1\n", "\t\t0-0\n", 15, "a radial block of another species", "0-0"),
    ("\t\t1-0\n", "\t\t0-1\n", 17, "radial block 1-0", "0-1"),
    ("0.4, 0.5", "0.4 0.5", 16, "3 entries of radial_coeffs", "only 1"),
    ("0.4, 0.5", "0.4, 0.5f", 16, "a number (radial_coeffs)", "'0.5f"),
    ("0.4, 0.5", "0.4, inf", 16, "a finite number (radial_coeffs)", "'inf"),
    ("{0.7, 0.8", "0.7, 0.8", 18, "'{'", "'0.7"),
    ("moments_count = 2", "moments_count = 3", 0, "a consistent", "moment 2 is never computed"),
    ("basic_count = 1", "basic_count = 2", 23, "2 entries of alpha_index_basic", "only 1"),
    ("{{0, 0, 0, 0}}", "{{1, 0, 0, 0}}", 0, "a consistent potential", "radial function 1 of 1"),
    ("{{0, 0, 0, 0}}", "{{0, 0, 0}}", 23, "4 entries of alpha_index_basic", "only 3"),
    ("{{0, 0, 0, 0}}", "{{0, 99, 0, 0}}", 0, "a consistent potential", "powers outside 0..32"),
    ("{{0, 0, 1, 1}}", "{{0, 1, 1, 1}}", 0, "a consistent potential", "factor not below"),
    ("{{0, 0, 1, 1}}", "{{0, 0, 0, 1}}", 0, "a consistent potential", "multiplicity 0"),
    ("{{0, 0, 1, 1}}", "{{0, 0, 1, 7}}", 0, "a consistent potential", "target 7"),
    ("{{0, 0, 1, 1}}", "{{0, -1, 1, 1}}", 25, "alpha_index_times in 0..", "-1"),
    ("mapping = {0, 1}", "mapping = {0, 0}", 0, "a consistent potential", "moment 0 twice"),
    ("mapping = {0, 1}", "mapping = {0, 2}", 0, "a consistent potential", "entry 2"),
    ("mapping = {0, 1}", "mapping = {0}", 27, "2 entries of alpha_moment_mapping", "only 1"),
    ("mapping = {0, 1}", "mapping = {0, 1.5}", 27, "a number", "'1.5}'"),
    ("{-1.5, 2.5}", "{-1.5}", 28, "2 entries of species_coeffs", "only 1"),
    ("{0.25, -0.125}", "{0.25, -0.125", 30, "'}' after 2 entries of moment", "the end of the file"),
    ("{0.25, -0.125}\n", "{0.25, -0.125}\nmore = 1\n", 30, "the end of the potential", "'more"),
    ("moment_coeffs", "linear_coeffs", 29, "'moment_coeffs'", "'linear_coeffs"),
    ("radial_funcs_count = 1", "magnetic_basis_type = B", 11, "a non-magnetic", "magnetic"),
    ("radial_funcs_count = 1", "radial_funcs_count = \x01\x02", 11, "an integer", "'??'"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[0]}-{fault[1]}".strip())
def test_a_fault_is_named_with_its_line(tmp_path: Path, fault: tuple[str, str, int, str, str]) -> None:
    old, new, line, expected, found = fault
    assert SMALL.count(old) == 1
    path = put(tmp_path, SMALL.replace(old, new))
    with pytest.raises(PotentialFormatError) as caught:
        read_potential(path)
    assert caught.value.path == path
    assert caught.value.line == line
    assert expected in caught.value.expected
    assert found in caught.value.found
    assert str(path) in str(caught.value)


def test_number_of_radial_functions_behind_their_coefficients_must_agree(tmp_path: Path) -> None:
    text = SMALL.replace("\tradial_funcs_count = 1\n", "")
    good = text.replace("alpha_moments_count", "radial_funcs_count = 1\nalpha_moments_count")
    assert read(tmp_path, good).radial_funcs_count == 1
    with pytest.raises(PotentialFormatError) as caught:
        read(tmp_path, good.replace("funcs_count = 1", "funcs_count = 2"))
    assert caught.value.line == 20


def test_coefficients_of_a_template_must_be_complete(tmp_path: Path) -> None:
    with pytest.raises(PotentialFormatError, match="radial_coeffs, since species_coeffs are given"):
        read(tmp_path, TEMPLATE + "species_coeffs = {0.0}\nmoment_coeffs = {0.0, 0.0}\n")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x00\xff\xfe", b"MTP", b"#MVS_v1.1\n"])
def test_files_that_hold_no_potential_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(PotentialFormatError):
        read(tmp_path, content)


def test_missing_files_and_folders_are_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(PotentialFormatError, match="No such file or directory"):
        read_potential(tmp_path / "missing.mtp")
    with pytest.raises(PotentialFormatError, match="Is a directory"):
        read_potential(tmp_path)


# ------------------------------------------------------------------ the active set


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file with an active set."""
    path = tmp_path_factory.mktemp("selected") / "p.almtp"
    write_potential(path, selected_potential())
    return path.read_bytes()


def matrix_start(content: bytes) -> int:
    """Position of the first byte of the active set's matrix."""
    return content.index(b"#", content.index(b"weight_scaling")) + 1


def bytes_of_matrix() -> int:
    return 8 * selected_potential().parameter_count ** 2


def negative_matrix(content: bytes) -> bytes:
    """The sign bit of the first diagonal entry flipped."""
    at = matrix_start(content) + 7
    return content[:at] + bytes([content[at] ^ 0x80]) + content[at + 1 :]


def infinite_matrix(content: bytes) -> bytes:
    at = matrix_start(content)
    return content[:at] + np.array([np.inf]).tobytes() + content[at + 8 :]


def inverse_not_transposed(content: bytes) -> bytes:
    at, size = matrix_start(content) + bytes_of_matrix(), bytes_of_matrix()
    count = selected_potential().parameter_count
    inverse = np.frombuffer(content[at : at + size]).reshape(count, count)
    return content[:at] + inverse.T.tobytes() + content[at + size :]


def cut_matrix(content: bytes) -> bytes:
    return content[: matrix_start(content) + bytes_of_matrix() + 100]


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old, new, 1)


@pytest.mark.parametrize(
    ("damage", "expected", "found"),
    [
        (negative_matrix, "an active set and its inverse", "other matrices"),
        (infinite_matrix, "finite numbers in the active-set matrices", "NaN or infinity"),
        (inverse_not_transposed, "an active set and its inverse", "other matrices"),
        (cut_matrix, "bytes of active-set matrix", "100"),
        (replaced(b"site_en_weight", b"site_weight"), "'site_en_weight'", "'site_weight"),
        (replaced(b"\n#\n-1 -1\n", b"\n#\n-1\n"), "index of an equation", ""),
        (replaced(b"\n#\n-1 -1\n", b"\n-1 -1\n"), "'#'", "'-1 -1'"),
        (replaced(b"\n0 1\n", b"\n5 1\n"), "configuration 5, which is linked to", "1 config"),
        (replaced(b"END_CFG", b"END"), "END_CFG", "the end of the file"),
        (replaced(b"#\nBEGIN_CFG", b"#\nBEGIN"), "'BEGIN_CFG'", "'BEGIN'"),
        (replaced(CONFIGURATIONS.encode(), b""), "configuration 0", "0 configurations"),
    ],
)
def test_a_fault_in_the_active_set_is_named(
    tmp_path: Path,
    selected: bytes,
    damage: Callable[[bytes], bytes],
    expected: str,
    found: str,
) -> None:
    damaged = damage(selected)
    assert damaged != selected
    with pytest.raises(PotentialFormatError) as caught:
        read(tmp_path, damaged)
    assert expected in caught.value.expected
    assert found in caught.value.found
    assert caught.value.line > 0


def test_lines_of_the_active_set_are_counted_from_the_begin_of_the_file(tmp_path: Path, selected: bytes) -> None:
    damaged = selected.replace(b"stress_weight 0", b"stress_weight x")
    with pytest.raises(PotentialFormatError) as caught:
        read(tmp_path, damaged)
    assert caught.value.line == 1 + selected[: selected.index(b"stress_weight")].count(b"\n")
    damaged = selected.replace(b"\n0 1\n", b"\nx 1\n")
    with pytest.raises(PotentialFormatError) as caught:
        read(tmp_path, damaged)
    assert caught.value.line == 2 + selected[: selected.index(b"\n0 1\n")].count(b"\n")


# ------------------------------------------------------------------ any damage


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    for size in range(len(SMALL) - 1):
        with pytest.raises(PotentialFormatError):
            read(tmp_path, SMALL[:size])


def test_an_active_set_cut_anywhere_is_refused(tmp_path: Path, selected: bytes) -> None:
    whole = len(selected.rstrip())
    mark = selected.index(b"\n#MVS_v1.1")
    start, links = matrix_start(selected), matrix_start(selected) + 2 * bytes_of_matrix()
    binary = range(start, links, 97)
    for size in (*range(mark + 2, start), *binary, *range(links, whole)):
        with pytest.raises(PotentialFormatError):
            read(tmp_path, selected[:size])


@st.composite
def edits(draw: st.DrawFn, longest: int = 12) -> list[tuple[str, float, bytes]]:
    """A few changes: kind, place as a fraction of the file, bytes."""
    kinds = st.sampled_from(["replace", "insert", "delete", "cut", "repeat"])
    pieces = st.one_of(
        st.binary(min_size=1, max_size=longest),
        st.sampled_from([b"{", b"}", b",", b"\n", b"-", b"0", b"9", b"e", b"#", b"=", b"nan"]),
        st.sampled_from([b"\n#MVS_v1.1\n", b"99999999", b"2147483648", b"1e308", b"-1", b"\xff"]),
    )
    return draw(st.lists(st.tuples(kinds, st.floats(0.0, 1.0), pieces), min_size=1, max_size=4))


def edited(content: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    for kind, place, piece in changes:
        at = int(place * len(content))
        match kind:
            case "replace":
                content = content[:at] + piece + content[at + len(piece) :]
            case "insert":
                content = content[:at] + piece + content[at:]
            case "delete":
                content = content[:at] + content[at + len(piece) :]
            case "cut":
                content = content[:at]
            case "repeat":
                content = content[:at] + content[max(0, at - 5 * len(piece)) :]
    return content


def assert_valid_or_refused(path: Path, content: bytes) -> None:
    """Either a potential that can be used and written again, or the one error that is allowed."""
    path.write_bytes(content)
    try:
        potential = read_potential(path)
    except PotentialFormatError as error:
        fault = error
    else:
        assert_useful(potential, path)
        return
    assert fault.expected
    assert fault.found
    assert fault.line <= content.count(b"\n") + 1


def assert_useful(potential: Potential, path: Path) -> None:
    """A potential that can be evaluated where the engine takes its size, and survives a write."""
    potential.validate()
    assert np.isfinite(potential.radial_coeffs).all()
    if potential.trained and potential.radial_funcs_count <= 8 and potential.radial_basis_size < 65:
        engine = Engine(potential, threads=1)
        cell = 6.0 * np.eye(3)
        positions = np.array([[0.0, 0.0, 0.0], [0.4, 0.3, 2.2]])
        engine.evaluate(np.zeros(2, dtype=np.int32), positions, cell, (True, True, False))
    write_potential(path, potential)
    first = path.read_bytes()
    write_potential(path, read_potential(path))
    assert path.read_bytes() == first


FUZZ = settings(max_examples=600, deadline=None, derandomize=True)


@FUZZ
@given(edits())
@example([("replace", 0.0, b"\xff")])
def test_any_damage_to_a_potential_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, float, bytes]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.mtp"
    assert_valid_or_refused(path, edited(SMALL.encode(), changes))


@FUZZ
@given(edits())
def test_any_damage_to_a_template_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, float, bytes]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.mtp"
    assert_valid_or_refused(path, edited(TEMPLATE.encode(), changes))


@FUZZ
@given(edits())
def test_any_damage_to_an_active_set_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory,
    selected: bytes,
    changes: list[tuple[str, float, bytes]],
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.almtp"
    assert_valid_or_refused(path, edited(selected, changes))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=400))
def test_any_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = put(tmp_path_factory.getbasetemp(), content, "fuzz.bin")
    with pytest.raises(PotentialFormatError):
        read_potential(path)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=6, max_size=6),
    st.text(alphabet=st.characters(exclude_characters="\n"), max_size=20),
)
def test_any_numbers_and_names_survive_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float], name: str
) -> None:
    path = put(tmp_path_factory.getbasetemp(), SMALL, "round.mtp")
    potential = read_potential(path)
    potential.radial_coeffs = np.resize(np.array(numbers), (2, 2, 1, 3))
    potential.name = name.strip()
    write_potential(path, potential)
    found = read_potential(path)
    assert found.radial_coeffs.tobytes() == potential.radial_coeffs.tobytes()
    assert found.name == potential.name
