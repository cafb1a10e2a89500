"""Molecular dynamics by kernels for GPUs, run thread by thread on a processor."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpu_motion import argyrodite, motion_of, settings, total_energies
from helpers import Structure
from lammps_runs import needs_plugin, read_dump, set_up, succeed
from native import random_native, solid_potential, with_random_active_set
from scipy import stats

import mtpcore
from mtpcore import Potential
from mtpcore.gpu import motion as motion_module
from mtpcore.gpu.backend import EmulatedBackend
from mtpcore.gpu.motion import BOLTZMANN, MASS_UNIT, Motion, MovingSystem, thermal_velocities
from mtpcore.gpu.sites import Sites
from mtpcore.gpu.systems import System, common_kernels

BACKEND = EmulatedBackend()
NPT: dict[str, Any] = {"thermostat_time": 0.05, "coupling": "isotropic", "barostat_time": 0.05}


@pytest.fixture(scope="module")
def potential() -> Potential:
    return with_random_active_set(solid_potential(8))


@pytest.fixture(scope="module")
def sites(potential: Potential) -> Sites:
    return Sites(BACKEND, potential)


def assert_same(one: Motion, number: int, other: Motion, other_number: int) -> None:
    """To the last bit."""
    found, expected = one.state(number), other.state(other_number)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


# ------------------------------------------------------------------ the right dynamics


def test_energy_is_conserved_with_an_error_of_second_order(sites: Sites) -> None:
    errors = []
    for timestep in (0.001, 0.002):
        motion = motion_of(sites, timestep=timestep)
        motion.advance(round(0.3 / timestep))
        energies = total_energies(motion, every=round(0.01 / timestep), count=60)
        errors.append(energies.std())
    assert errors[0] < 2e-5  # eV; that nothing drifts, by 1e-6 eV per ps, takes 10 ps: a test for a card
    assert errors[1] / errors[0] == pytest.approx(4, rel=0.4)


def test_momentum_is_conserved(sites: Sites) -> None:
    system = argyrodite()
    motion = motion_of(sites, system)
    motion.advance(50)
    assert np.abs(system.masses @ motion.velocities()[0]).max() < 1e-9


@needs_plugin()
def test_trajectory_is_that_of_lammps_to_rounding(tmp_path: Path, potential: Potential) -> None:
    system = argyrodite()
    at_rest = Structure(system.system.types, system.system.positions, system.system.cell, (True, True, True))
    mtpcore.write_potential(tmp_path / "solid.almtp", potential)
    script = set_up(tmp_path, at_rest, "pair_style mtp solid.almtp\npair_coeff * * Li P S Cl")
    script += "timestep 0.002\nfix motion all nve\ndump last all custom 30 last.dump id type xu yu zu vx vy vz\n"
    succeed(tmp_path, script + "dump_modify last sort id format float %.17g\nrun 30\n")
    expected = read_dump(tmp_path / "last.dump")
    moved = replace(system, masses=np.full(52, 10.0), velocities=np.zeros((52, 3)))
    motion = motion_of(Sites(BACKEND, potential), moved, timestep=0.002)
    motion.advance(30)
    assert np.abs(expected[:, 2:5] - system.system.positions).max() > 0.05
    np.testing.assert_allclose(motion.positions()[0], expected[:, 2:5], atol=1e-10)
    np.testing.assert_allclose(motion.velocities()[0], expected[:, 5:8], atol=1e-8)


def test_short_skin_misses_no_neighbour(sites: Sites) -> None:
    # Many renewals of the lists against few; atoms cross the faces of the cell, which barostat and drift move
    drifting = argyrodite(temperatures=(1500.0, 1500.0))
    drifting = replace(drifting, velocities=drifting.velocities + np.array([30.0, -20.0, 10.0]))
    short, long = (motion_of(sites, drifting, skin=skin, **NPT) for skin in (0.1, 1.4))
    for motion in (short, long):
        motion.advance(60)
    assert short.lists.builds > 3 * long.lists.builds > 3
    np.testing.assert_allclose(short.positions()[0], long.positions()[0], atol=1e-9)
    assert np.abs(long.state(0)["images"]).max() >= 1
    assert np.abs(long.positions()[0] - drifting.system.positions).max() > 1.5


def test_conserved_energy_counts_what_thermostat_and_barostat_take(sites: Sites) -> None:
    for coupling in ("isotropic", "normal", "anisotropic"):
        motion = motion_of(sites, **(NPT | {"coupling": coupling, "pressure": 0.002}))
        first = motion.observe()[0]
        motion.advance(200)
        last = motion.observe()[0]
        volumes = [np.linalg.det(o.cell) for o in (first, last)]
        totals = [
            o.potential_energy + o.kinetic_energy + o.taken + 0.002 * v
            for o, v in zip((first, last), volumes, strict=True)
        ]
        assert abs(last.taken) > 0.3
        assert abs(totals[1] - totals[0]) < 0.003
        lengths = last.cell.diagonal() / first.cell.diagonal()
        assert abs(np.log(lengths[2])) > 1e-3
        if coupling == "isotropic":
            np.testing.assert_allclose(lengths, lengths[0], rtol=1e-14)
        elif coupling == "normal":
            assert lengths[:2].tolist() == [1.0, 1.0]
        else:
            assert len(set(lengths.round(5))) == 3


def test_temperature_goes_from_start_to_end(sites: Sites) -> None:
    motion = motion_of(sites, argyrodite(temperatures=(300.0, 900.0)), steps=400, thermostat_time=0.01)
    motion.advance(350)
    seen = []
    for _ in range(50):
        motion.advance(1)
        seen.append(motion.temperatures()[0])
    assert np.mean(seen) == pytest.approx(860, rel=0.1)


# ------------------------------------------------------------------ the right ensembles


def free_atoms(count: int, systems: int, *, length: float, temperature: float) -> list[MovingSystem]:
    """Atoms that do not see one another."""
    masses = np.linspace(5.0, 30.0, count)
    rng = np.random.default_rng(0)
    return [
        MovingSystem(
            System(np.zeros(count, np.int32), rng.uniform(0, length, (count, 3)), np.eye(3) * length),
            masses,
            thermal_velocities(masses, temperature, seed),
            np.zeros((count, 3), np.int32),
            np.ones(count, bool),
            (temperature, temperature),
            seed,
        )
        for seed in range(systems)
    ]


def no_interaction() -> Sites:
    blank = random_native(2, 1, cutoff=1.0, min_dist=0.5)
    blank.radial_coeffs = np.zeros_like(blank.radial_coeffs)
    blank.species_coeffs = np.zeros(1)
    return Sites(BACKEND, blank)


def test_kinetic_energy_has_the_canonical_distribution() -> None:
    systems = free_atoms(3, 100, length=30.0, temperature=400.0)
    motion = motion_of(no_interaction(), *systems, thermostat_time=0.002, timestep=0.002)
    energies = []
    for _ in range(12):
        motion.advance(4)  # time constants
        energies += [o.kinetic_energy for o in motion.observe()]
    reduced = np.array(energies) / (BOLTZMANN * 400.0)
    assert stats.kstest(reduced, stats.gamma(3.0).cdf).pvalue > 0.001  # 6 degrees of freedom
    assert np.mean(reduced) == pytest.approx(3.0, rel=0.06)


@pytest.mark.parametrize("coupling", ["isotropic", "normal", "anisotropic"])
def test_volume_of_an_ideal_gas_has_its_distribution(coupling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # p(V) ~ V^(N-1) exp(-P V / kT) where the total momentum is 0: mean N kT / P, variance N (kT / P)^2
    monkeypatch.setattr(motion_module, "BAROSTAT_EVERY", 1)
    energy = BOLTZMANN * 300.0
    pressure = 4 * energy / 20.0**3
    relaxation = 0.03 if coupling == "isotropic" else 0.01  # a third of the rate for each axis
    options = {"coupling": coupling, "barostat_time": relaxation * motion_module.COMPRESSIBILITY * pressure}
    systems = free_atoms(4, 20, length=20.0, temperature=300.0)
    motion = motion_of(
        no_interaction(), *systems, pressure=pressure, thermostat_time=0.001, timestep=0.001, skin=0.3, **options
    )
    motion.advance(100)
    volumes = []
    for _ in range(16):
        motion.advance(15)
        volumes += [np.linalg.det(o.cell) for o in motion.observe()]
    reduced = np.array(volumes) * pressure / energy
    assert reduced.mean() == pytest.approx(4.0, rel=0.12)
    assert reduced.var() == pytest.approx(4.0, rel=0.45)


def test_velocities_have_their_temperature_and_no_momentum() -> None:
    masses = np.repeat([7.0, 32.0], 500)
    velocities = thermal_velocities(masses, 700.0, seed=3)
    kinetic = 0.5 * MASS_UNIT * masses @ (velocities**2).sum(axis=1)
    assert kinetic == pytest.approx(1.5 * 999 * BOLTZMANN * 700.0, rel=1e-12)
    assert np.abs(masses @ velocities).max() < 1e-9
    light, heavy = (velocities[masses == m].var() * m for m in (7.0, 32.0))
    assert light == pytest.approx(heavy, rel=0.15)
    assert not np.array_equal(velocities, thermal_velocities(masses, 700.0, seed=4))


def test_random_numbers_are_those_of_philox_and_have_their_distributions() -> None:
    count = 4000
    out = np.zeros(3 * count)
    kernels = common_kernels(BACKEND)
    kernels.launch("random_numbers", 1, 1, [np.uint64(0), np.uint64(0), 0, count, out])
    # Known answers of Random123 for a counter and a key of zeros: 6627e8d5 e169c58d bc57ac4c 9b00dbd8
    known = [(0xBC57AC4C9B00DBD8 >> 11) + 0.5, (0x6627E8D5E169C58D >> 11) + 0.5]
    np.testing.assert_allclose(out[:2], np.array(known) / 2.0**53, rtol=1e-15)
    uniform, normal, squared = out.copy().reshape(3, count)
    assert stats.kstest(uniform, "uniform").pvalue > 0.001
    assert stats.kstest(normal, "norm").pvalue > 0.001
    quantiles = stats.chi2(np.arange(1, count + 1)).cdf(squared)
    assert stats.kstest(quantiles, "uniform").pvalue > 0.001
    assert stats.kstest(quantiles[:200], "uniform").pvalue > 0.001
    kernels.launch("random_numbers", 1, 1, [np.uint64(0), np.uint64(1), 0, count, out])
    assert np.abs(np.corrcoef(uniform, out[:count])[0, 1]) < 0.05


# ------------------------------------------------------------------ the same bits


def test_a_system_in_a_batch_moves_as_it_does_alone_to_the_last_bit(potential: Potential) -> None:
    sites = Sites(BACKEND, potential)
    systems = [argyrodite(seed, temperatures=(300.0 * seed, 300.0), strain=0.01 * seed) for seed in (1, 2, 3)]
    together = motion_of(sites, *systems, skin=0.4, **NPT)
    alone = motion_of(sites, systems[1], skin=0.4, **NPT)
    for motion in (together, alone):
        motion.advance(40)
    assert together.lists.builds > alone.lists.builds > 1
    assert_same(together, 1, alone, 0)
    assert together.observe()[1].pressure.tolist() == alone.observe()[0].pressure.tolist()
    assert together.grades()[1].tolist() == alone.grades()[0].tolist()


def test_the_order_of_threads_changes_no_bit(potential: Potential) -> None:
    ends = []
    for backend in (BACKEND, EmulatedBackend(is_reversed=True)):
        motion = motion_of(Sites(backend, potential), skin=0.3, **NPT)
        motion.advance(25)
        ends.append(motion)
    assert_same(ends[0], 0, ends[1], 0)


def test_a_run_goes_on_from_its_state(sites: Sites) -> None:
    whole = motion_of(sites, **NPT)
    whole.advance(20)
    state = whole.state(0)
    start = argyrodite()
    system = System(start.system.types, state["positions"], state["cell"])
    again = replace(start, system=system, velocities=state["velocities"], images=state["images"].astype(np.int32))
    again = replace(again, taken=float(state["taken"]))
    ends = []
    for _ in range(2):
        motion = Motion(sites, BACKEND, [again], settings(**NPT), 20)
        motion.advance(30)
        ends.append(motion)
    assert_same(ends[0], 0, ends[1], 0)
    whole.advance(30)
    # Lists are made anew when it goes on: other sums, the same up to rounding
    np.testing.assert_allclose(ends[0].positions()[0], whole.positions()[0], atol=1e-9)
    assert ends[0].observe()[0].taken == pytest.approx(whole.observe()[0].taken, abs=1e-9)


def test_other_seeds_give_other_runs(sites: Sites) -> None:
    ends = []
    for seed in (1, 2):
        motion = motion_of(sites, replace(argyrodite(), seed=seed), thermostat_time=0.1)
        motion.advance(5)
        ends.append(motion.velocities()[0])
    assert not np.array_equal(ends[0], ends[1])


# ------------------------------------------------------------------ what is watched


def test_a_system_that_is_stopped_rests_and_the_others_go_on(sites: Sites) -> None:
    motion = motion_of(sites, argyrodite(1), argyrodite(2), **NPT)
    motion.advance(10)
    motion.stop(0)
    positions, observations = motion.positions(), motion.observe()
    motion.advance(20)
    assert np.array_equal(positions[0], motion.positions()[0])
    assert np.array_equal(observations[0].cell, motion.observe()[0].cell)
    assert np.abs(positions[1] - motion.positions()[1]).max() > 0.01


def test_grades_are_those_of_the_core(potential: Potential, sites: Sites) -> None:
    motion = motion_of(sites, argyrodite(1), argyrodite(2, strain=0.02), skin=0.5)
    motion.advance(15)
    engine, cells = mtpcore.Engine(potential), [o.cell for o in motion.observe()]
    for positions, cell, grades in zip(motion.positions(), cells, motion.grades(), strict=True):
        expected = engine.grades(argyrodite().system.types, positions, cell, (True, True, True))
        np.testing.assert_allclose(grades, expected, rtol=1e-9)


def test_flying_apart_and_close_pairs_are_noticed_system_by_system(sites: Sites) -> None:
    crowded = argyrodite(2)
    positions = crowded.system.positions.copy()
    positions[1] = positions[0] + [1.3, 0.0, 0.0]
    crowded = replace(crowded, system=System(crowded.system.types, positions, crowded.system.cell))
    crushed = argyrodite(3)
    positions = crushed.system.positions.copy()
    positions[1] = positions[0] + [0.002, 0.0, 0.0]
    crushed = replace(crushed, system=System(crushed.system.types, positions, crushed.system.cell))
    flags = motion_of(sites, argyrodite(1), crowded, crushed).flags()
    assert flags[:, 1].tolist() == [False, True, True]
    assert flags[:, 0].tolist() == [False, False, True]


def test_framework_is_followed_unwrapped(sites: Sites) -> None:
    drifting = argyrodite()
    drifting = replace(drifting, velocities=drifting.velocities + np.array([100.0, 0.0, 0.0]))
    motion = motion_of(sites, drifting)
    first = motion.observe()[0].framework
    motion.advance(120)
    framework = drifting.is_framework
    expected = np.average(motion.positions()[0][framework], axis=0, weights=drifting.masses[framework])
    np.testing.assert_allclose(motion.observe()[0].framework, expected, atol=1e-10)
    assert expected[0] - first[0] == pytest.approx(12.0, abs=0.5)  # beyond the cell
