"""Configuration files: exact round trips, exchange with motep and ASE, refusal of bad files."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from helpers import LI6PS5CL_NUMBERS, random_cell, random_potential_fields, to_atoms, to_motep
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from motep.calculator import MTP
from motep.io.mlip.cfg import read_cfg as motep_read
from motep.io.mlip.cfg import write_cfg as motep_write

from mtpcore.cfg import Configuration, iter_cfg, read_cfg, write_cfg
from mtpcore.errors import (
    CfgFormatError,
    FormatError,
    InvalidStructureError,
    MtpcoreError,
    UnknownSpeciesError,
)

SPECIES = ("Li", "P", "S", "Cl")
ARRAYS = ("types", "positions", "cell", "forces", "plus_stress", "grades")
# Written by hand after MLIP's layout; two blocks with everything a block can hold.
MLIP_FILE = """BEGIN_CFG
 Size
    2
 Supercell
         4.000000      0.000000      0.000000
         0.500000      5.000000      0.000000
         0.000000      0.250000      6.000000
 AtomData:  id type       cartes_x      cartes_y      cartes_z           fx          fy          fz
             1    0       0.000000      0.100000      0.200000    -0.100000    0.200000   -0.300000
             2    3       2.000000      2.500000      3.000000     0.100000   -0.200000    0.300000
 Energy
       -12.500000000000
 PlusStress:  xx          yy          zz          yz          xz          xy
     1.00000     2.00000     3.00000     4.00000     5.00000     6.00000
 Feature   EFS_by       VASP
 Feature   note\tfirst line with  two blanks
 Feature   note\tsecond line
 Feature   mindist 3.5
END_CFG

BEGIN_CFG
 Size
    1
 SuperCell
    4 0 0
    0 5 0
    0 0 6
 PlusStress:  xy xx yz yy zz xz
    6 1. 4e0 +2 .3E1 50e-1
 Energy
    1e-3
 Atomic_data:  direct_z type direct_x direct_y nbh_grades site_en ghost
    0.5 1 .25 0.75 1.75 -0.5 true
END_CFG
"""


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "test.cfg"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def assert_identical(found: Configuration, expected: Configuration) -> None:
    """Equal to the last bit, the sign of zero included."""
    for name in ARRAYS:
        a, b = getattr(found, name), getattr(expected, name)
        assert (a is None) == (b is None), name
        assert a is None or (a.shape == b.shape and a.tobytes() == b.tobytes()), name
    assert repr(found.energy) == repr(expected.energy)
    assert list(found.columns) == list(expected.columns)
    for name, column in found.columns.items():
        assert column.dtype == expected.columns[name].dtype
        assert column.tobytes() == expected.columns[name].tobytes()
    assert found.features == expected.features


def differing_fields(a: Configuration, b: Configuration) -> set[str]:
    """Names of the parts in which two configurations differ."""
    different = {name for name in (*ARRAYS, "energy") if not np.array_equal(getattr(a, name), getattr(b, name))}
    if {k: v.tolist() for k, v in a.columns.items()} != {k: v.tolist() for k, v in b.columns.items()}:
        different.add("columns")
    if a.features != b.features:
        different.add("features")
    return different


NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)
WORDS = st.text(min_size=1, max_size=8).filter(
    lambda text: text.isprintable() and text.encode().split() == [text.encode()]
)
LINES = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=12).map(
    lambda text: text.encode().strip().decode()
)


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    """Any configuration: extreme numbers, optional parts, strange names."""
    count = draw(st.integers(1, 4))

    def numbers(*shape: int) -> Any:
        return arrays(np.float64, shape, elements=NUMBERS)

    cell = draw(st.none() | arrays(np.float64, (3, 3), elements=st.floats(-1, 1)))
    taken = ("id", "type", "nbh_grades", "cartes_", "direct_", "fx", "fy", "fz")
    names = WORDS.filter(lambda name: not name.startswith(taken))
    column = numbers(count) | arrays(np.bool_, (count,))
    return Configuration(
        types=draw(arrays(np.int32, (count,), elements=st.integers(0, 99))),
        positions=draw(numbers(count, 3)),
        cell=None if cell is None else cell + np.diag([3.0, 4.0, 5.0]),
        energy=draw(st.none() | NUMBERS),
        forces=draw(st.none() | numbers(count, 3)),
        plus_stress=draw(st.none() | numbers(6)),
        grades=draw(st.none() | numbers(count)),
        columns=draw(st.dictionaries(names, column, max_size=2)),
        features=draw(st.dictionaries(WORDS, st.lists(LINES, min_size=1).map("\n".join), max_size=3)),
    )


@given(st.lists(configurations(), max_size=3))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_write_read_write_is_bit_identical(
    tmp_path_factory: pytest.TempPathFactory, expected: list[Configuration]
) -> None:
    path = tmp_path_factory.mktemp("cfg") / "a.cfg"
    write_cfg(path, expected)
    found = read_cfg(path)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert_identical(a, b)
    again = path.with_name("b.cfg")
    write_cfg(again, found)
    assert again.read_bytes() == path.read_bytes()


def test_a_file_of_mlip_is_read_to_the_last_column(tmp_path: Path) -> None:
    first, second = read_cfg(write(tmp_path, MLIP_FILE))
    assert first.types.tolist() == [0, 3]
    assert first.cell is not None
    assert first.cell.tolist() == [[4, 0, 0], [0.5, 5, 0], [0, 0.25, 6]]
    assert first.positions.tolist() == [[0, 0.1, 0.2], [2, 2.5, 3]]
    assert first.forces is not None
    assert first.forces.tolist() == [[-0.1, 0.2, -0.3], [0.1, -0.2, 0.3]]
    assert first.energy == -12.5
    assert first.plus_stress is not None
    assert first.plus_stress.tolist() == [1, 2, 3, 4, 5, 6]
    assert first.features == {
        "EFS_by": "VASP",
        "note": "first line with  two blanks\nsecond line",
        "mindist": "3.5",
    }
    assert (first.grades, first.columns) == (None, {})
    assert second.positions.tolist() == [[1.0, 3.75, 3.0]]
    assert second.plus_stress is not None
    assert second.plus_stress.tolist() == [1, 2, 3, 4, 5, 6]
    assert second.energy == 1e-3
    assert second.forces is None
    assert second.grades is not None
    assert second.grades.tolist() == [1.75]
    assert {k: v.tolist() for k, v in second.columns.items()} == {
        "site_en": [-0.5],
        "ghost": [True],
    }


def test_line_ends_of_windows_and_a_missing_last_one_change_nothing(tmp_path: Path) -> None:
    expected = read_cfg(write(tmp_path, MLIP_FILE))
    for text in (MLIP_FILE.replace("\n", "\r\n"), MLIP_FILE.rstrip("\n")):
        for a, b in zip(read_cfg(write(tmp_path, text)), expected, strict=True):
            assert_identical(a, b)


def test_an_empty_file_holds_no_configuration(tmp_path: Path) -> None:
    assert read_cfg(write(tmp_path, "")) == []
    write_cfg(tmp_path / "none.cfg", [])
    assert read_cfg(tmp_path / "none.cfg") == []


def test_iteration_yields_what_precedes_a_fault(tmp_path: Path) -> None:
    iterator = iter_cfg(write(tmp_path, MLIP_FILE + "BEGIN_CFG\n Size\n two\n"))
    assert [len(next(iterator).types), len(next(iterator).types)] == [2, 1]
    with pytest.raises(CfgFormatError):
        next(iterator)


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("BEGIN_CFG", "BEGIN", 1, "BEGIN_CFG"),
        (" Size\n    2\n", "", 6, "Size before the atom data"),
        ("    2\n", "    0\n", 3, "at least one"),
        ("    2\n", "    2.0\n", 3, "number of atoms"),
        ("    2\n", "    2 2\n", 3, "number of atoms"),
        ("    2\n", "    3\n", 11, "8 values of atom 3 of 3"),
        ("    2\n", "    1\n", 10, "section"),
        ("    2\n", "    " + 5000 * "2" + "\n", 3, "number of atoms"),
        ("         4.000000", " ", 5, "three lattice vectors"),
        ("4.000000 ", "0.000000 ", 19, "dependent"),
        ("    -0.100000", "    -nan", 9, "finite numbers"),
        ("    -0.100000", "    inf", 9, "finite numbers"),
        ("    -0.100000", "    1e999", 9, "finite numbers"),
        ("    -0.100000", "    1_0", 9, "finite numbers"),
        ("    -0.100000", "    0x1", 9, "finite numbers"),
        ("    -0.100000", "    \N{ARABIC-INDIC DIGIT ONE}", 9, "finite numbers"),
        ("    -0.100000", "    true", 9, "finite numbers"),
        ("    -0.100000", " ", 9, "8 values of atom 1 of 2"),
        ("    -0.100000", " 1 1", 9, "8 values of atom 1 of 2"),
        ("             2    3", "             3    3", 10, "id 2"),
        ("             2    3", "             2   -3", 10, "whole number as type"),
        ("             2    3", "             2   1.5", 10, "whole number as type"),
        ("id type ", "id kind ", 8, "type among them"),
        ("id type ", "fx type ", 8, "each once"),
        (" fx", " gx", 8, "fx fy fz"),
        ("cartes_x", "cartes_w", 8, "cartes_x cartes_y cartes_z"),
        ("-12.500000000000", "-12.5 1", 12, "the energy"),
        (" Energy\n", " Energy: \n", 11, "section not yet given"),
        (" Energy\n", " Supercell\n", 11, "section not yet given"),
        (" PlusStress:", " Stress:", 13, "PlusStress"),
        (" PlusStress:", " Virial:", 13, "PlusStress"),
        ("xx          yy ", "xx          xx ", 13, "xx yy zz yz xz xy"),
        ("     1.00000     2.00000", "     1.00000", 14, "six stress components"),
        (" Feature   EFS_by       VASP", " Feature", 15, "section"),
        (" Feature   mindist 3.5\nEND_CFG\n", "", 19, "section"),
        (" Supercell\n         4.000000", " Supercell\n", 5, "three lattice vectors"),
        ("    0.5 1 .25", "    0.5 1.0 .25", 33, "whole number as type"),
        (" SuperCell\n    4 0 0\n    0 5 0\n    0 0 6\n", "", 30, "Supercell with direct"),
        ("direct_z type direct_x direct_y", "a type b c", 32, "direct_x direct_y direct_z"),
        ("ghost\n    0.5", "type\n    0.5", 32, "each once"),
    ],
)
def test_a_fault_is_refused_with_its_place(tmp_path: Path, old: str, new: str, line: int, expected: str) -> None:
    assert MLIP_FILE.count(old) >= 1
    path = write(tmp_path, MLIP_FILE.replace(old, new, 1))
    with pytest.raises(CfgFormatError) as caught:
        read_cfg(path)
    error = caught.value
    assert error.path == path
    assert expected in str(error)
    assert str(error) == f"{path}:{error.line}: expected {error.expected}, found {error.found}"
    assert error.line == line
    assert isinstance(error, FormatError)
    assert isinstance(error, MtpcoreError)
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    "section",
    [
        " Size\n    2\n",
        " Supercell\n    4 0 0\n    0 5 0\n    0 0 6\n",
        " AtomData: type cartes_x cartes_y cartes_z\n    0 0 0 0\n    0 1 1 1\n",
        " Energy\n    -12.5\n",
        " PlusStress: xx yy zz yz xz xy\n    1 2 3 4 5 6\n",
    ],
)
def test_a_section_given_twice_is_refused(tmp_path: Path, section: str) -> None:
    path = write(tmp_path, MLIP_FILE.replace("END_CFG", section + "END_CFG", 1))
    with pytest.raises(CfgFormatError, match=":19: expected a section not yet given"):
        read_cfg(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    for old in (b"VASP", b"EFS_by", b" fx "):
        content = MLIP_FILE.encode().replace(old, b" \xff\xfe ", 1)
        with pytest.raises(CfgFormatError, match="UTF-8"):
            read_cfg(write(tmp_path, content))


def test_every_truncation_is_refused_unless_it_ends_between_configurations(
    tmp_path: Path, whole: list[Configuration]
) -> None:
    content = MLIP_FILE.encode()
    ends = [match.end() for match in re.finditer(b"END_CFG", content)]
    for length in range(len(content)):
        path = write(tmp_path, content[:length])
        complete = sum(end <= length for end in ends)
        between = content[ends[complete - 1] if complete else 0 : length].strip() == b""
        if between:
            found = read_cfg(path)
            assert len(found) == complete
            for a, b in zip(found, whole, strict=False):
                assert_identical(a, b)
        else:
            with pytest.raises(CfgFormatError):
                read_cfg(path)


# What the lines of the first block stand for, counted from 1; nothing for all others.
LINE_FIELDS = {
    **dict.fromkeys((5, 6, 7), frozenset({"cell"})),
    8: frozenset({"columns"}),
    **dict.fromkeys((9, 10), frozenset({"types", "positions", "forces"})),
    12: frozenset({"energy"}),
    **dict.fromkeys((13, 14), frozenset({"plus_stress"})),
    **dict.fromkeys((15, 16, 17, 18), frozenset({"features"})),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Configuration]:
    """What is in the undamaged file."""
    return read_cfg(write(tmp_path_factory.mktemp("whole"), MLIP_FILE))


@given(
    place=st.integers(0, MLIP_FILE.index("END_CFG") - 1),
    byte=st.sampled_from(b" \n\t\r0123456789.-+eE_XYaxyz#\x00\xff"),
)
@settings(max_examples=1500, deadline=None)
def test_a_changed_byte_is_refused_or_changes_only_what_it_stands_for(
    tmp_path_factory: pytest.TempPathFactory, whole: list[Configuration], place: int, byte: int
) -> None:
    content = bytearray(MLIP_FILE.encode())
    content[place] = byte
    path = write(tmp_path_factory.mktemp("fuzz"), bytes(content))
    try:
        found = read_cfg(path)
    except CfgFormatError:
        return
    line = MLIP_FILE[:place].count("\n") + 1
    assert len(found) == len(whole)
    assert_identical(found[1], whole[1])
    assert differing_fields(found[0], whole[0]) <= LINE_FIELDS.get(line, frozenset())


@given(
    place=st.integers(0, len(MLIP_FILE)),
    removed=st.integers(0, 40),
    inserted=st.binary(max_size=12)
    | st.sampled_from([b"BEGIN_CFG\n", b"END_CFG\n", b" Size\n 1\n", b" Energy\n 1\n", b"Feature a\n"]),
)
@settings(max_examples=1500, deadline=None)
def test_no_damage_raises_anything_but_a_format_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, removed: int, inserted: bytes
) -> None:
    content = MLIP_FILE.encode()
    damaged = content[:place] + inserted + content[place + removed :]
    path = write(tmp_path_factory.mktemp("fuzz"), damaged)
    try:
        found = read_cfg(path)
    except CfgFormatError:
        return
    for configuration in found:
        assert np.isfinite(configuration.positions).all()
    write_cfg(path.with_name("again.cfg"), found)
    for a, b in zip(read_cfg(path.with_name("again.cfg")), found, strict=True):
        assert_identical(a, b)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = write(tmp_path_factory.mktemp("fuzz"), content)
    if content.strip():
        with pytest.raises(CfgFormatError):
            read_cfg(path)
    else:
        assert read_cfg(path) == []


def labelled_atoms(seed: int, level: int = 8) -> Atoms:
    """Random atoms with the labels of a random potential, computed by motep."""
    atoms: Any = to_atoms(random_cell(6, 4, seed), LI6PS5CL_NUMBERS)
    atoms.calc = MTP(to_motep(random_potential_fields(level, 4, seed), LI6PS5CL_NUMBERS))
    calculator: Any = SinglePointCalculator
    labels = {
        "energy": atoms.get_potential_energy(),
        "forces": atoms.get_forces(),
        "stress": atoms.get_stress(),
    }
    atoms.calc = calculator(atoms, **labels)
    labelled: Atoms = atoms
    return labelled


def test_motep_reads_what_is_written(tmp_path: Path) -> None:
    atoms: Any = labelled_atoms(1)
    # motep does not take exponents in the atom data
    atoms.calc.results["forces"][0] = [1e-9, -2.5e17, 1e-300]
    configuration = Configuration.from_atoms(atoms, SPECIES)
    graded = Configuration(**{**vars(configuration), "grades": np.linspace(0.5, 3.0, 6)})
    write_cfg(tmp_path / "a.cfg", [configuration, graded])
    found: Any = motep_read(str(tmp_path / "a.cfg"), index=":", species=list(SPECIES))
    assert len(found) == 2
    for image in found:
        assert (image.numbers == atoms.numbers).all()
        np.testing.assert_array_equal(image.positions, atoms.positions)
        np.testing.assert_array_equal(image.cell, atoms.cell)
        assert image.get_potential_energy() == atoms.get_potential_energy()
        np.testing.assert_array_equal(image.get_forces(), atoms.get_forces())
        np.testing.assert_allclose(image.get_stress(), atoms.get_stress(), rtol=1e-12)
    np.testing.assert_array_equal(found[1].calc.results["nbh_grades"], graded.grades)


def test_what_motep_writes_is_read(tmp_path: Path) -> None:
    atoms: Any = labelled_atoms(2)
    atoms.calc.results["MV_grade"] = 1.5
    atoms.calc.results["nbh_grades"] = np.arange(6) / 4
    atoms.info["EFS_by"] = "VASP"
    motep_write(str(tmp_path / "a.cfg"), [atoms, atoms], species=list(SPECIES))
    found = read_cfg(tmp_path / "a.cfg")
    assert len(found) == 2
    image: Any = found[1].to_atoms(SPECIES)
    assert (image.numbers == atoms.numbers).all()
    np.testing.assert_allclose(image.positions, atoms.positions, atol=6e-7)
    np.testing.assert_allclose(image.cell, atoms.cell, atol=6e-7)
    assert image.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), abs=1e-11)
    np.testing.assert_allclose(image.get_forces(), atoms.get_forces(), atol=6e-7)
    volume = atoms.get_volume()
    np.testing.assert_allclose(image.get_stress() * volume, atoms.get_stress() * volume, atol=1e-4)
    np.testing.assert_array_equal(image.arrays["nbh_grades"], np.arange(6) / 4)
    assert found[1].features == {"EFS_by": "VASP", "MV_grade": "1.500000"}


def test_plus_stress_is_minus_the_strain_derivative_of_the_energy() -> None:
    atoms: Any = labelled_atoms(3)
    configuration = Configuration.from_atoms(atoms, SPECIES)
    potential = to_motep(random_potential_fields(8, 4, 3), LI6PS5CL_NUMBERS)
    energies = []
    for sign in (1, -1):
        strained: Any = atoms.copy()
        strain = np.eye(3)
        strain[0, 1] += sign * 1e-5
        strained.set_cell(strained.cell @ strain, scale_atoms=True)
        strained.calc = MTP(potential)
        energies.append(strained.get_potential_energy())
    slope = (energies[0] - energies[1]) / 2e-5
    assert configuration.plus_stress is not None
    assert configuration.plus_stress[5] == pytest.approx(-slope, rel=1e-5)


def test_atoms_survive_the_way_through_a_configuration() -> None:
    atoms: Any = labelled_atoms(4)
    atoms.set_array("nbh_grades", np.arange(6.0))
    atoms.set_array("site_en", np.arange(6.0) - 3.0)
    atoms.info["level_of_theory"] = "PBE"
    atoms.info["step"] = 7
    configuration = Configuration.from_atoms(atoms, SPECIES)
    assert configuration.features == {"level_of_theory": "PBE", "step": "7"}
    found: Any = configuration.to_atoms(SPECIES)
    np.testing.assert_array_equal(found.positions, atoms.positions)
    np.testing.assert_array_equal(found.cell, atoms.cell)
    assert found.pbc.all()
    assert found.get_potential_energy() == atoms.get_potential_energy()
    np.testing.assert_array_equal(found.get_forces(), atoms.get_forces())
    np.testing.assert_allclose(found.get_stress(), atoms.get_stress(), rtol=1e-14)
    for name in ("nbh_grades", "site_en"):
        np.testing.assert_array_equal(found.arrays[name], atoms.arrays[name])
    assert found.info == configuration.features


def test_reference_labels_go_before_the_calculator_and_are_not_mixed_with_it() -> None:
    atoms: Any = labelled_atoms(5)
    forces = np.arange(18.0).reshape(6, 3)
    atoms.info["REF_energy"] = -7.0
    atoms.arrays["REF_forces"] = forces
    found = Configuration.from_atoms(atoms, SPECIES)
    assert found.energy == -7.0
    np.testing.assert_array_equal(found.forces, forces)
    assert found.plus_stress is None
    assert found.features == {}
    assert found.columns == {}
    voigt = np.arange(1.0, 7.0)
    tensor = np.array([[1.0, 6, 5], [6, 2, 4], [5, 4, 3]])
    for stress in (voigt, tensor, tensor.ravel()):
        atoms.info["REF_stress"] = stress
        found = Configuration.from_atoms(atoms, SPECIES)
        assert found.plus_stress is not None
        np.testing.assert_allclose(found.plus_stress, -atoms.get_volume() * voigt, rtol=1e-14)


def test_stale_results_of_a_calculator_are_not_taken() -> None:
    atoms: Any = labelled_atoms(6)
    atoms.positions[0] += 0.1
    found = Configuration.from_atoms(atoms, SPECIES)
    assert (found.energy, found.forces, found.plus_stress) == (None, None, None)


def test_nothing_is_computed_to_get_labels() -> None:
    class Refusing(Calculator):
        implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  as ASE has it

        def calculate(self, *_: Any, **__: Any) -> None:
            raise AssertionError

    atoms: Any = labelled_atoms(7)
    refusing: Any = Refusing
    atoms.calc = refusing()
    assert Configuration.from_atoms(atoms, SPECIES).energy is None
    atoms.calc = None
    assert Configuration.from_atoms(atoms, SPECIES).energy is None


def test_open_boundaries_have_no_cell_and_mixed_ones_are_refused() -> None:
    atoms: Any = labelled_atoms(8)
    atoms.calc = None
    atoms.pbc = False
    found = Configuration.from_atoms(atoms, SPECIES)
    assert found.cell is None
    opened: Any = found.to_atoms(SPECIES)
    assert not opened.pbc.any()
    atoms.pbc = (True, True, False)
    with pytest.raises(InvalidStructureError, match="all periodic or all open"):
        Configuration.from_atoms(atoms, SPECIES)


def test_unknown_species_are_refused_by_name() -> None:
    atoms = labelled_atoms(9)
    with pytest.raises(UnknownSpeciesError, match="Cl"):
        Configuration.from_atoms(atoms, SPECIES[:3])
    with pytest.raises(UnknownSpeciesError, match="type 3"):
        Configuration.from_atoms(atoms, SPECIES).to_atoms(SPECIES[:3])


@pytest.mark.parametrize(
    "change",
    [
        {"types": np.zeros((2, 1), dtype=np.int32)},
        {"types": np.zeros(0, dtype=np.int32)},
        {"types": np.array([0.0, 1.0])},
        {"types": np.array([0, -1])},
        {"types": np.array([0, 10**9])},
        {"positions": np.zeros((3, 3))},
        {"positions": None},
        {"positions": np.full((2, 3), np.nan)},
        {"positions": "here"},
        {"cell": np.zeros((3, 3))},
        {"cell": np.ones((3, 3))},
        {"energy": np.inf},
        {"forces": np.zeros(6)},
        {"plus_stress": np.zeros((3, 3))},
        {"grades": np.zeros(3)},
        {"columns": {"fx": np.zeros(2)}},
        {"columns": {"two words": np.zeros(2)}},
        {"columns": {"": np.zeros(2)}},
        {"columns": {"site_en": np.zeros(3)}},
        {"columns": {"ghost": np.array(["true", "maybe"])}},
        {"features": {"two words": "x"}},
        {"features": {"x": " y"}},
        {"features": {"x": "y\n z"}},
        {"features": {"x": "\ud800"}},
        {"features": {"\ud800": "x"}},
    ],
)
def test_inconsistent_configurations_cannot_be_made(change: dict[str, Any]) -> None:
    sound: dict[str, Any] = {"types": np.array([0, 1]), "positions": np.zeros((2, 3))}
    Configuration(**sound)
    with pytest.raises(InvalidStructureError):
        Configuration(**{**sound, **change})


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path, MLIP_FILE)
    sound = read_cfg(path)[0]
    with pytest.raises(AttributeError):
        write_cfg(path, [sound, "not a configuration"])  # type: ignore[list-item]
    assert path.read_text() == MLIP_FILE
    assert list(tmp_path.iterdir()) == [path]
