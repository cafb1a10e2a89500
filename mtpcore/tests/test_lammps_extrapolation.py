"""Pair style mtp/extrapolation: grades, snapshots and stops, and that it changes nothing else."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from helpers import LI6PS5CL_NUMBERS, Structure, li6ps5cl_cell, to_structure
from lammps_runs import fail, needs_plugin, read_dump, set_up, standard_form, succeed
from native import random_native, solid_potential, with_random_active_set

from mtpcore import Engine, Potential, write_potential
from mtpcore.cfg import Configuration, read_cfg

type FloatArray = npt.NDArray[np.float64]

pytestmark = needs_plugin()

COEFF = "\npair_coeff * * Li P S Cl\n"
PLAIN = "pair_style mtp p.almtp" + COEFF
GRADED = "pair_style mtp/extrapolation p.almtp{}" + COEFF


@pytest.fixture(scope="module")
def potential() -> Potential:
    """A potential under which the structure below moves for a while, with an active set."""
    return with_random_active_set(solid_potential(8))


@pytest.fixture(scope="module")
def structure() -> Structure:
    """Li6PS5Cl in a triclinic cell, in which LAMMPS's cell list has several bins."""
    atoms = li6ps5cl_cell(rattle=0.0).repeat((2, 1, 2))
    atoms.positions += np.random.default_rng(1).normal(scale=0.1, size=atoms.positions.shape)
    strain = np.array([[0.02, 0, 0], [0.05, 0, 0], [-0.03, 0.04, 0]])
    atoms.set_cell(atoms.cell[:] @ (np.eye(3) + strain), scale_atoms=True)
    return standard_form(to_structure(atoms, LI6PS5CL_NUMBERS))


@pytest.fixture
def folder(tmp_path: Path, potential: Potential) -> Path:
    write_potential(tmp_path / "p.almtp", potential)
    return tmp_path


DUMP = """
dump 1 all custom {every} {name}.dump id type x y z fx fy fz {extra}
dump_modify 1 sort id format float %.17g
"""
MOVE = "velocity all create 900 4711 loop geom\nfix nve all nve\n"


def dump(name: str, extra: str = "", every: int = 10) -> str:
    return DUMP.format(name=name, extra=extra, every=every)


def printed(output: str, name: str) -> FloatArray:
    """The numbers of the last line that begins with this name."""
    line = next(line for line in reversed(output.splitlines()) if line.startswith(f"{name} "))
    return np.array(line.split()[1:], dtype=np.float64)


PRINT_VECTOR = 'print "vector $(c_grade[1]:%.17g) $(c_grade[2]) $(c_grade[3]:%.17g) $(c_grade[4])"\n'


# ------------------------------------------------------------------ grades


@pytest.mark.parametrize("ranks", [1, 2])
def test_grades_are_those_of_the_engine(folder: Path, structure: Structure, potential: Potential, ranks: int) -> None:
    script = set_up(folder, structure, GRADED.format(""))
    script += "fix grade all pair 1 mtp/extrapolation extrapolation 1\n"
    script += dump("grades", "f_grade") + "run 0\n"
    succeed(folder, script, ranks=ranks)
    found = read_dump(folder / "grades.dump")[:, -1]
    expected = Engine(potential).grades(*structure)
    np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("ranks", [1, 2])
def test_compute_pair_gives_the_largest_grade_and_its_atom(
    folder: Path, structure: Structure, potential: Potential, ranks: int
) -> None:
    script = set_up(folder, structure, GRADED.format(" every 1"))
    script += "compute grade all pair mtp/extrapolation\n"
    script += "thermo_style custom step c_grade[*]\nrun 0\n" + PRINT_VECTOR
    largest, atom, ever, step = printed(succeed(folder, script, ranks=ranks), "vector")
    expected = Engine(potential).grades(*structure)
    assert largest == pytest.approx(expected.max(), rel=1e-11)
    assert atom == expected.argmax() + 1
    assert ever == largest
    assert step == 0


def test_largest_grade_so_far_is_kept(folder: Path, structure: Structure) -> None:
    script = set_up(folder, structure, GRADED.format(" every 5")) + MOVE
    script += "compute grade all pair mtp/extrapolation\n"
    script += "thermo_style custom step c_grade[*]\nthermo 5\nrun 40\n" + PRINT_VECTOR
    output = succeed(folder, script)
    table = [line.split() for line in output.splitlines() if len(line.split()) == 5]
    rows = np.array([row for row in table if row[0].isdigit()], dtype=np.float64)
    assert list(rows[:, 0]) == list(rows[:, 4]) == list(range(0, 41, 5))
    np.testing.assert_allclose(rows[:, 3], np.maximum.accumulate(rows[:, 1]), rtol=1e-6)
    assert len(set(rows[:, 1])) > 5


def test_grades_between_grading_steps_are_those_of_the_last_one(folder: Path, structure: Structure) -> None:
    script = set_up(folder, structure, GRADED.format(" every 10")) + MOVE
    script += "compute grade all pair mtp/extrapolation\n"
    script += "thermo_style custom step c_grade[*]\nrun 17\n" + PRINT_VECTOR
    assert printed(succeed(folder, script), "vector")[3] == 10


def test_fix_halt_stops_on_a_grade(folder: Path, structure: Structure, potential: Potential) -> None:
    limit = Engine(potential).grades(*structure).max() * 1.02
    script = set_up(folder, structure, GRADED.format(" every 10")) + MOVE
    script += "compute grade all pair mtp/extrapolation\nvariable grade equal c_grade[1]\n"
    script += f"fix stop all halt 10 v_grade > {limit} error soft\n"
    script += "thermo_style custom step c_grade[1]\nrun 20000\n"
    output = succeed(folder, script + 'print "stopped $(step)"\n')
    steps = int(printed(output, "stopped")[0])
    assert 0 < steps < 20000
    assert steps % 10 == 0
    assert "Fix halt condition for fix-id stop met" in output


# ------------------------------------------------------------------ nothing else changes


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("options", ["", " every 1", " every 10"])
def test_grading_does_not_change_a_trajectory(folder: Path, structure: Structure, options: str, ranks: int) -> None:
    for name, pair in (("plain", PLAIN), ("graded", GRADED.format(options))):
        script = set_up(folder, structure, pair) + MOVE + dump(name)
        succeed(folder, script + "run 30\n", ranks=ranks)
    plain, graded = ((folder / f"{name}.dump").read_bytes() for name in ("plain", "graded"))
    assert plain.count(b"ITEM: TIMESTEP") == 4
    assert plain == graded


def test_energies_and_virials_are_those_of_pair_style_mtp(folder: Path, structure: Structure) -> None:
    lines = []
    for pair in (PLAIN, GRADED.format(" every 1")):
        script = set_up(folder, structure, pair) + "thermo_style custom step pe press\nrun 0\n"
        output = succeed(folder, script + 'print "result $(pe:%.17g) $(press:%.17g)"\n')
        lines.append(printed(output, "result"))
    np.testing.assert_array_equal(lines[0], lines[1])


# ------------------------------------------------------------------ snapshots and stops


def largest_grades(folder: Path, structure: Structure, steps: int) -> FloatArray:
    """Largest grade of every tenth step of a run."""
    script = set_up(folder, structure, GRADED.format(" every 10")) + MOVE
    script += "compute grade all pair mtp/extrapolation\n"
    script += "thermo_style custom step c_grade[1]\nthermo 10\nthermo_modify format float %.17g\n"
    output = succeed(folder, script + f"run {steps}\n").splitlines()
    first = next(i for i, line in enumerate(output) if line.split()[:1] == ["Step"])
    return np.array([line.split()[1] for line in output[first + 1 :][: steps // 10 + 1]], float)


def assert_snapshot(found: Configuration, step: int, folder: Path, potential: Potential) -> None:
    """A snapshot is the structure of that step, with the grades the engine gives it."""
    lines = (folder / "all.dump").read_text().split("ITEM: TIMESTEP\n")
    text = next(part for part in lines if part.split("\n", 1)[0] == str(step))
    rows = text[text.index("ITEM: ATOMS") :].splitlines()[1:]
    atoms = np.array([row.split() for row in rows], dtype=np.float64)
    np.testing.assert_array_equal(found.types + 1, atoms[:, 1])
    assert found.cell is not None
    apart = (found.positions - atoms[:, 2:5]) @ np.linalg.inv(found.cell)
    np.testing.assert_allclose(apart, np.round(apart), atol=1e-12)
    assert found.grades is not None
    grades = Engine(potential).grades(found.types, found.positions, found.cell, (True,) * 3)
    np.testing.assert_allclose(found.grades, grades, rtol=1e-11)
    assert float(found.features["MV_grade"]) == pytest.approx(grades.max(), rel=1e-11)
    assert int(found.features["timestep"]) == step


@pytest.mark.parametrize("ranks", [1, 2])
def test_snapshots_above_the_select_grade_are_appended(
    folder: Path, structure: Structure, potential: Potential, ranks: int
) -> None:
    grades = largest_grades(folder, structure, 60)
    limit = np.sort(grades)[-3:-1].mean()
    script = set_up(folder, structure, GRADED.format(f" every 10 select {limit} out.cfg"))
    succeed(folder, script + MOVE + dump("all") + "run 60\n", ranks=ranks)
    steps = [10 * int(index) for index in np.flatnonzero(grades > limit)]
    found = read_cfg(folder / "out.cfg")
    assert [int(snapshot.features["timestep"]) for snapshot in found] == steps
    assert 0 < len(steps) < len(grades)
    for snapshot, step in zip(found, steps, strict=True):
        assert_snapshot(snapshot, step, folder, potential)


@pytest.mark.parametrize("ranks", [1, 2])
def test_snapshots_get_files_of_their_own_where_the_name_has_a_star(
    folder: Path, structure: Structure, potential: Potential, ranks: int
) -> None:
    script = set_up(folder, structure, GRADED.format(" every 10 select 1e-9 snap_*.cfg"))
    succeed(folder, script + MOVE + dump("all") + "run 20\n", ranks=ranks)
    names = sorted(path.name for path in folder.glob("snap_*"))
    assert names == ["snap_0.cfg", "snap_10.cfg", "snap_20.cfg"]
    for step in (0, 10, 20):
        (snapshot,) = read_cfg(folder / f"snap_{step}.cfg")
        assert_snapshot(snapshot, step, folder, potential)


def test_without_every_grades_are_taken_each_tenth_step(folder: Path, structure: Structure) -> None:
    script = set_up(folder, structure, GRADED.format(" select 1e-9 snap_*.cfg"))
    succeed(folder, script + MOVE + "run 25\n")
    names = sorted(path.name for path in folder.glob("snap_*"))
    assert names == ["snap_0.cfg", "snap_10.cfg", "snap_20.cfg"]


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_grade_above_the_break_grade_ends_the_run_with_its_snapshot(
    folder: Path, structure: Structure, potential: Potential, ranks: int
) -> None:
    grades = Engine(potential).grades(*structure)
    limit = 0.9 * grades.max()
    options = f" every 5 select {limit / 2} out.cfg break {limit}"
    script = set_up(folder, structure, GRADED.format(options)) + MOVE
    message = fail(folder, script + "run 100\n", ranks=ranks)
    assert f"of atom {grades.argmax() + 1} at step 0 exceeds the break grade" in message
    assert "the run stops; the snapshot is in out.cfg" in message
    (snapshot,) = read_cfg(folder / "out.cfg")
    assert float(snapshot.features["MV_grade"]) == pytest.approx(grades.max(), rel=1e-11)


def test_a_grade_below_the_break_grade_does_not_end_the_run(folder: Path, structure: Structure) -> None:
    script = set_up(folder, structure, GRADED.format(" every 5 break 1e9")) + MOVE
    succeed(folder, script + "run 20\n")
    assert not list(folder.glob("*.cfg"))


def test_a_snapshot_that_cannot_be_written_ends_the_run(folder: Path, structure: Structure) -> None:
    script = set_up(folder, structure, GRADED.format(" select 1e-9 nowhere/out.cfg"))
    assert "Cannot write the snapshot nowhere/out.cfg" in fail(folder, script + "run 0\n")


# ------------------------------------------------------------------ mistakes

MISTAKES = {
    " every 0": "'every' must be at least 1, not 0",
    " every": "Illegal pair_style mtp/extrapolation every command: missing argument",
    " select 2.0": "Illegal pair_style mtp/extrapolation select command: missing argument",
    " select 0 out.cfg": "a grade must be positive, not 0",
    " select 10 out.cfg break 5": "the break grade 5 is below the select grade 10",
    " break much": "Expected floating point parameter",
    " stop 5": "Unknown keyword 'stop' in the pair_style command",
}


@pytest.mark.parametrize(("options", "message"), MISTAKES.items())
def test_mistakes_are_named(folder: Path, structure: Structure, options: str, message: str) -> None:
    script = set_up(folder, structure, GRADED.format(options))
    assert message in fail(folder, script + "run 0\n")


def test_keywords_may_come_in_any_order(folder: Path, structure: Structure) -> None:
    options = " break 1e9 species Li P S Cl every 10 select 1e9 out.cfg"
    succeed(folder, set_up(folder, structure, GRADED.format(options)) + "run 0\n")


def test_a_potential_without_an_active_set_is_refused(folder: Path, structure: Structure) -> None:
    write_potential(folder / "p.almtp", random_native(8, 4))
    message = fail(folder, set_up(folder, structure, GRADED.format("")) + "run 0\n")
    assert "p.almtp holds no active set: pair style mtp/extrapolation needs an .almtp" in message


def test_an_active_set_of_configurations_is_refused(folder: Path, structure: Structure, potential: Potential) -> None:
    copy = Potential(potential)
    active_set = copy.active_set
    assert active_set is not None
    active_set.energy_weight, active_set.site_energy_weight = 1.0, 0.0
    copy.active_set = active_set
    write_potential(folder / "p.almtp", copy)
    message = fail(folder, set_up(folder, structure, GRADED.format("")) + "run 0\n")
    assert "p.almtp holds an active set of configurations" in message
