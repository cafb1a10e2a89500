"""Runs of Li6PS5Cl obey mechanics and statistical mechanics, and hot ones fall apart where the checks say so."""

import lzma
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from scipy import stats

from argyro.common.files import write_json
from argyro.config.materials import RigidUnit
from argyro.md.checks import check_run
from argyro.md.lammps import PotentialFile
from argyro.md.run import RunResult, run_md
from argyro.md.settings import Ensemble, RunSettings, Stream

SPECIES = ("Li", "P", "S", "Cl")
ROOT = Path(__file__).parents[2]
LABELS = ROOT / "mtpcore/tests/data/li6ps5cl_gfn1.extxyz.xz"


@pytest.fixture(scope="module")
def frames() -> list[Atoms]:
    """Snapshots of Li6PS5Cl with labels of GFN1-xTB."""
    with lzma.open(LABELS, "rt") as file:
        found = read(StringIO(file.read()), index=":", format="extxyz")
    assert isinstance(found, list)
    return found


@pytest.fixture(scope="module")
def potential() -> PotentialFile:
    """The teacher that ships with the project: one fitted here in seconds would not stand all runs."""
    return PotentialFile(ROOT / "config/reference/teacher/Cl-12.mtp", SPECIES)


@pytest.fixture(scope="module")
def warm(frames: list[Atoms], potential: PotentialFile, tmp_path_factory: pytest.TempPathFactory) -> Atoms:
    """A cell in equilibrium at 500 K, with velocities."""
    settings = RunSettings(Ensemble("nvt", 500, thermostat_time=0.1), steps=4000)
    return run_md(frames[0], potential, settings, tmp_path_factory.mktemp("warm"), seed=1).final()


def nve(atoms: Atoms, potential: PotentialFile, folder: Path, timestep: float) -> RunResult:
    steps = round(8 / timestep)
    settings = RunSettings(
        Ensemble("nve", 500),
        steps=steps,
        timestep=timestep,
        thermo_every=1,
        segment_steps=steps,
        create_velocities=False,
    )
    return run_md(atoms, potential, settings, folder, seed=1)


def test_energy_is_conserved_to_second_order_in_the_timestep(
    warm: Atoms, potential: PotentialFile, tmp_path: Path
) -> None:
    energies = [nve(warm, potential, tmp_path / str(t), t).thermo()["conserved_energy_eV"] for t in (0.001, 0.002)]
    fluctuations = [series.std() for series in energies]
    assert fluctuations[1] / fluctuations[0] == pytest.approx(4, rel=0.25)
    assert fluctuations[1] / 52 < 1e-4  # eV per atom, of 0.04 in kinetic energy


def test_time_can_be_reversed(warm: Atoms, potential: PotentialFile, tmp_path: Path) -> None:
    settings = RunSettings(Ensemble("nve", 500), steps=100, segment_steps=50, create_velocities=False)
    there = run_md(warm, potential, settings, tmp_path / "there", seed=1).final()
    there.set_momenta(-there.get_momenta())
    back = run_md(there, potential, settings, tmp_path / "back", seed=1).final()
    np.testing.assert_allclose(back.positions, warm.positions, atol=1e-7)
    np.testing.assert_allclose(back.get_velocities(), -warm.get_velocities(), atol=1e-7)


def test_thermostat_gives_the_canonical_distribution_of_kinetic_energy(
    warm: Atoms, potential: PotentialFile, tmp_path: Path
) -> None:
    """A gamma distribution with half as many degrees of freedom (3 N - 3) as shape: mean, variance and all."""
    ensemble = Ensemble("nvt", 500, thermostat_time=0.02)
    settings = RunSettings(ensemble, steps=20_000, thermo_every=50, segment_steps=10_000, create_velocities=False)
    temperatures = run_md(warm, potential, settings, tmp_path, seed=4).thermo()["temperature_K"].to_numpy()[20:]
    freedom = 3 * 52 - 3
    expected = stats.gamma(a=freedom / 2, scale=500 / (freedom / 2))
    # Values 0.1 ps apart, five times the thermostat's time, are as good as independent
    assert stats.kstest(temperatures, expected.cdf).pvalue > 1e-3
    assert temperatures.std() / 500 == pytest.approx(np.sqrt(2 / freedom), rel=0.2)


def test_barostat_brings_about_the_pressure(warm: Atoms, potential: PotentialFile, tmp_path: Path) -> None:
    means = []
    for pressure in (0.0, 1.0):
        ensemble = Ensemble("npt", 500, thermostat_time=0.1, pressure=pressure, barostat_time=0.5)
        settings = RunSettings(ensemble, steps=8000, thermo_every=10, create_velocities=False)
        table = run_md(warm, potential, settings, tmp_path / str(pressure), seed=1).thermo()[200:]
        blocks = [block.mean() for block in np.array_split(table["pressure_GPa"].to_numpy(), 8)]
        assert np.mean(blocks) == pytest.approx(pressure, abs=4 * np.std(blocks) / np.sqrt(7) + 0.02)
        means.append(table["volume_angstrom3"].mean())
    assert means[1] < means[0]


def test_cool_run_is_sound_and_a_hot_one_breaks_and_melts(
    frames: list[Atoms], potential: PotentialFile, tmp_path: Path
) -> None:
    results = []
    for temperature in (400, 3000):
        ensemble = Ensemble("nvt", temperature, thermostat_time=0.1)
        settings = RunSettings(ensemble, steps=5000, thermo_every=25, streams=(Stream("all", 50),))
        results.append(run_md(frames[0], potential, settings, tmp_path / str(temperature), seed=2))
    cool, hot = (
        check_run(result, [RigidUnit()], "Li", temperature_K=temperature, skip_ps=1)
        for result, temperature in zip(results, (400, 3000), strict=True)
    )
    assert cool.ok
    assert cool.mean_temperature_K.value == pytest.approx(400, abs=10 + 3 * cool.mean_temperature_K.error)
    assert "bonds of PS4 broke" in " ".join(hot.violations)
    assert "molten" in " ".join(hot.violations)
    wrong = check_run(results[0], [RigidUnit()], "Li", temperature_K=700, skip_ps=1)
    assert f"the mean temperature is {wrong.mean_temperature_K.value:.0f} K, not 700 K" in wrong.violations
    write_json(tmp_path / "checks.json", hot.as_dict())
