"""Kernels for GPUs, run thread by thread on a processor, against the native core; and compiled for a GPU."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from gpu_checks import assert_equal, assert_like_the_core, graded, system
from gpu_motion import argyrodite, motion_of, total_energies
from helpers import Structure, random_cell
from native import random_native, shuffled, solid_potential, with_random_active_set
from nvrtc import compile_for, nvrtc

from mtpcore import Engine, InvalidStructureError, MtpcoreError, Potential, UnknownSpeciesError, new_potential
from mtpcore.gpu import source
from mtpcore.gpu.backend import CupyBackend, EmulatedBackend, GpuError
from mtpcore.gpu.motion import RENEW_EVERY
from mtpcore.gpu.sites import GpuEngine, Sites
from mtpcore.gpu.source import FLOAT, common_source, default_tile, shared_bytes, sites_source
from mtpcore.gpu.systems import Batch, NeighborLists, System, common_kernels
from mtpcore.gpu.tables import contraction_program, spread

LEVELS = (2, 4, 6, 8, 10, 12, 16, 20, 24)
BACKEND = EmulatedBackend()
BACKWARDS = EmulatedBackend(is_reversed=True)

type FloatArray = npt.NDArray[np.float64]


@pytest.mark.parametrize("level", LEVELS)
def test_energies_forces_virials_and_grades_are_those_of_the_core(level: int) -> None:
    # Triclinic cells, the first so small that an atom sees several images of another and of itself
    structures = [random_cell(5, 3, seed=level), random_cell(30, 3, seed=level + 1)]
    assert_like_the_core(BACKEND, graded(level), structures)


def test_shuffled_tables_of_one_species_and_few_polynomials_are_as_good() -> None:
    potential = shuffled(random_native(10, 1, seed=1, radial_basis_size=5), seed=2)
    assert_like_the_core(BACKEND, with_random_active_set(potential), [random_cell(9, 1, seed=3)])


def test_more_neighbours_than_a_block_holds_at_once_are_taken_in_parts() -> None:
    structure = random_cell(16, 2, seed=5)
    potential = graded(8, 2, cutoff=8.0)
    lists = lists_of(potential, structure, skin=0.0)
    assert lists.counts.min() * 4 > 2 * 128  # three parts for four atoms
    assert_like_the_core(BACKEND, potential, [structure])


def test_which_atoms_share_a_block_changes_no_bit() -> None:
    potential, structure = graded(8, 2, cutoff=8.0), random_cell(16, 2, seed=5)  # two or three parts for four atoms
    engine, other = GpuEngine(potential, BACKEND, tile=4), system(random_cell(11, 2, seed=1))
    alone, shifted = engine.evaluate([system(structure)])[0], engine.evaluate([other, system(structure)])[1]
    for name in ("forces", "site_energies", "virial"):
        assert np.array_equal(getattr(alone, name), getattr(shifted, name))
    assert np.array_equal(engine.grades([system(structure)])[0], engine.grades([other, system(structure)])[1])


def test_neighbours_in_the_skin_change_nothing() -> None:
    structure, potential = random_cell(20, 3, seed=8), graded(8)
    kernels = GpuEngine(potential, BACKEND)
    batch = Batch(BACKEND, [system(structure)], 3)
    lists = NeighborLists(BACKEND, common_kernels(BACKEND), batch, cutoff=5.0, skin=0.8)
    lists.build()
    rows = kernels.sites.rows(batch, lists)
    assert lists.counts.sum() > lists_of(potential, structure, skin=0.0).counts.sum()
    whole = Engine(potential).site_energy_jacobian(*structure)
    for row, expected, kind in zip(rows, whole, structure.types, strict=True):
        radial = potential.radial_coeffs[0].size
        own = np.concatenate([expected[kind * radial : (kind + 1) * radial], [expected[3 * radial + kind]]])
        assert_equal(row, np.concatenate([own, expected[3 * radial + 3 :]]), 1e-12)


def lists_of(potential: Potential, structure: Structure, *, skin: float) -> NeighborLists:
    batch = Batch(BACKEND, [system(structure)], potential.species_count)
    lists = NeighborLists(BACKEND, common_kernels(BACKEND), batch, cutoff=potential.max_dist, skin=skin)
    lists.build()
    return lists


@pytest.mark.parametrize("level", [8, 16])
def test_no_thread_reads_what_another_writes_in_the_same_phase(level: int) -> None:
    # Then the order of threads and blocks changes no bit; shared memory begins as NaN and is guarded at its end
    potential, systems = graded(level), [system(random_cell(11, 3, seed=n)) for n in range(2)]
    forwards, backwards = (GpuEngine(potential, b) for b in (BACKEND, BACKWARDS))
    for one, other in zip(forwards.evaluate(systems), backwards.evaluate(systems), strict=True):
        assert np.array_equal(one.forces, other.forces)
        assert np.array_equal(one.site_energies, other.site_energies)
        assert np.array_equal(one.virial, other.virial)
    grades = zip(forwards.grades(systems), backwards.grades(systems), strict=True)
    assert all(np.array_equal(one, other) for one, other in grades)


def test_forces_add_up_to_exactly_nothing() -> None:
    # Whole numbers: a rounding error of a pair's force acts on both atoms
    forces = GpuEngine(graded(8), BACKEND).evaluate([system(random_cell(30, 3, seed=3))])[0].forces
    assert np.array_equal((forces * 2.0**43).astype(np.int64).sum(axis=0), [0, 0, 0])


def test_a_batch_gives_what_its_systems_give_alone() -> None:
    kernels = GpuEngine(graded(8), BACKEND)
    systems = [system(random_cell(n, 3, seed=n)) for n in (7, 20, 9)]
    together = kernels.evaluate(systems)
    for one, found in zip(systems, together, strict=True):
        alone = kernels.evaluate([one])[0]
        assert np.array_equal(alone.forces, found.forces)
        assert np.array_equal(alone.site_energies, found.site_energies)


def test_list_holds_every_neighbour_once() -> None:
    structure = random_cell(6, 2, seed=1)
    lists = lists_of(graded(8, 2), structure, skin=0.5)
    fractions = structure.positions @ np.linalg.inv(structure.cell)
    wrapped = (fractions - np.floor(fractions)) @ structure.cell
    shifts = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) @ structure.cell
    for i in range(6):
        distances = np.linalg.norm(wrapped[:, None] + shifts - wrapped[i], axis=-1)
        assert lists.counts[i] == ((distances < 5.5) & (distances > 0)).sum()
        entries = lists.entries[i, : lists.counts[i]]
        assert len(set(entries.tolist())) == len(entries)


def test_room_for_neighbours_grows() -> None:
    structure = random_cell(30, 1, seed=2)
    lists = lists_of(random_native(8, 1, cutoff=7.0), structure, skin=1.0)
    assert lists.counts.max() > 64
    assert lists.counts.max() <= lists.capacity


def test_structures_that_make_no_sense_are_refused() -> None:
    kernels = GpuEngine(graded(8), BACKEND)
    good = random_cell(8, 3, seed=1)
    with pytest.raises(UnknownSpeciesError, match="types 0 to 3 occur; the potential has species 0 to 2"):
        kernels.evaluate([System(np.full(8, 3, np.int32) * np.arange(8) // 7, good.positions, good.cell)])
    same = good.positions.copy()
    same[1] = same[0]
    with pytest.raises(InvalidStructureError, match="coincide"):
        kernels.evaluate([System(good.types, same, good.cell)])
    with pytest.raises(InvalidStructureError, match=r"2\.00 angstrom high; .* at least 2\.50: repeat the cell"):
        kernels.evaluate([System(good.types, good.positions, np.diag([2.0, 20.0, 20.0]))])
    with pytest.raises(InvalidStructureError, match="not finite"):
        System(good.types, good.positions * np.nan, good.cell)
    with pytest.raises(InvalidStructureError, match="no volume"):
        System(good.types, good.positions, np.ones((3, 3)))
    with pytest.raises(InvalidStructureError, match="shape"):
        System(good.types[1:], good.positions, good.cell)


def test_a_structure_that_has_flown_apart_is_noticed() -> None:
    potential = random_native(8, 1, seed=1)
    close = System(np.zeros(2, np.int32), np.array([[0.0, 0, 0], [0.01, 0, 0]]), np.eye(3) * 9)
    with pytest.raises(InvalidStructureError, match="forces above 8192 eV/angstrom: atoms are far too close"):
        GpuEngine(potential, BACKEND).evaluate([close])


def test_too_little_memory_names_the_largest_system_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    # 64 neighbours in a list and 320 other bytes: 576 an atom
    monkeypatch.setattr(BACKEND, "memory", lambda: (6000, 10**9))
    structure = system(random_cell(20, 3, seed=1))
    message = "20 atoms need 0.0 GB at 576 bytes each; .* of emulation are free: at most about 10 atoms fit"
    with pytest.raises(GpuError, match=message):
        GpuEngine(graded(4), BACKEND).evaluate([structure])


def test_grades_need_an_active_set() -> None:
    with pytest.raises(MtpcoreError, match="no active set"):
        GpuEngine(random_native(8, 3), BACKEND).grades([system(random_cell(6, 3, seed=1))])


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="CuPy is installed here")
def test_missing_cupy_is_named_with_what_to_install() -> None:
    with pytest.raises(GpuError, match=re.escape("pip install 'mtpcore[gpu]'")):
        CupyBackend()


def test_missing_compiler_of_the_emulation_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(GpuError, match="no-such-compiler"):
        EmulatedBackend(folder=tmp_path).compile(common_source())


# ------------------------------------------------------------------ machine code for a GPU


@pytest.mark.skipif(nvrtc() is None, reason="needs NVRTC: pip install nvidia-cuda-nvrtc")
@pytest.mark.parametrize("level", [None, 8, 16, 24])
def test_machine_code_of_an_h100_keeps_its_numbers_in_registers(level: int | None) -> None:
    if level is None:
        source = common_source()
    else:
        tables = contraction_program(new_potential(level, 4, min_dist=1.5, max_dist=5.0))
        source = sites_source(tables, default_tile(tables, 64))
    for name, resources in compile_for("sm_90", source).items():
        assert resources.spilled == 0, name


# ------------------------------------------------------------------ how work is dealt out


def test_blocks_of_any_number_of_atoms_come_to_the_same() -> None:
    potential, systems = graded(12), [system(random_cell(n, 3, seed=n)) for n in (3, 20)]
    expected = GpuEngine(potential, BACKEND, tile=1).evaluate(systems)
    for tile in (2, 4, 8):
        found = GpuEngine(potential, BACKEND, tile=tile).evaluate(systems)
        for one, other in zip(found, expected, strict=True):
            assert_equal(one.forces, other.forces, 1e-13)
            assert_equal(one.site_energies, other.site_energies, 1e-13)


def test_blocks_leave_room_for_grades_in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = contraction_program(new_potential(16, 4, min_dist=1.5, max_dist=5.0))
    monkeypatch.setattr(source, "MOST", shared_bytes(tables, 8, 96, word=FLOAT))
    assert shared_bytes(tables, default_tile(tables, 96, FLOAT), 96, rows=True) <= source.MOST


@pytest.mark.parametrize(("group", "remaining"), [(2, 0.5), (8, 0.3)])
def test_workers_side_by_side_read_different_banks_and_every_sum_keeps_its_terms(group: int, remaining: float) -> None:
    schedule = contraction_program(new_potential(16, 4, min_dist=1.5, max_dist=5.0)).backward
    first, second = (schedule.pairs & 0xFFFF).astype(np.int64), (schedule.pairs >> 16).astype(np.int64)
    one, other, weights, targets = spread(first, second, schedule.factors, schedule, group)

    def sums(
        left: np.ndarray, right: np.ndarray, factors: np.ndarray, ends: np.ndarray
    ) -> list[list[tuple[float, ...]]]:
        """Terms of each sum, whatever their order."""
        found = []
        for worker in range(left.shape[1]):
            terms: list[tuple[float, ...]] = []
            for step, target in enumerate(ends[:, worker]):
                if factors[step, worker]:
                    terms.append((*sorted((left[step, worker], right[step, worker])), factors[step, worker]))
                if target != -1:
                    found.append([*sorted(terms), (float(target),)])
                    terms = []
        return sorted(found)

    def clashes(left: np.ndarray, right: np.ndarray) -> int:
        """Reads beyond the first of a bank, of workers that read at once."""
        groups = np.concatenate([left, right]).reshape(-1, group)
        return sum(len(set(slots)) - len(set(slots % group)) for slots in groups)

    assert sums(one, other, weights, targets) == sums(first, second, schedule.factors, schedule.targets)
    assert clashes(one, other) < remaining * clashes(first, second)
    again = spread(first, second, schedule.factors, schedule, group)
    assert np.array_equal(one, again[0])  # the same potential gives the same bits


def test_workers_that_do_not_come_in_groups_are_refused() -> None:
    schedule = contraction_program(new_potential(8, 2, min_dist=1.5, max_dist=5.0)).backward
    first, second = (schedule.pairs & 0xFFFF).astype(np.int64), (schedule.pairs >> 16).astype(np.int64)
    with pytest.raises(ValueError, match="groups of 1, 2, 4, 8 or 16"):
        spread(first, second, schedule.factors, schedule, 3)


def test_what_fills_no_whole_step_of_a_stage_waits_for_one_with_room() -> None:
    tables = contraction_program(new_potential(16, 4, min_dist=1.5, max_dist=5.0))
    (_, one, *_), (_, other, *_) = tables.forward.stages
    entries = np.count_nonzero(tables.forward.factors)
    assert (one + other) * tables.workers - entries < tables.workers * tables.ahead


def test_a_batch_renews_most_of_its_lists_in_the_same_steps() -> None:
    sites = Sites(BACKEND, solid_potential(4))
    batch = motion_of(sites, *(argyrodite(seed, temperatures=(900.0, 900.0)) for seed in range(6)), timestep=0.002)
    renewed = []
    for _ in range(60):
        before = batch.lists.builds
        batch.advance(1)
        renewed.append(batch.lists.builds - before)
    steps = np.flatnonzero(renewed)
    assert len(steps) >= 3
    assert (steps % RENEW_EVERY == 0).mean() > 0.6


# ------------------------------------------------------------------ mixed precision


@pytest.mark.parametrize("level", [8, 16])
def test_mixed_precision_errs_by_a_millionth(level: int) -> None:
    potential, systems = graded(level), [system(random_cell(n, 3, seed=n)) for n in (12, 30)]
    exact = GpuEngine(potential, BACKEND).evaluate(systems)
    mixed = GpuEngine(potential, BACKEND, precision="mixed").evaluate(systems)
    for one, other in zip(mixed, exact, strict=True):
        error = np.abs(one.forces - other.forces).max() / np.abs(other.forces).max()
        assert 1e-9 < error < 1e-6
        assert abs(one.energy - other.energy) < 1e-6 * np.abs(other.site_energies).sum()
        assert_equal(one.virial, other.virial, 1e-6)
    assert np.array_equal(
        np.round(mixed[0].forces.sum(axis=0) * 2.0**43), [0, 0, 0]
    )  # whole numbers, as in double precision


def test_mixed_precision_leaves_grades_alone_and_conserves_energy() -> None:
    potential = with_random_active_set(solid_potential(8))
    found = []
    for precision in ("double", "mixed"):
        motion = motion_of(Sites(BACKEND, potential, precision=precision), timestep=0.001)  # type: ignore[arg-type]
        grades = motion.grades()[0]
        energies = total_energies(motion, every=10, count=20)
        found.append((grades, np.ptp(energies)))
    (grades, spread_of_energy), (others, spread_of_mixed) = found
    assert np.array_equal(grades, others)
    assert spread_of_mixed < 1.2 * spread_of_energy
