"""What a Kokkos LAMMPS is told, and what is made of what it leaves.

The program itself and the pair styles of lammps-mtp-kokkos are not here. A stand-in takes the same command line and the
same deck, puts the pair styles of mtpcore's plug-in where those of the package stand, and runs the ordinary LAMMPS on
it. So only command lines and files are tested, and that LAMMPS takes all other commands of the deck.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from helpers import li6ps5cl_cell
from native import write_barely_unknown

from argyro.common.errors import MissingDependencyError
from argyro.common.files import read_json
from argyro.config.dynamics import DynamicsConfig, Engine, KokkosConfig
from argyro.config.learning import ExplorationConfig, Rung
from argyro.config.materials import Material
from argyro.dynamics.runs import Case, run_cases
from argyro.learning.explore import Start, explore
from argyro.learning.samplers import Sampler
from argyro.md import kokkos, lammps, segment
from argyro.md.deck import THERMO, segment_deck, thermo_keywords
from argyro.md.dump import DumpFrame, append_frame
from argyro.md.lammps import PotentialFile
from argyro.md.run import RunResult, run_md
from argyro.md.settings import Ensemble, Grading, RunSettings, Stream
from argyro.md.thermo import read_log
from mtpcore.cfg import iter_cfg

SPECIES = ("Li", "P", "S", "Cl")
CELL = "pxx pyy pzz pyz pxz pxy lx ly lz yz xz xy"
START_GRADE = 1.5  # of the structure that runs start from
STREAMS = (Stream("all", 20), Stream("mobile", 10, ("Li",)))
STYLES = "mtp mtp/extrapolation mtp/extrapolation/kk mtp/kk mtp/extrapolation/small/kk mtp/small/kk"
STAND_IN = """#!{python}
import json, os, re, sys
from pathlib import Path

if sys.argv[1:] == ["-h"]:
    print("* Pair styles:\\n\\n{styles}")
    sys.exit()
Path({folder!r}, "words.json").write_text(json.dumps(sys.argv[1:]))
deck = Path("in.lammps")
text = deck.read_text()
text = re.sub(r" (mtp|mtp/extrapolation)(/small)?/kk\\b", r" \\1", text)
text = re.sub(r"(?m)^(pair_style .*) chunksize \\d+$", r"\\1", text)
deck.write_text(text.replace("pair_coeff * *", "pair_coeff * * {species}"))
os.environ.update({environment!r})
os.execv({program!r}, [{program!r}, "-in", "in.lammps", "-log", "log.lammps", "-nocite"])
"""


@pytest.fixture
def stand_in(tmp_path: Path) -> KokkosConfig:
    """See above; it notes its command line."""
    program, environment = lammps._program()
    path = tmp_path / "lmp_kokkos"
    words = {"python": sys.executable, "styles": STYLES, "species": " ".join(SPECIES)}
    path.write_text(STAND_IN.format(folder=str(tmp_path), program=program, environment=environment, **words))
    path.chmod(0o755)
    return KokkosConfig(command=(str(path),))


@pytest.fixture(scope="module")
def potential(tmp_path_factory: pytest.TempPathFactory) -> PotentialFile:
    """One that grades the start as barely unknown."""
    path = tmp_path_factory.mktemp("a potential") / "solid.almtp"
    write_barely_unknown(path, crystal(), SPECIES, START_GRADE)
    return PotentialFile(path, SPECIES)


def crystal() -> Atoms:
    """Li6PS5Cl in a skewed cell."""
    atoms: Atoms = li6ps5cl_cell()
    atoms.set_cell(atoms.cell.array @ [[1, 0, 0], [0.02, 1, 0], [-0.01, 0.03, 1]], scale_atoms=True)
    return atoms


def settings(name: str = "nvt", temperature: float = 400.0, **options: Any) -> RunSettings:
    defaults: dict[str, Any] = {"steps": 60, "thermo_every": 10, "segment_steps": 20, "streams": STREAMS}
    return RunSettings(Ensemble(name, temperature, thermostat_time=0.1), **(defaults | options))  # type: ignore[arg-type]


@pytest.fixture
def run(stand_in: KokkosConfig, potential: PotentialFile, tmp_path: Path) -> Callable[..., RunResult]:
    """A function that runs something by an engine, in a folder of this name."""

    def run_here(asked: RunSettings, engine: Engine = "kokkos", folder: str = "") -> RunResult:
        return run_md(
            crystal(), potential, asked, tmp_path / (folder or engine), seed=1, engine=engine, kokkos=stand_in
        )

    return run_here


def deck(potential: PotentialFile, asked: RunSettings, program: KokkosConfig) -> list[str]:
    seeds: dict[str, Any] = {"first_step": 0, "velocity_seed": 3, "thermostat_seed": 4}
    return segment_deck(potential, asked, dialect=kokkos.dialect(program), **seeds).splitlines()


def test_deck_of_a_graded_run_is_this(potential: PotentialFile) -> None:
    asked = settings("npt", grading=Grading(5, 2.0, 10.0), streams=STREAMS[1:])
    assert [line for line in deck(potential, asked, KokkosConfig(chunksize=4096)) if line] == [
        *("units metal", "boundary p p p", "atom_style atomic", "box tilt large", "read_data structure.data"),
        f'pair_style mtp/extrapolation/small/kk "{potential.path}" chunksize 4096',
        "pair_coeff * *",
        *("neighbor 1.0 bin", "neigh_modify every 1 delay 0 check yes", "timestep 0.002"),
        "velocity all create 400.0 3 mom yes rot no dist gaussian",
        "fix motion all nph iso 0.0 0.0 2.0 fixedpoint 0 0 0",
        "fix thermostat all temp/csvr 400.0 400.0 0.1 4",
        *("group framework type 2 3 4", "compute framework framework com"),
        *("group kept_mobile type 1", "dump mobile kept_mobile custom 10 mobile.bin xu yu zu"),
        "dump_modify mobile sort id",
        *("variable temperature equal temp", "fix hot all halt 10 v_temperature > 1500.0 error soft"),
        "fix mtp_grade all pair 5 mtp/extrapolation/small/kk extrapolation 1",
        "compute max_grade all pair mtp/extrapolation/small/kk",
        "variable grade equal c_max_grade[1]",
        'fix gradings all ave/time 5 1 5 c_max_grade[1] file gradings.txt format " %.17g"',
        'variable is_known equal "c_max_grade[1] <= 2.0"',
        "dump unknown all custom 5 kept.bin x y z f_mtp_grade",
        "dump_modify unknown sort id skip v_is_known",
        "fix unknown all halt 5 v_grade > 10.0 error soft",
        "thermo 10",
        f"thermo_style custom step temp pe ke econserve {CELL} c_framework[1] c_framework[2] c_framework[3]",
        "thermo_modify line one format float %.17g lost error flush yes",
        "run 20 start 0 stop 60",
        "write_restart restart",
        "write_dump all custom final.bin xu yu zu vx vy vz modify sort id",
    ]


@pytest.mark.parametrize(
    ("program", "grading", "style"),
    [
        (KokkosConfig(), None, "mtp/small/kk"),
        (KokkosConfig(small=False), None, "mtp/kk"),
        (KokkosConfig(small=False), Grading(), "mtp/extrapolation/kk"),
    ],
)
def test_pair_style_is_that_of_the_size_and_the_task(
    potential: PotentialFile, program: KokkosConfig, grading: Grading | None, style: str
) -> None:
    lines = deck(potential, settings(grading=grading), program)
    assert f'pair_style {style} "{potential.path}" chunksize 32768' in lines
    assert any("grade" in line for line in lines) == (grading is not None)


def test_program_is_started_on_one_gpu_with_the_suffix_of_kokkos(run: Callable[..., RunResult], tmp_path: Path) -> None:
    assert run(settings(steps=10)).finished
    assert json.loads((tmp_path / "words.json").read_text()) == [
        *("-k", "on", "g", "1", "-sf", "kk", "-pk", "kokkos", "newton", "on", "neigh", "half"),
        *("-in", "in.lammps", "-log", "log.lammps", "-nocite"),
    ]


@pytest.mark.parametrize("stop", [None, 1e6])
def test_what_it_leaves_becomes_what_lammps_leaves(
    run: Callable[..., RunResult], tmp_path: Path, stop: float | None
) -> None:
    asked = settings(steps=55, grading=Grading(5, 1.55, stop))
    found, expected = run(asked), run(asked, "lammps")
    assert (found.status, found.steps, found.largest_grade) == ("finished", 55, expected.largest_grade)
    table, other = found.thermo(), expected.thermo()
    assert (table["largest_grade"] > table["grade"]).any()
    assert len(set(table["grade"])) == len(table) == 7
    np.testing.assert_array_equal(table, other)
    assert list(table) == list(other)
    for stream in ("all", "mobile"):
        np.testing.assert_array_equal(found.trajectory(stream).positions(), expected.trajectory(stream).positions())
    assert (found.final().positions == expected.final().positions).all()
    graded = {kept.info["step"]: kept for kept in expected.snapshots()}  # LAMMPS has those at checkpoints twice
    assert 2 < found.snapshot_count == len(graded) < 12
    for mine in found.snapshots():
        theirs = graded.pop(mine.info["step"])
        assert mine.info == pytest.approx(theirs.info, rel=1e-12)
        np.testing.assert_allclose(mine.positions, theirs.positions, atol=1e-9)
        np.testing.assert_allclose(mine.arrays["grade"], theirs.arrays["grade"], rtol=1e-12)
        np.testing.assert_allclose(mine.cell, theirs.cell, atol=1e-9)
    records = read_json(tmp_path / "kokkos/run.json"), read_json(tmp_path / "lammps/run.json")
    assert set(records[0]) == set(records[1])
    assert [record["engine"] for record in records] == ["kokkos", "lammps"]
    assert {path.name for path in found.folder.iterdir()} == {path.name for path in expected.folder.iterdir()}


def test_run_ends_at_the_stop_grade_and_keeps_that_structure(run: Callable[..., RunResult]) -> None:
    asked = settings("nvt", 900, grading=Grading(5, 1.6, 1.65))
    found, expected = run(asked), run(asked, "lammps")
    assert (found.status, found.reason, found.steps) == (expected.status, expected.reason, expected.steps)
    assert found.status == "grade"
    assert 0 < found.steps < 60
    assert found.snapshots()[-1].info == {"step": found.steps, "largest_grade": found.largest_grade}
    assert found.largest_grade == expected.largest_grade > 1.65


def test_run_ends_when_it_is_far_too_hot(run: Callable[..., RunResult]) -> None:
    result = run(settings("nve", 900, temperature_limit=500, grading=Grading(5, None, None)))
    assert (result.status, result.steps, result.snapshot_count) == ("temperature", 10, 0)


def test_burst_system_is_a_result_with_what_came_before(run: Callable[..., RunResult]) -> None:
    asked = settings("nve", timestep=0.1, temperature_limit=1e300, steps=400, grading=Grading(5, 1.4, None))
    result = run(asked)
    assert result.status == "burst"
    assert result.snapshots()[0].info["step"] == 0
    assert all(np.isfinite(kept.arrays["grade"]).all() for kept in result.snapshots())


def test_grades_that_are_no_numbers_count_as_infinite_and_keep_nothing(tmp_path: Path) -> None:
    asked, atoms = settings(grading=Grading(5, 1.4, None)), crystal()
    rows = [f"{step} {' '.join('1' for _ in THERMO[1:])}" for step in (0, 10, 20)]
    (tmp_path / "log.lammps").write_text("\n".join([f"Step {' '.join(THERMO[1:])}", *rows]))
    (tmp_path / "gradings.txt").write_text("# TimeStep c_max_grade[1]\n0 1.5\n5 3\n10 2\n15 -nan\n20 9\n25")
    for step, grade, count in ((0, 1.5, 52), (5, 3.0, 52), (15, np.nan, 52), (20, 9.0, 51)):
        columns = np.column_stack([atoms.positions, np.full(52, grade)])[:count]
        append_frame(tmp_path / "kept.bin", DumpFrame(step, atoms.cell.array, columns))
    kokkos.translate(tmp_path, atoms, SPECIES, asked, first_step=0)
    table = read_log(tmp_path / "log.lammps", thermo_keywords(asked))
    assert table["c_grade[1]"].tolist() == [1.5, 2, 9]
    assert table["c_grade[3]"].tolist() == [1.5, 3, np.inf]
    kept = list(iter_cfg(tmp_path / "snapshots.cfg"))
    assert [configuration.features["timestep"] for configuration in kept] == ["0", "5"]
    assert {path.name for path in tmp_path.iterdir()} == {"log.lammps", "snapshots.cfg"}


def test_stopped_run_goes_on_to_the_same_bits(run: Callable[..., RunResult], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = settings("npt", grading=Grading(5, 1.4, None))
    whole = run(asked, folder="whole")
    engine, calls = segment.ENGINES["kokkos"], []

    def dies(*arguments: Any) -> list[tuple[str, str]]:
        calls.append(arguments[-1])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return engine(*arguments)

    monkeypatch.setitem(segment.ENGINES, "kokkos", dies)
    with pytest.raises(KeyboardInterrupt):
        run(asked, folder="stopped")
    again = run(asked, folder="stopped")
    assert calls == [0, 20, 20, 40]
    assert replace(again, folder=whole.folder, seconds=whole.seconds) == whole
    for name in ("final.extxyz", "thermo.parquet", "snapshots.extxyz", "trajectory/all.parquet"):
        assert (again.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_runs_of_the_stage_dynamics_are_its_own(
    stand_in: KokkosConfig, potential: PotentialFile, tmp_path: Path
) -> None:
    times: dict[str, Any] = {"equilibration_ps": 0.04, "production_ps": 0.02, "frame_ps": 0.02, "segment_ps": 0.04}
    asked = DynamicsConfig(
        engine="kokkos", kokkos=stand_in, ranks=2, all_atoms_frame_ps=0.02, select_grade=9, stop_grade=9, **times
    )
    material = Material(id="Li6PS5Cl", formula="Li6PS5Cl", anion="Cl")
    cases = [Case(tmp_path / str(seed), 400.0, seed) for seed in range(2)]
    results = run_cases(crystal(), material, potential, asked, cases, coupling="isotropic")
    assert [(result.status, result.steps) for result in results] == [("finished", 10)] * 2
    for case in cases:
        for folder in (case.folder, case.folder / "equilibration"):
            assert read_json(folder / "run.json")["engine"] == "kokkos"


def test_explorers_run_by_it_as_well(stand_in: KokkosConfig, potential: PotentialFile, tmp_path: Path) -> None:
    rung = Rung(level=8, duration_ps=0.06, select_grade=1.4, accept_grade=1.4, stop_grade=1e6)
    start = Start(Sampler(0, "bulk", "Li6PS5Cl", 600.0), crystal(), tmp_path / "run", 1)
    explored = []
    for engine in ("kokkos", "lammps"):
        asked = ExplorationConfig.model_validate({"engine": engine, "grade_every": 5})
        explored += explore([start], potential, rung, asked, mode="local", mobile="Li", kokkos=stand_in)
    (found, snapshots), (expected, others) = explored
    assert replace(found, seconds=0.0) == replace(expected, seconds=0.0)
    assert [one.info for one in snapshots] == [one.info for one in others] != []


def test_program_that_is_missing_or_lacks_the_styles_is_named_with_what_to_do(
    potential: PotentialFile, tmp_path: Path
) -> None:
    def start(command: str) -> None:
        program = KokkosConfig(command=(command,))
        run_md(crystal(), potential, settings(), tmp_path / "run", seed=1, engine="kokkos", kokkos=program)

    with pytest.raises(MissingDependencyError, match=r"no-such-lmp -h' does not run .*; set dynamics\.kokkos\.command"):
        start("no-such-lmp")
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\necho '* Pair styles: mtp mtp/extrapolation mtp/kk lj/cut'\n")
    plain.chmod(0o755)
    with pytest.raises(MissingDependencyError, match=r"lists no pair style mtp/small/kk; build a LAMMPS"):
        start(str(plain))
