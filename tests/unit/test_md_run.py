"""Runs are what an independent integrator makes of the potential, go on bit for bit, and end early without a crash."""

import multiprocessing
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from scipy.spatial.transform import Rotation

import mtpcore
from argyro.common.errors import DynamicsError, FileError
from argyro.md.lammps import PotentialFile
from argyro.md.relax import RelaxSettings, relax, require_converged
from argyro.md.run import RunResult, read_run, run_md
from argyro.md.settings import Coupling, Ensemble, Grading, RunSettings, Stream
from mtpcore.ase import MTP
from mtpcore.configuration import Configuration

SPECIES = ("Cu", "Au")
FILES = ("final.extxyz", "restart", "thermo.parquet", "trajectory/all.parquet", "trajectory/mobile.parquet")
STREAMS = (Stream("all", 20), Stream("mobile", 10, ("Cu",)))


def crystal(rattle: float = 0.1) -> Atoms:
    """Cu3Au in a skewed, turned cell of 32 atoms: nothing is where LAMMPS would have it."""
    atoms = bulk("Cu", cubic=True, a=3.79)
    atoms.symbols[0] = "Au"
    atoms *= 2
    atoms.set_cell(atoms.cell.array @ [[1, 0, 0], [0.02, 1, 0], [-0.01, 0.03, 1]], scale_atoms=True)
    turn = Rotation.from_euler("xyz", [0.3, -0.8, 2.0]).as_matrix()
    atoms.set_cell(atoms.cell.array @ turn, scale_atoms=True)
    atoms.positions += np.random.default_rng(1).normal(loc=[9.0, -7.0, 0.3], scale=rattle, size=(len(atoms), 3))
    return atoms


def label(atoms: Atoms) -> Configuration:
    atoms.calc = EMT()
    labels = {"REF_energy": atoms.get_potential_energy(), "REF_stress": atoms.get_stress()}
    atoms.info |= labels | {"level_of_theory": "EMT"}
    atoms.set_array("REF_forces", atoms.get_forces())
    atoms.calc = None
    return Configuration.from_atoms(atoms, SPECIES)


@pytest.fixture(scope="module")
def potential(tmp_path_factory: pytest.TempPathFactory) -> PotentialFile:
    """Fitted to effective medium theory."""
    rng = np.random.default_rng(0)
    training = []
    for _ in range(16):
        atoms = crystal(rattle=rng.uniform(0.05, 0.25))
        atoms.set_cell(atoms.cell.array * rng.uniform(0.97, 1.03), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
        training.append(label(atoms))
    start = mtpcore.new_potential(6, 2, min_dist=1.5, max_dist=5.0)
    fitted = mtpcore.fit(start, training, settings=mtpcore.FitSettings(hops=0, threads=1)).potential
    path = tmp_path_factory.mktemp("a potential") / "CuAu.almtp"
    mtpcore.write_potential(path, mtpcore.select(fitted, training))
    return PotentialFile(path, SPECIES)


def settings(name: str = "nvt", temperature: float = 400.0, **options: Any) -> RunSettings:
    defaults: dict[str, Any] = {
        "steps": 200,
        "thermo_every": 10,
        "segment_steps": 100,
        "streams": STREAMS,
        "mobile": ("Cu",),
    }
    ensemble = options.pop("ensemble", None) or Ensemble(name, temperature)  # type: ignore[arg-type]
    return RunSettings(ensemble, **(defaults | options))


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


# ------------------------------------------------------------------ the right dynamics


def test_nve_is_velocity_verlet_of_the_potential_in_the_orientation_of_the_structure(
    tmp_path: Path, potential: PotentialFile
) -> None:
    atoms = crystal()
    rng = np.random.default_rng(2)
    atoms.set_momenta(rng.normal(scale=1.0, size=(len(atoms), 3)))
    atoms.set_momenta(
        atoms.get_momenta() - atoms.get_masses()[:, None] * atoms.get_momenta().sum(0) / atoms.get_masses().sum()
    )
    result = run_md(atoms, potential, settings("nve", create_velocities=False), tmp_path, seed=1)
    expected = atoms.copy()
    expected.calc = MTP(potential.path, SPECIES)
    energy = expected.get_potential_energy()
    frames = []
    dynamics = VelocityVerlet(expected, timestep=2 * units.fs)
    dynamics.attach(lambda: frames.append(expected.get_positions()), interval=20)
    dynamics.run(200)
    assert result.finished
    thermo = result.thermo()
    assert thermo["potential_energy_eV"][0] == pytest.approx(energy, abs=1e-9)
    # The units of femtoseconds differ in the seventh digit
    np.testing.assert_allclose(result.final().positions, expected.positions, atol=2e-5)
    np.testing.assert_allclose(result.final().get_velocities(), expected.get_velocities(), atol=2e-5)
    trajectory = result.trajectory("all")
    np.testing.assert_allclose(trajectory.positions(), frames, atol=6e-5)
    np.testing.assert_allclose(trajectory.cells, np.broadcast_to(atoms.cell.array, (11, 3, 3)), atol=1e-12)
    assert trajectory.steps.tolist() == list(range(0, 201, 20))
    assert thermo["step"].tolist() == list(range(0, 201, 10))
    gold = atoms.symbols == "Au"
    np.testing.assert_allclose(trajectory.framework, trajectory.positions()[:, gold].mean(axis=1), atol=6e-5)


def test_mobile_stream_holds_the_mobile_ions_of_the_other_stream(tmp_path: Path, potential: PotentialFile) -> None:
    atoms = crystal()
    result = run_md(atoms, potential, settings(), tmp_path, seed=1)
    everything, mobile = result.trajectory("all"), result.trajectory("mobile")
    assert mobile.atoms.tolist() == np.flatnonzero(atoms.symbols == "Cu").tolist()
    assert mobile.metadata["elements"] == ["Cu"] * 24
    assert np.abs(mobile.positions()[::2] - everything.positions()[:, mobile.atoms]).max() == 0
    assert np.abs(everything.positions()[-1] - result.final().positions).max() <= 5.001e-5
    np.testing.assert_allclose(mobile.times[-1], 0.4)


def test_pressure_is_minus_the_stress_and_the_kinetic_part(tmp_path: Path, potential: PotentialFile) -> None:
    atoms = crystal()
    atoms.set_velocities(np.random.default_rng(3).normal(scale=0.05, size=(32, 3)))
    row = run_md(atoms, potential, settings("nve", create_velocities=False, steps=1), tmp_path, seed=1).thermo().iloc[0]
    masses = atoms.get_masses()[:, None]
    velocities = atoms.get_velocities() - (masses * atoms.get_velocities()).sum(axis=0) / masses.sum()
    atoms.calc = MTP(potential.path, SPECIES)
    expected = (masses * velocities).T @ velocities / atoms.get_volume() - atoms.get_stress(voigt=False)
    for name, (i, j) in {"xx": (0, 0), "yy": (1, 1), "zz": (2, 2), "yz": (1, 2), "xz": (0, 2), "xy": (0, 1)}.items():
        assert row[f"pressure_{name}_GPa"] == pytest.approx(expected[i, j] / units.GPa, abs=1e-5)
    assert row["volume_angstrom3"] == pytest.approx(atoms.get_volume())
    np.testing.assert_allclose(row[["a_angstrom", "b_angstrom", "c_angstrom"]], atoms.cell.lengths())


def test_velocities_drawn_have_the_temperature_and_no_momentum(tmp_path: Path, potential: PotentialFile) -> None:
    result = run_md(crystal(), potential, settings("nvt"), tmp_path, seed=1)
    assert result.thermo()["temperature_K"][0] == pytest.approx(400)
    assert np.abs(result.final().get_momenta().sum(axis=0)).max() < 1e-10
    trajectory = result.trajectory("all")
    weights = crystal().get_masses()
    center = np.average(trajectory.positions(), axis=1, weights=weights)
    assert np.ptp(center, axis=0).max() < 5e-5


def test_normal_barostat_changes_one_length_and_the_isotropic_one_all_alike(
    tmp_path: Path, potential: PotentialFile
) -> None:
    atoms = bulk("Cu", cubic=True, a=3.8).repeat(2)
    atoms.symbols[::4] = "Au"
    couplings: tuple[Coupling, ...] = ("normal", "isotropic", "anisotropic")
    for coupling in couplings:
        ensemble = Ensemble("npt", 300, pressure=1.0, coupling=coupling, barostat_time=0.2)
        last = (
            run_md(atoms, potential, settings(ensemble=ensemble, segment_steps=200), tmp_path / coupling, seed=1)
            .thermo()
            .iloc[-1]
        )
        strains = last[["a_angstrom", "b_angstrom", "c_angstrom"]].to_numpy(dtype=float) / 7.6 - 1
        assert abs(strains[2]) > 1e-3
        assert (np.abs(strains[:2]) < 1e-12).all() == (coupling == "normal")
        assert (np.ptp(strains) < 1e-12) == (coupling == "isotropic")


def test_temperature_follows_a_ramp_over_segments(tmp_path: Path, potential: PotentialFile) -> None:
    ensemble = Ensemble("nvt", 600, end_temperature=50, thermostat_time=0.02)
    table = run_md(
        crystal(0.01), potential, settings(ensemble=ensemble, steps=800, segment_steps=400), tmp_path, seed=1
    ).thermo()
    expected = 600 + (50 - 600) * table["step"] / 800
    late = table["step"] > 300  # the crystal was cold: half of the first heat goes into potential energy
    assert np.abs(table["temperature_K"] - expected)[late].mean() < 40


# ------------------------------------------------------------------ segments


@pytest.mark.parametrize("name", ["nvt", "npt"])
def test_killed_run_ends_bit_identical_to_the_uninterrupted_one(
    tmp_path: Path, potential: PotentialFile, name: str
) -> None:
    asked = settings(name, segment_steps=40)
    whole = run_md(crystal(), potential, asked, tmp_path / "whole", seed=7)
    folder = tmp_path / "killed"
    arguments = (crystal(), potential, asked, folder)
    process = multiprocessing.get_context("fork").Process(target=run_md, args=arguments, kwargs={"seed": 7})
    process.start()
    deadline = time.monotonic() + 60
    while len(list(folder.glob("segments/[0-9]*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.pid is not None
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (folder / "run.json").exists()
    done = list(folder.glob("segments/[0-9]*"))
    assert 2 <= len(done) < 5
    again = run_md(crystal(), potential, asked, folder, seed=7)
    assert again.steps == whole.steps == 200
    assert contents(folder) == contents(tmp_path / "whole")
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in whole.folder.iterdir())


def test_length_of_segments_changes_no_physics(tmp_path: Path, potential: PotentialFile) -> None:
    """Velocity Verlet forgets nothing at a checkpoint, so that only rounding differs."""
    short = run_md(crystal(), potential, settings("nve", steps=120, segment_steps=40), tmp_path / "short", seed=3)
    long = run_md(crystal(), potential, settings("nve", steps=120, segment_steps=120), tmp_path / "long", seed=3)
    np.testing.assert_allclose(short.final().positions, long.final().positions, atol=1e-9)
    np.testing.assert_allclose(short.thermo(), long.thermo(), rtol=1e-7, atol=1e-7)


def test_thermostat_goes_on_where_it_was(tmp_path: Path, potential: PotentialFile) -> None:
    """Its random numbers and the energy it exchanged come from the checkpoint."""
    ensemble = Ensemble("nvt", 400, thermostat_time=0.05)
    results = [
        run_md(crystal(), potential, settings(ensemble=ensemble, steps=120, segment_steps=n), tmp_path / str(n), seed=3)
        for n in (40, 120)
    ]
    short, long = (result.thermo() for result in results)
    np.testing.assert_allclose(short["temperature_K"], long["temperature_K"], rtol=1e-6)
    np.testing.assert_allclose(short["conserved_energy_eV"], long["conserved_energy_eV"], atol=1e-6)


def test_two_ranks_agree_with_one(tmp_path: Path, potential: PotentialFile) -> None:
    asked = settings("nvt", steps=40, segment_steps=40)
    one = run_md(crystal(), potential, asked, tmp_path / "1", seed=3)
    two = run_md(crystal(), potential, asked, tmp_path / "2", seed=3, ranks=2)
    np.testing.assert_allclose(two.trajectory("all").positions(), one.trajectory("all").positions(), atol=2e-4)


def test_seed_decides(tmp_path: Path, potential: PotentialFile) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run_md(crystal(), potential, settings(steps=40, segment_steps=40), tmp_path / name, seed=seed)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a")["trajectory/all.parquet"] != contents(tmp_path / "c")["trajectory/all.parquet"]


def test_finished_run_is_not_repeated_unless_it_is_another_or_damaged(tmp_path: Path, potential: PotentialFile) -> None:
    asked = settings(steps=40, segment_steps=40)
    first = run_md(crystal(), potential, asked, tmp_path, seed=1)
    record = (tmp_path / "run.json").stat().st_mtime_ns
    assert run_md(crystal(), potential, asked, tmp_path, seed=1) == first == read_run(tmp_path)
    assert (tmp_path / "run.json").stat().st_mtime_ns == record
    whole = contents(tmp_path)
    path = tmp_path / "trajectory/mobile.parquet"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    run_md(crystal(), potential, asked, tmp_path, seed=1)
    assert contents(tmp_path) == whole
    assert run_md(crystal(), potential, replace(asked, steps=80), tmp_path, seed=1).steps == 80
    assert contents(tmp_path)["restart"] != whole["restart"]


# ------------------------------------------------------------------ early ends


def test_run_ends_where_the_potential_knows_nothing_and_keeps_what_came_before(
    tmp_path: Path, potential: PotentialFile
) -> None:
    asked = settings("nvt", 2500, steps=4000, segment_steps=200, grading=Grading(every=5, select=1.2, stop=3.0))
    result = run_md(crystal(), potential, asked, tmp_path, seed=1)
    assert result.status == "grade"
    assert result.steps < 4000
    assert f"at step {result.steps}" in result.reason
    assert result.largest_grade is not None
    assert result.largest_grade > 3.0
    kept = result.snapshots()
    assert len(kept) == result.snapshot_count > 1
    calculator = MTP(potential.path, SPECIES)
    for snapshot in kept:
        grades = calculator.grades(snapshot)
        np.testing.assert_allclose(snapshot.arrays["grade"], grades, rtol=1e-6)
        assert snapshot.info["largest_grade"] == pytest.approx(grades.max(), rel=1e-6)
        assert snapshot.info["largest_grade"] > 1.2
    steps = [snapshot.info["step"] for snapshot in kept]
    assert steps == sorted(set(steps))
    assert steps[-1] == result.steps
    assert max(snapshot.info["largest_grade"] for snapshot in kept[:-1]) <= 3.0
    np.testing.assert_allclose(calculator.grades(result.final()).max(), result.largest_grade, rtol=1e-6)
    unkept = replace(asked, grading=Grading(every=5, select=None, stop=3.0))
    again = run_md(crystal(), potential, unkept, tmp_path, seed=1)
    assert (again.status, again.steps, again.snapshots()) == ("grade", result.steps, [])
    assert again.largest_grade == pytest.approx(result.largest_grade, rel=1e-6)


def test_run_ends_when_enough_structures_were_kept(tmp_path: Path, potential: PotentialFile) -> None:
    grading = Grading(every=5, select=0.1, stop=None, enough=10)
    result = run_md(crystal(), potential, settings(grading=grading, steps=4000, segment_steps=40), tmp_path, seed=1)
    assert result.status == "enough"
    assert result.steps == 80  # two segments with the 9 and 8 gradings of their 41 and 40 steps
    assert "structures were kept" in result.reason


def test_run_ends_when_it_is_far_too_hot(tmp_path: Path, potential: PotentialFile) -> None:
    result = run_md(crystal(0.35), potential, settings("nve", temperature_limit=600), tmp_path, seed=1)
    assert result.status == "temperature"
    assert 0 < result.steps < 200
    assert result.steps % 10 == 0
    assert result.final().get_temperature() > 600


@pytest.mark.parametrize("name", ["nve", "npt"])
def test_burst_system_is_a_result_with_what_came_before(tmp_path: Path, potential: PotentialFile, name: str) -> None:
    grading = Grading(every=10, select=1.2, stop=None)
    asked = settings(name, timestep=0.05, temperature_limit=1e300, steps=4000, grading=grading)
    result = run_md(crystal(), potential, asked, tmp_path, seed=1)
    assert result.status == "burst"
    assert result.reason
    assert len(result.thermo()) > 0
    assert result.trajectory("all").steps[0] == 0
    assert all(len(snapshot) == 32 for snapshot in result.snapshots())
    assert not (tmp_path / "restart").exists()
    with pytest.raises(FileError):
        result.final()


def test_pairs_closer_than_the_potential_knows_are_reported(tmp_path: Path, potential: PotentialFile) -> None:
    atoms = crystal()
    atoms.positions[1] = atoms.positions[0] + [1.4, 0, 0]
    asked = settings("nve", steps=1, temperature_limit=1e9)
    assert "below min_dist" in " ".join(run_md(atoms, potential, asked, tmp_path, seed=1).warnings)


@pytest.mark.parametrize("change", ["species", "periodicity", "file"])
def test_what_lammps_does_not_take_is_an_error(tmp_path: Path, potential: PotentialFile, change: str) -> None:
    atoms, message = crystal(), ""
    if change == "species":
        atoms.symbols[3], message = "Li", "knows Cu, Au, not Li"
    elif change == "periodicity":
        atoms.pbc[1], message = False, "periodic in all three"
    else:
        (tmp_path / "damaged.mtp").write_text("MTP\nversion = 1.1.0\n")
        potential, message = replace(potential, path=tmp_path / "damaged.mtp"), "LAMMPS ended with code"
    with pytest.raises(DynamicsError, match=message):
        run_md(atoms, potential, settings(), tmp_path / "run", seed=1)
    assert not (tmp_path / "run/run.json").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"segment_steps": 45}, "segment_steps 45 is no multiple of 10"),
        ({"streams": (Stream("all", 15),)}, "'all' every 15 steps are no multiple"),
        ({"steps": 0}, "must be above 0"),
    ],
)
def test_intervals_that_do_not_fit_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(DynamicsError, match=message):
        settings(**wrong)


def test_stream_of_an_element_that_the_potential_does_not_know_is_refused(
    tmp_path: Path, potential: PotentialFile
) -> None:
    with pytest.raises(DynamicsError, match="'sodium' keeps Na; the potential knows Cu, Au"):
        run_md(crystal(), potential, settings(streams=(Stream("sodium", 10, ("Na",)),)), tmp_path, seed=1)


def test_nve_with_a_ramp_is_refused() -> None:
    with pytest.raises(DynamicsError, match="no thermostat"):
        Ensemble("nve", 300, end_temperature=400)


# ------------------------------------------------------------------ minimisation


def test_relaxed_positions_are_those_of_another_minimiser(tmp_path: Path, potential: PotentialFile) -> None:
    relaxed = require_converged(relax(crystal(), potential, tmp_path, RelaxSettings(force_tolerance=1e-4)), "Cu3Au")
    expected = crystal()
    expected.calc = MTP(potential.path, SPECIES)
    BFGS(expected, logfile=None).run(fmax=1e-4)
    assert relaxed.energy == pytest.approx(expected.get_potential_energy(), abs=1e-6)
    offset = relaxed.atoms.positions - expected.positions
    np.testing.assert_allclose(offset - offset.mean(axis=0), 0, atol=1e-3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cell", ["isotropic", "normal", "anisotropic"])
def test_relaxed_cell_is_at_the_pressure_asked_for(tmp_path: Path, potential: PotentialFile, cell: Any) -> None:
    atoms = bulk("Cu", cubic=True, a=3.75).repeat(2)
    atoms.symbols[::4] = "Au"
    atoms.rattle(0.05, seed=1)
    relaxed = require_converged(relax(atoms, potential, tmp_path, RelaxSettings(cell=cell, pressure=0.5)), "Cu3Au")
    relaxed.atoms.calc = MTP(potential.path, SPECIES)
    pressures = -relaxed.atoms.get_stress()[:3] / units.GPa
    expected = {"isotropic": [pressures.mean()], "normal": [pressures[2]], "anisotropic": pressures}[cell]
    np.testing.assert_allclose(expected, 0.5, atol=1.1e-3)
    assert np.abs(relaxed.atoms.get_forces()).max() < 1e-3


def test_fractions_of_the_cell_keep_their_meaning_as_it_relaxes(tmp_path: Path, potential: PotentialFile) -> None:
    """So that a boundary plane stays where it was: the origin of the cell is the fixed point, not its middle."""
    atoms = bulk("Cu", cubic=True, a=3.65).repeat(2)
    atoms.symbols[::4] = "Au"
    relaxed = relax(atoms, potential, tmp_path, RelaxSettings(cell="isotropic")).atoms
    assert relaxed.cell[0, 0] > 7.4
    np.testing.assert_allclose(relaxed.positions / relaxed.cell[0, 0], atoms.positions / 7.3, atol=1e-6)
    moved = run_md(atoms, potential, settings("npt", 300), tmp_path, seed=1).final()
    assert abs(moved.cell[0, 0] - 7.3) > 0.02
    centers = [structure.get_center_of_mass() / structure.cell[0, 0] for structure in (moved, atoms)]
    np.testing.assert_allclose(centers[0], centers[1], atol=1e-4)


def test_minimum_that_is_not_reached_is_refused(tmp_path: Path, potential: PotentialFile) -> None:
    relaxed = relax(crystal(), potential, tmp_path, RelaxSettings(force_tolerance=0.0, max_rounds=1))
    assert not relaxed.converged
    with pytest.raises(DynamicsError, match="Cu3Au did not relax in 1 rounds"):
        require_converged(relaxed, "Cu3Au")


def test_result_is_read_back(tmp_path: Path, potential: PotentialFile) -> None:
    result: RunResult = run_md(crystal(), potential, settings(steps=40, segment_steps=40), tmp_path, seed=1)
    assert read_run(tmp_path) == result
    with pytest.raises(FileError):
        read_run(tmp_path / "elsewhere")
