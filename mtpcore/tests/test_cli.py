"""``python -m mtpcore grade|select|upconvert|convert``."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from helpers import li6ps5cl_cell
from native import solid_potential

from mtpcore import Engine, grade, read_potential, write_potential
from mtpcore.cfg import Configuration, read_cfg, write_cfg
from mtpcore.cli import COMMANDS, run_command

SPECIES = ["Li", "P", "S", "Cl"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A potential, training data and candidates."""
    write_potential(tmp_path / "solid.mtp", solid_potential(4))
    for name, seeds, rattle in (("training", range(2), 0.1), ("candidates", range(10, 13), 0.2)):
        frames = [li6ps5cl_cell(rattle=rattle, seed=seed) for seed in seeds]
        for number, atoms in enumerate(frames):
            atoms.info["REF_energy"] = -200.0 - number
            atoms.set_array("REF_forces", np.full((52, 3), 0.25))
            atoms.info["REF_stress"] = np.arange(6) / 64
        ase.io.write(tmp_path / f"{name}.extxyz", frames, format="extxyz")
        write_cfg(tmp_path / f"{name}.cfg", [Configuration.from_atoms(atoms, SPECIES) for atoms in frames])
    return tmp_path


def run(folder: Path, command: str, *words: str) -> int:
    """Run a command; words with a dot are files of the folder."""
    return run_command(command, [str(folder / word) if "." in word else word for word in words])


def test_select_then_grade(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "select", "solid.mtp", "training.cfg", "--output", "selected.almtp") == 0
    capsys.readouterr()
    assert run(folder, "grade", "selected.almtp", "candidates.cfg", "--output", "graded.cfg") == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    expected = grade(read_potential(folder / "selected.almtp"), read_cfg(folder / "candidates.cfg"))
    for index, (line, values) in enumerate(zip(lines, expected, strict=True)):
        number, atoms, highest, atom = line.split()
        assert (int(number), int(atoms), int(atom)) == (index, 52, int(values.argmax()))
        assert float(highest) == pytest.approx(values.max(), rel=1e-5)
    for configuration, values in zip(read_cfg(folder / "graded.cfg"), expected, strict=True):
        assert configuration.grades is not None
        np.testing.assert_array_equal(configuration.grades, values)
        assert float(configuration.features["MV_grade"]) == values.max()


def test_extended_xyz_is_graded_like_cfg(folder: Path) -> None:
    run(folder, "select", "solid.mtp", "training.cfg", "--output", "selected.almtp")
    words = ("grade", "selected.almtp", "candidates.extxyz", "--species", *SPECIES, "--output", "graded.extxyz")
    assert run(folder, *words) == 0
    graded = list(ase.io.iread(folder / "graded.extxyz", ":"))
    expected = grade(read_potential(folder / "selected.almtp"), graded, species=SPECIES)
    for atoms, values in zip(graded, expected, strict=True):
        np.testing.assert_allclose(atoms.arrays["nbh_grades"], values, rtol=1e-6, atol=1e-7)


def test_select_writes_what_to_add(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("solid.mtp", "training.cfg", "--candidates", "candidates.cfg", "--output", "grown.almtp")
    assert run(folder, "select", *words, "--limit", "2", "--selected", "chosen.cfg") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:4]]
    chosen = read_cfg(folder / "chosen.cfg")
    assert [row[1] for row in rows].count("yes") == len(chosen) == 2
    candidates = read_cfg(folder / "candidates.cfg")
    marked = [candidates[int(row[0])] for row in rows if row[1] == "yes"]
    for one, other in zip(chosen, marked, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
    grown = read_potential(folder / "grown.almtp")
    assert max(values.max() for values in grade(grown, [*read_cfg(folder / "training.cfg"), *chosen])) < 1.0011


def test_select_in_configuration_mode(folder: Path) -> None:
    words = ("solid.mtp", "training.cfg", "--mode", "configuration", "--output", "selected.almtp")
    assert run(folder, "select", *words) == 0
    active_set = read_potential(folder / "selected.almtp").active_set
    assert active_set is not None
    assert not active_set.neighborhood_mode
    assert run(folder, "grade", "selected.almtp", "training.cfg", "--output", "graded.cfg") == 0


def test_upconvert(folder: Path) -> None:
    assert run(folder, "upconvert", "solid.mtp", "8", "--output", "higher.mtp", "--radial-basis-size", "9") == 0
    higher = read_potential(folder / "higher.mtp")
    assert higher.radial_basis_size == 9
    cell = read_cfg(folder / "training.cfg")[0]
    assert cell.cell is not None
    energies = [
        Engine(p, threads=1).evaluate(cell.types, cell.positions, cell.cell, [True] * 3).energy
        for p in (read_potential(folder / "solid.mtp"), higher)
    ]
    assert energies[1] == pytest.approx(energies[0], abs=1e-10)


def test_structures_are_converted_there_and_back(folder: Path) -> None:
    assert run(folder, "convert", "training.extxyz", "new.cfg", "--species", *SPECIES) == 0
    assert run(folder, "convert", "new.cfg", "new.extxyz", "--species", *SPECIES) == 0
    originals, copies = (ase.io.read(folder / name, ":") for name in ("training.extxyz", "new.extxyz"))
    for original, copy in zip(originals, copies, strict=True):
        assert copy.get_chemical_formula() == original.get_chemical_formula()
        np.testing.assert_allclose(copy.positions, original.positions, atol=1e-7)
        assert copy.info["REF_energy"] == original.info["REF_energy"]
        np.testing.assert_allclose(copy.info["REF_stress"], original.info["REF_stress"], rtol=1e-9)
        np.testing.assert_allclose(copy.arrays["REF_forces"], original.arrays["REF_forces"])


def test_an_active_set_is_left_out_of_an_mtp_file(folder: Path) -> None:
    run(folder, "select", "solid.mtp", "training.cfg", "--output", "selected.almtp")
    assert run(folder, "convert", "selected.almtp", "plain.mtp") == 0
    assert (folder / "plain.mtp").read_bytes() == (folder / "solid.mtp").read_bytes()
    assert run(folder, "convert", "selected.almtp", "copy.almtp") == 0
    assert (folder / "copy.almtp").read_bytes() == (folder / "selected.almtp").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("grade solid.mtp training.cfg", "no active set"),
        ("grade missing.almtp training.cfg", "missing.almtp"),
        ("grade solid.mtp missing.cfg", "missing.cfg"),
        ("grade solid.mtp training.extxyz", "--species"),
        ("grade solid.mtp training.extxyz --species Li P S Br", "Cl"),
        ("select solid.mtp training.cfg --output selected.mtp", ".almtp"),
        ("select solid.mtp training.cfg --output a.almtp --selected b.cfg", "--candidates"),
        ("upconvert solid.mtp 2 --output lower.mtp", "level 4"),
        ("upconvert solid.mtp 7 --output odd.mtp", "even"),
        ("convert solid.mtp solid.almtp", "no active set"),
        ("convert solid.mtp solid.cfg", ".mtp or .almtp"),
        ("convert training.cfg training.poscar", "training.poscar"),
        ("convert training.cfg training.xyz", "--species"),
        ("convert solid.mtp nowhere/there.mtp", "there.mtp"),
    ],
)
def test_errors_are_one_line_and_exit_code_1(
    words: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, *words.split()) == 1
    error = capsys.readouterr().err
    assert error.startswith("mtpcore: error: ")
    assert error.count("\n") == 1
    assert message in error


@pytest.mark.parametrize(
    "words",
    [
        "grade",
        "select solid.mtp training.cfg",
        "select solid.mtp training.cfg --output a.almtp --threshold 0.5",
        "select solid.mtp training.cfg --output a.almtp --limit 0",
        "upconvert solid.mtp high --output a.mtp",
        "convert solid.mtp",
    ],
)
def test_wrong_usage_exits_with_2(words: str, folder: Path) -> None:
    with pytest.raises(SystemExit) as exit_:
        run(folder, *words.split())
    assert exit_.value.code == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_describes_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        run_command(name, ["--help"])
    assert exit_.value.code == 0
    assert f"python -m mtpcore {name}" in capsys.readouterr().out
