"""Runs on a GPU are what LAMMPS's runs are; here the kernels run on a processor, thread by thread."""

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from helpers import li6ps5cl_cell
from native import solid_potential, with_random_active_set
from scipy.spatial.transform import Rotation

import mtpcore
from argyro.common.errors import DynamicsError, FileError, MissingDependencyError
from argyro.common.files import read_json
from argyro.config.dynamics import DynamicsConfig, KokkosConfig
from argyro.config.materials import Material
from argyro.dynamics.runs import Case, run_cases
from argyro.md import gpu, segment
from argyro.md.job import Job
from argyro.md.lammps import PotentialFile
from argyro.md.run import Run, RunResult, _Progress, read_run, run_md, run_side_by_side
from argyro.md.segment import run_segments
from argyro.md.settings import Ensemble, Grading, RunSettings, Stream
from mtpcore.ase import MTP
from mtpcore.gpu.backend import EmulatedBackend

SPECIES = ("Li", "P", "S", "Cl")
FILES = ("final.extxyz", "restart", "thermo.parquet", "trajectory/all.parquet", "trajectory/mobile.parquet")
STREAMS = (Stream("all", 20), Stream("mobile", 10, ("Li",)))


@pytest.fixture(autouse=True)
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = EmulatedBackend()
    monkeypatch.setattr(gpu, "device", lambda: backend)


@pytest.fixture(scope="module")
def potential(tmp_path_factory: pytest.TempPathFactory) -> PotentialFile:
    path = tmp_path_factory.mktemp("a potential") / "solid.almtp"
    mtpcore.write_potential(path, with_random_active_set(solid_potential(8)))
    return PotentialFile(path, SPECIES)


def crystal(rattle: float = 0.05) -> Atoms:
    """Li6PS5Cl in a skewed, turned cell: nothing is where LAMMPS would have it."""
    atoms: Atoms = li6ps5cl_cell(rattle=rattle)
    atoms.set_cell(atoms.cell.array @ [[1, 0, 0], [0.02, 1, 0], [-0.01, 0.03, 1]], scale_atoms=True)
    turn = Rotation.from_euler("xyz", [0.3, -0.8, 2.0]).as_matrix()
    atoms.set_cell(atoms.cell.array @ turn, scale_atoms=True)
    atoms.positions += [9.0, -7.0, 0.3]
    return atoms


def settings(name: str = "nvt", temperature: float = 400.0, **options: Any) -> RunSettings:
    defaults: dict[str, Any] = {"steps": 60, "thermo_every": 10, "segment_steps": 20, "streams": STREAMS}
    ensemble = options.pop("ensemble", None) or Ensemble(name, temperature, thermostat_time=0.1)  # type: ignore[arg-type]
    return RunSettings(ensemble, **(defaults | options))


def run(atoms: Atoms, potential: PotentialFile, asked: RunSettings, folder: Path, **options: Any) -> RunResult:
    given: dict[str, Any] = {"seed": 1, "engine": "gpu"} | options
    return run_md(atoms, potential, asked, folder, **given)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}


def test_mixed_precision_is_another_run_that_differs_by_little(tmp_path: Path, potential: PotentialFile) -> None:
    exact, mixed = (
        run(crystal(), potential, settings(), tmp_path / engine, engine=engine) for engine in ("gpu", "gpu-mixed")
    )
    assert read_json(exact.folder / "run.json")["engine"] != read_json(mixed.folder / "run.json")["engine"]
    energies = [result.thermo()["potential_energy_eV"].to_numpy() for result in (exact, mixed)]
    assert 0 < np.abs(energies[0] - energies[1]).max() < 1e-3
    replaced = run(crystal(), potential, settings(), tmp_path / "gpu", engine="gpu-mixed")
    assert np.array_equal(replaced.thermo()["potential_energy_eV"], energies[1])


@pytest.mark.parametrize("mobile", ["Li", "Na"])
def test_run_is_that_of_lammps_file_by_file(tmp_path: Path, potential: PotentialFile, mobile: str) -> None:
    atoms = crystal()
    atoms.set_velocities(np.random.default_rng(2).normal(scale=0.03, size=(52, 3)))
    asked = settings("nve", steps=55, create_velocities=False, grading=Grading(5, 0.1, None), mobile=(mobile,))
    found = run(atoms, potential, asked, tmp_path / "gpu")
    expected = run(atoms, potential, asked, tmp_path / "lammps", engine="lammps")
    assert (found.status, found.steps, found.snapshot_count) == ("finished", 55, 12)
    tables = found.thermo(), expected.thermo()
    assert list(tables[0]) == list(tables[1])
    np.testing.assert_allclose(tables[0], tables[1], rtol=1e-7, atol=1e-7)
    for stream in ("all", "mobile"):
        one, other = found.trajectory(stream), expected.trajectory(stream)
        assert one.metadata == other.metadata
        assert one.steps.tolist() == other.steps.tolist()
        assert one.atoms.tolist() == other.atoms.tolist()
        np.testing.assert_allclose(one.positions(), other.positions(), atol=1.001e-4)  # a unit of the last digit
        np.testing.assert_allclose(one.cells, other.cells, atol=1e-10)
        np.testing.assert_allclose(one.framework, other.framework, atol=1e-8)
    np.testing.assert_allclose(found.final().positions, expected.final().positions, atol=1e-7)
    np.testing.assert_allclose(found.final().get_momenta(), expected.final().get_momenta(), atol=1e-7)
    graded = {kept.info["step"]: kept for kept in expected.snapshots()}  # LAMMPS has those at checkpoints twice
    for mine in found.snapshots():
        theirs = graded.pop(mine.info["step"])
        np.testing.assert_allclose(mine.arrays["grade"], theirs.arrays["grade"], rtol=1e-6)
    assert not graded
    assert {p.name for p in found.folder.iterdir()} == {p.name for p in expected.folder.iterdir()}
    records = read_json(tmp_path / "gpu/run.json"), read_json(tmp_path / "lammps/run.json")
    assert set(records[0]) == set(records[1])
    assert [record["engine"] for record in records] == ["gpu", "lammps"]


@pytest.mark.parametrize("name", ["nvt", "npt"])
def test_stopped_run_goes_on_to_the_same_bits(
    tmp_path: Path, potential: PotentialFile, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = settings(name)
    whole = run(crystal(), potential, asked, tmp_path / "whole")
    engine, calls = segment.ENGINES["gpu"], []

    def dies(jobs: Sequence[Job], scratches: Sequence[Path], first_step: int) -> list[tuple[str, str]]:
        calls.append(first_step)
        if len(calls) == 3:
            (scratches[0] / "restart").write_bytes(b"half of a fi")
            raise KeyboardInterrupt
        return engine(jobs, scratches, first_step)

    monkeypatch.setitem(segment.ENGINES, "gpu", dies)
    with pytest.raises(KeyboardInterrupt):
        run(crystal(), potential, asked, tmp_path / "stopped")
    monkeypatch.setitem(segment.ENGINES, "gpu", engine)
    again = run(crystal(), potential, asked, tmp_path / "stopped")
    assert again.steps == whole.steps == 60
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
    assert len(contents(tmp_path / "whole")) == len(FILES)
    assert read_run(again.folder) == again
    assert run(crystal(), potential, asked, tmp_path / "stopped", engine="lammps").seconds != again.seconds


def test_length_of_segments_changes_no_physics(tmp_path: Path, potential: PotentialFile) -> None:
    asked = settings("npt")
    tables = [run(crystal(), potential, replace(asked, segment_steps=n), tmp_path / str(n)).thermo() for n in (20, 60)]
    np.testing.assert_allclose(tables[0], tables[1], rtol=1e-6, atol=1e-6)
    assert tables[0]["volume_angstrom3"].std() > 0.01
    assert np.ptp(tables[0]["conserved_energy_eV"]) < 0.06


def test_run_ends_where_the_potential_knows_nothing(tmp_path: Path, potential: PotentialFile) -> None:
    hottest = MTP(potential.path, SPECIES)
    limit = 1.05 * hottest.grades(crystal()).max()
    asked = settings("nvt", 3000, steps=2000, segment_steps=40, grading=Grading(5, limit / 1.02, limit))
    result = run(crystal(), potential, asked, tmp_path)
    assert result.status == "grade"
    assert 0 < result.steps < 2000
    assert f"at step {result.steps}" in result.reason
    assert result.largest_grade == pytest.approx(hottest.grades(result.final()).max(), rel=1e-6)
    kept = result.snapshots()
    assert kept[-1].info["step"] == result.steps
    for snapshot in kept:
        np.testing.assert_allclose(snapshot.arrays["grade"], hottest.grades(snapshot), rtol=1e-6)


def test_run_ends_when_it_is_far_too_hot(tmp_path: Path, potential: PotentialFile) -> None:
    result = run(crystal(), potential, settings("nve", 900, temperature_limit=500), tmp_path)
    assert result.status == "temperature"
    assert result.steps == 10
    assert result.final().get_temperature() > 500


@pytest.mark.parametrize("name", ["nve", "npt"])
def test_burst_system_is_a_result_with_what_came_before(tmp_path: Path, potential: PotentialFile, name: str) -> None:
    asked = settings(name, timestep=0.1, temperature_limit=1e300, steps=4000)
    result = run(crystal(), potential, asked, tmp_path)
    assert result.status == "burst"
    assert result.reason
    assert result.trajectory("all").steps[0] == 0
    assert not (tmp_path / "restart").exists()
    with pytest.raises(FileError):
        result.final()


def test_pairs_closer_than_the_potential_knows_are_reported(tmp_path: Path, potential: PotentialFile) -> None:
    atoms = crystal()
    atoms.positions[1] = atoms.positions[0] + [1.4, 0, 0]
    result = run(atoms, potential, settings("nve", steps=1, temperature_limit=1e9), tmp_path)
    assert "below min_dist" in " ".join(result.warnings)


def test_runs_side_by_side_are_those_alone_to_the_last_bit(tmp_path: Path, potential: PotentialFile) -> None:
    crowded = crystal()
    crowded.positions[1] = crowded.positions[0] + [1e-9, 0, 0]
    asked = [settings("npt", temperature, segment_steps=60) for temperature in (300, 600, 300)]
    jobs = [
        Job(atoms, potential, one, seed, 1, str(seed), "gpu")
        for seed, (one, atoms) in enumerate(zip(asked, (crystal(), crystal(0.02), crowded), strict=True))
    ]

    def files(which: list[Job], where: Path) -> list[dict[str, bytes]]:
        folders = [where / job.identity for job in which]
        for folder in folders:
            folder.mkdir(parents=True)
        endings = gpu.run_on_gpu(which, folders, 0)
        assert [bool(burst) for _, burst in endings] == [job.atoms is crowded for job in which]
        return [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]

    alone = [files([job], tmp_path / f"alone{job.identity}")[0] for job in jobs]
    assert files(jobs[:2], tmp_path / "two") == alone[:2]
    assert files(jobs, tmp_path / "three") == alone
    assert alone[0] != alone[1]


def test_batch_of_runs_goes_on_where_each_of_them_was(tmp_path: Path, potential: PotentialFile) -> None:
    asked = [settings("nvt", temperature, steps=40) for temperature in (300, 600, 300)]
    asked[2] = settings("nve", 900, temperature_limit=500)
    runs = [Run(crystal(), potential, one, tmp_path / str(k), k) for k, one in enumerate(asked)]
    one_segment = Run(crystal(), potential, asked[1], tmp_path / "1", 1)
    alone = run(crystal(), potential, asked[1], tmp_path / "alone", seed=1)
    job = _Progress(one_segment, 1, "gpu", KokkosConfig()).job
    run_segments([job], [tmp_path / "1/segments"], [None])  # one of them was killed later than the others
    results = run_side_by_side(runs, engine="gpu")
    assert [(r.status, r.steps) for r in results] == [("finished", 40), ("finished", 40), ("temperature", 10)]
    assert contents(tmp_path / "1") == contents(alone.folder)
    assert run_side_by_side(runs, engine="gpu") == results


def test_temperatures_and_replicas_of_a_structure_go_side_by_side(tmp_path: Path) -> None:
    potential = PotentialFile(tmp_path / "solid.mtp", SPECIES)
    mtpcore.write_potential(potential.path, solid_potential(8))
    short: dict[str, Any] = {"equilibration_ps": 0.04, "production_ps": 0.02, "frame_ps": 0.02, "segment_ps": 0.04}
    asked = DynamicsConfig(engine="gpu", all_atoms_frame_ps=0.02, **short)
    material = Material(id="Li6PS5Cl", formula="Li6PS5Cl", anion="Cl")
    cases = [Case(tmp_path / str(seed), temperature, seed) for seed, temperature in enumerate((300.0, 500.0))]
    results = run_cases(crystal(), material, potential, asked, cases, coupling="isotropic")
    assert [(result.folder, result.status, result.steps) for result in results] == [
        (case.folder, "finished", 10) for case in cases
    ]
    assert [read_json(case.folder / "run.json")["engine"] for case in cases] == ["gpu", "gpu"]
    assert [result.thermo()["temperature_K"][0] for result in results] == pytest.approx([300, 500])
    volumes = [result.thermo()["volume_angstrom3"][0] for result in results]
    for case, volume in zip(cases, volumes, strict=True):
        settled = read_run(case.folder / "equilibration").thermo()
        assert settled[settled["time_ps"] >= 0.02]["volume_angstrom3"].mean() == pytest.approx(volume, rel=1e-4)


def test_what_cannot_be_run_is_an_error(tmp_path: Path, potential: PotentialFile) -> None:
    atoms = crystal()
    atoms.symbols[3] = "Na"
    with pytest.raises(DynamicsError, match="knows Li, P, S, Cl, not Na"):
        run(atoms, potential, settings(), tmp_path)
    with pytest.raises(DynamicsError, match=r"1\.90 angstrom high.*repeat the cell"):
        run(Atoms("Li", cell=[1.9, 9, 9], pbc=True), potential, settings(), tmp_path)
    with pytest.raises(DynamicsError, match="'sodium' keeps Na; the potential knows"):
        run(crystal(), potential, settings(streams=(Stream("sodium", 10, ("Na",)),)), tmp_path)
    ungraded = replace(potential, path=tmp_path / "plain.mtp")
    mtpcore.write_potential(ungraded.path, solid_potential(6))
    with pytest.raises(DynamicsError, match="no active set"):
        run(crystal(), ungraded, settings(grading=Grading()), tmp_path)
    (tmp_path / "damaged.mtp").write_text("MTP\nversion = 1.1.0\n")
    with pytest.raises(DynamicsError, match="cannot be used"):
        run(crystal(), replace(potential, path=tmp_path / "damaged.mtp"), settings(), tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="CuPy is installed here")
def test_missing_gpu_is_named_with_what_to_do(
    tmp_path: Path, potential: PotentialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    with pytest.raises(MissingDependencyError, match=r"engine is gpu, but CuPy is missing.*--with gpu"):
        run(crystal(), potential, settings(), tmp_path)
