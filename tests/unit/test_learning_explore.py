"""Exploring on a GPU gives what exploring by LAMMPS gives; here the kernels run on a processor, thread by thread."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from helpers import li6ps5cl_cell
from native import solid_potential, write_barely_unknown

import mtpcore
from argyro.config.learning import ExplorationConfig, Mode, Rung
from argyro.learning.exploration import Exploration
from argyro.learning.explore import Start, explore
from argyro.learning.fitters import with_active_set as with_selected_set
from argyro.learning.samplers import Sampler
from argyro.md import gpu, segment
from argyro.md.job import Job
from argyro.md.lammps import PotentialFile
from mtpcore.ase import MTP
from mtpcore.gpu.backend import EmulatedBackend

SPECIES = ("Li", "P", "S", "Cl")
START_GRADE = 1.5  # of the structure that samplers start from
RUNG = Rung(level=8, duration_ps=0.06, select_grade=1.4, accept_grade=1.4, stop_grade=1e6)
type Found = list[tuple[Exploration, list[Atoms]]]


@pytest.fixture(autouse=True)
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = EmulatedBackend()
    monkeypatch.setattr(gpu, "device", lambda: backend)


@pytest.fixture(scope="module")
def potential(tmp_path_factory: pytest.TempPathFactory) -> PotentialFile:
    """One that grades the start as barely unknown."""
    path = tmp_path_factory.mktemp("potential") / "solid.almtp"
    write_barely_unknown(path, li6ps5cl_cell(), SPECIES, START_GRADE)
    return PotentialFile(path, SPECIES)


def explored(
    potential: PotentialFile, folder: Path, engine: str, rung: Rung = RUNG, mode: Mode = "local", **options: Any
) -> Found:
    """By two samplers at two temperatures."""
    starts = [
        Start(Sampler(number, "bulk", "Li6PS5Cl", temperature), li6ps5cl_cell(), folder / str(number), number)
        for number, temperature in enumerate((300.0, 900.0))
    ]
    settings = ExplorationConfig.model_validate({"engine": engine, "grade_every": 5, "max_snapshots": 4} | options)
    return explore(starts, potential, rung, settings, mode=mode, mobile="Li")


def test_records_and_snapshots_have_the_form_of_those_by_lammps(potential: PotentialFile, tmp_path: Path) -> None:
    found, expected = (explored(potential, tmp_path / engine, engine) for engine in ("gpu", "lammps"))
    for (record, snapshots), (other, others) in zip(found, expected, strict=True):
        assert record.sampler == other.sampler
        assert (record.status, record.time, record.atoms) == (other.status, other.time, other.atoms)
        assert record.largest_grade == pytest.approx(START_GRADE, rel=0.5)
        assert 0 < record.handed_on == len(snapshots) <= record.found
        assert set(record.as_dict()) == set(other.as_dict())
        assert {key: type(value) for key, value in snapshots[0].info.items()} == {
            key: type(value) for key, value in others[0].info.items()
        }
        assert {name: (array.shape, array.dtype) for name, array in snapshots[0].arrays.items()} == {
            name: (array.shape, array.dtype) for name, array in others[0].arrays.items()
        }
        np.testing.assert_allclose(snapshots[0].positions, others[0].positions, atol=1e-9)  # both kept at step 0


def test_snapshots_are_those_above_the_select_grade_and_no_others(potential: PotentialFile, tmp_path: Path) -> None:
    calculator = MTP(potential.path, SPECIES)
    rung = RUNG.model_copy(update={"select_grade": 1.55})
    for record, snapshots in explored(potential, tmp_path, "gpu", rung, max_snapshots=1000):
        for snapshot in snapshots:
            np.testing.assert_allclose(snapshot.arrays["grade"], calculator.grades(snapshot), rtol=1e-6)
            assert snapshot.info["largest_grade"] == pytest.approx(calculator.grades(snapshot).max(), rel=1e-6)
            assert snapshot.info["largest_grade"] > rung.select_grade
        assert 0 < record.found == len(snapshots) < 7  # gradings: at steps 0, 5, ... 30


def test_whole_structure_beyond_the_stop_grade_ends_what_is_taken_of_a_run(tmp_path: Path) -> None:
    rung = RUNG.model_copy(update={"duration_ps": 0.1, "select_grade": 1.001, "accept_grade": 1.001, "stop_grade": 1.1})
    model = with_selected_set(solid_potential(8), [li6ps5cl_cell(rattle=0.3)], SPECIES, "global")
    path = tmp_path / "global.almtp"
    mtpcore.write_potential(path, model)
    for record, snapshots in explored(PotentialFile(path, SPECIES), tmp_path, "lammps", rung, "global"):
        last = snapshots[-1].info
        assert record.status == "grade"
        assert record.largest_grade == last["largest_grade"] > 1.1
        assert record.time == pytest.approx(0.002 * last["step"])
        assert record.time < 0.1
        assert f"at step {last['step']}, above 1.1" in record.reason


def test_whole_structures_are_graded_after_a_run_on_a_gpu(tmp_path: Path) -> None:
    rung = RUNG.model_copy(update={"duration_ps": 0.1, "select_grade": 1.001})
    model = with_selected_set(solid_potential(8), [li6ps5cl_cell(rattle=0.3)], SPECIES, "global")
    path = tmp_path / "global.almtp"
    mtpcore.write_potential(path, model)
    for (record, snapshots), (other, _) in zip(
        *(explored(PotentialFile(path, SPECIES), tmp_path / e, e, rung, "global") for e in ("gpu", "lammps")),
        strict=True,
    ):
        assert record.status == other.status
        assert 0 < record.found == len(snapshots) == other.found
        assert all(snapshot.info["largest_grade"] > 1.001 for snapshot in snapshots)


@pytest.mark.parametrize("engine", ["gpu", "lammps"])
def test_killed_samplers_go_on_where_they_were(
    potential: PotentialFile, tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("argyro.learning.explore.SEGMENT", 50)
    rung = RUNG.model_copy(update={"duration_ps": 0.2})
    whole = explored(potential, tmp_path / "whole", engine, rung)
    runs, first_steps = segment.ENGINES[engine], []

    def dies(jobs: Sequence[Job], scratches: Sequence[Path], first_step: int) -> list[tuple[str, str]]:
        first_steps.append(first_step)
        if first_step == 50 and first_steps.count(50) == 1:
            raise KeyboardInterrupt
        return runs(jobs, scratches, first_step)

    monkeypatch.setitem(segment.ENGINES, engine, dies)
    with pytest.raises(KeyboardInterrupt):
        explored(potential, tmp_path / "killed", engine, rung)
    made = first_steps.count(0)
    again = explored(potential, tmp_path / "killed", engine, rung)
    assert first_steps.count(0) == made == (1 if engine == "gpu" else 2), "the first segment is not repeated"
    steps = len(first_steps)
    once_more = explored(potential, tmp_path / "killed", engine, rung)
    assert len(first_steps) == steps, "runs that have ended are not made again"
    assert [replace(record, seconds=0.0) for record, _ in once_more] == [replace(r, seconds=0.0) for r, _ in again]
    for (_, snapshots), (_, expected) in zip(once_more, whole, strict=True):
        assert [snapshot.info for snapshot in snapshots] == [snapshot.info for snapshot in expected]
        assert all((a.positions == b.positions).all() for a, b in zip(snapshots, expected, strict=True))
