"""Extended XYZ: exact, and the same to ASE's reader and ours."""

import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.io.extxyz import key_val_dict_to_str, read_xyz
from ase.spacegroup import Spacegroup
from hypothesis import example, given
from hypothesis import strategies as st

from argyro.common.errors import FileError
from argyro.common.extxyz import format_structure, read_structure, read_structures, write_structures


def structure() -> Atoms:
    rng = np.random.default_rng(1)
    atoms = Atoms("LiPSCl", positions=rng.normal(size=(4, 3)), cell=rng.normal(size=(3, 3)), pbc=[True, False, True])
    atoms.info.update(energy_eV=1 / 3, name="two words", REF_stress=rng.normal(size=6), good=True, count=3)
    atoms.set_array("REF_forces", rng.normal(size=(4, 3)))
    atoms.set_array("grain", np.arange(4))
    atoms.set_array("fixed", np.array([True, False, False, True]))
    return atoms


def test_extended_xyz_is_exact(tmp_path: Path) -> None:
    atoms = structure()
    write_structures(tmp_path / "a.extxyz", [atoms])
    found = read_structure(tmp_path / "a.extxyz")
    assert np.array_equal(found.cell.array, atoms.cell.array)
    assert found.pbc.tolist() == [True, False, True]
    assert {k: v.tolist() for k, v in found.arrays.items()} == {k: v.tolist() for k, v in atoms.arrays.items()}
    assert found.info["energy_eV"] == 1 / 3
    assert np.array_equal(found.info["REF_stress"], atoms.info["REF_stress"])
    assert (found.info["name"], found.info["good"], found.info["count"]) == ("two words", True, 3)


def test_number_of_structures_is_checked(tmp_path: Path) -> None:
    write_structures(tmp_path / "two.extxyz", [structure(), structure()])
    assert len(read_structures(tmp_path / "two.extxyz")) == 2
    with pytest.raises(FileError, match="holds 2 structures where one is expected"):
        read_structure(tmp_path / "two.extxyz")
    (tmp_path / "none.extxyz").write_text("")
    with pytest.raises(FileError, match="holds no structure"):
        read_structures(tmp_path / "none.extxyz")
    (tmp_path / "binary.extxyz").write_bytes(b"\xff\xfe")
    with pytest.raises(FileError, match="is not a text file"):
        read_structures(tmp_path / "binary.extxyz")


FOREIGN = {
    "no lattice": "1\nProperties=species:S:1:pos:R:3\nLi 0 0 0\n",
    "other brackets": "1\nLattice={1 0 0 0 1 0 0 0 1} Properties=species:S:1:pos:R:3 a='b c'\nLi 0 0 0\n",
    "escaped quotes": '1\nLattice="1 0 0 0 1 0 0 0 1" Properties=species:S:1:pos:R:3 a="b \\"c\\""\nLi 0 0 0\n',
    "other columns": '1\nLattice="1 0 0 0 1 0 0 0 1" Properties=pos:R:3:species:S:1 pbc="T F T"\n0 0 0 Li\n',
    "results": '1\nLattice="1 0 0 0 1 0 0 0 1" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1\nLi 0 0 0 1 2 3\n',
    "words of atoms": '1\nLattice="1 0 0 0 1 0 0 0 1" Properties=species:S:1:pos:R:3:site:S:1\nLi 0 0 0 48h\n',
    "bare words": '1\nLattice="1 0 0 0 1 0 0 0 1" Properties=species:S:1:pos:R:3 relaxed b=2\nLi 0 0 0\n',
}


def by_ase(text: str) -> list[Atoms]:
    return list(read_xyz(StringIO(text), index=slice(None)))


def assert_same(found: Atoms, expected: Atoms) -> None:
    assert found == expected
    assert list(found.arrays) == list(expected.arrays)
    for name, values in expected.arrays.items():
        assert found.arrays[name].dtype == values.dtype
        assert (found.arrays[name] == values).all()
    assert list(found.info) == list(expected.info)
    for name, value in expected.info.items():
        assert type(found.info[name]) is type(value)
        assert np.array_equal(found.info[name], value)
    assert (found.calc is None) == (expected.calc is None)
    if expected.calc is not None:
        assert found.calc.results.keys() == expected.calc.results.keys()


TEXT = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=12)
NUMBERS = st.integers(-(2**31), 2**31 - 1) | st.floats(allow_nan=False)
VALUES = (
    TEXT
    | NUMBERS
    | st.booleans()
    | st.lists(NUMBERS, min_size=1, max_size=4)
    | st.lists(NUMBERS, min_size=1, max_size=4).map(np.array)
    | st.dictionaries(TEXT, NUMBERS, max_size=2)
    | st.none()
)


@example(info={"relaxed": "FALSE", "steps": "true, T False", "word": "t"})
@example(info={"one": "T,"})
@given(info=st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), VALUES, max_size=4))
def test_headers_are_written_and_read_as_by_ase(info: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    atoms = structure()
    atoms.info = {name: value for name, value in info.items() if name not in {"Lattice", "Properties", "pbc"}}
    text = format_structure(atoms)
    head = {"Lattice": atoms.cell.array.T, "Properties": text.split("Properties=")[1].split()[0], "pbc": atoms.pbc}
    assert text.split("\n")[1] == key_val_dict_to_str(head | atoms.info)
    path = tmp_path_factory.mktemp("extxyz") / "a.extxyz"
    path.write_text(text)
    try:
        (expected,) = by_ase(text)
    except Exception:  # noqa: BLE001  whatever ASE cannot read
        with pytest.raises(FileError):
            read_structure(path)
    else:
        assert_same(read_structure(path), expected)


@pytest.mark.parametrize("kind", FOREIGN)
def test_files_of_other_programs_are_read_as_by_ase(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.extxyz").write_text(FOREIGN[kind])
    assert_same(read_structure(tmp_path / "a.extxyz"), *by_ase(FOREIGN[kind]))


def test_objects_of_ase_are_written_as_by_ase(tmp_path: Path) -> None:
    atoms = structure()
    atoms.info = {"spacegroup": Spacegroup(216)}
    write_structures(tmp_path / "a.extxyz", [atoms])
    assert read_structure(tmp_path / "a.extxyz").info == {"spacegroup": "F -4 3 m"}


@pytest.mark.parametrize(
    ("part", "other"), [("Cl ", ""), ("Cl ", "Qq "), ("0.", "0.x"), ("4\n", "5\n"), (":L:", ":Q:")]
)
def test_damaged_files_are_named(part: str, other: str, tmp_path: Path) -> None:
    (tmp_path / "a.extxyz").write_text(format_structure(structure()).replace(part, other, 1))
    with pytest.raises(FileError, match=r"a\.extxyz is not an extended XYZ file"):
        read_structures(tmp_path / "a.extxyz")


def test_own_files_need_no_import_of_ases_readers(tmp_path: Path) -> None:
    """Which takes half a second, in every job."""
    write_structures(tmp_path / "a.extxyz", [structure()])
    code = (
        "import sys; from pathlib import Path; from argyro.common.extxyz import read_structures, write_structures\n"
        "path = Path(sys.argv[1]); write_structures(path, read_structures(path))\n"
        "print('ase.io' in sys.modules, 'scipy' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.extxyz")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["False", "False"]
