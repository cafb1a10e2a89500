"""Reference labels and teachers: what is sampled, held out, weighted, chosen and tabulated."""

import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.data import covalent_radii
from ase.units import GPa, kB

import mtpcore
from argyro.common.errors import FileError, LabelError, StructureError
from argyro.common.extxyz import read_structures, write_structures
from argyro.config.labels import LabelsConfig
from argyro.config.materials import Material
from argyro.config.reference import GenerationConfig, PbeConfig, ReferenceConfig, SamplingConfig, TeacherConfig
from argyro.config.structures import DistanceLimits
from argyro.labels.backends.base import Calculation
from argyro.labels.store import Store
from argyro.reference import sampling
from argyro.reference.choice import choose
from argyro.reference.convergence import convergence_table
from argyro.reference.dataset import shipped, source_of, split
from argyro.reference.delta import corrected, fit_delta
from argyro.reference.dynamics import published_diffusivity
from argyro.reference.errors import error_table, of_labels, of_potential
from argyro.reference.fitting import configurations, fit_ladder, usable, weight
from argyro.reference.runs import Run, run
from argyro.reference.sampling import Sampler, is_sound
from argyro.structures.bulk import build_bulk
from argyro.structures.pushed import inserted, pushed_together
from mtpcore.ase import MTP

ROOT = Path(__file__).resolve().parents[2]
SPECIES = ["Li", "P", "S", "Cl"]
MATERIALS = [
    Material(id=f"Li6PS5Cl-{percent}", formula="Li6PS5Cl", anion="Cl", exchange_percent=percent) for percent in (0, 50)
]
GENERATION = GenerationConfig(bulk=5, boundary=3, carved=2, contact=4)


@pytest.fixture(scope="module")
def labelled() -> list[Atoms]:
    """GFN1-xTB labels of 52-atom cells."""
    frames = read_structures(ROOT / "mtpcore/tests/data/li6ps5cl_gfn1.extxyz.xz")
    for index, atoms in enumerate(frames):
        atoms.info.update({"class": "bulk" if index % 3 else "hot", "generation": 0, "source": f"run-{index // 3}"})
    return frames


@pytest.fixture(scope="module")
def potential() -> mtpcore.Potential:
    return mtpcore.read_potential(ROOT / "config/reference/teacher/Cl-12.mtp")


def sampler(potential: mtpcore.Potential | Calculator | None, seed: int = 1) -> Sampler:
    calculator: Any = MTP(potential, SPECIES) if isinstance(potential, mtpcore.Potential) else potential
    settings = SamplingConfig(run_ps=0.1, temperatures_K=(300.0, 1200.0))
    return Sampler(MATERIALS, settings, DistanceLimits(), calculator, seed)


def counts(structures: list[Atoms]) -> dict[str, int]:
    return pd.Series([atoms.info["class"] for atoms in structures]).value_counts().to_dict()


def test_first_generation_is_rattled_and_exact_in_number_and_composition() -> None:
    wanted = GenerationConfig(bulk=5, boundary=3, carved=0, contact=4)
    sample = sampler(None).sample(wanted)
    assert counts(sample.structures) == {"rattled": 5, "boundary": 3, "contact": 4}
    for atoms in sample.structures:
        numbers = atoms.symbols.formula.count()
        assert numbers == {element: numbers["P"] * n for element, n in {"Li": 6, "P": 1, "S": 5, "Cl": 1}.items()}


def test_later_generation_is_exact_in_number_and_every_attempt_is_on_record(potential: mtpcore.Potential) -> None:
    sample = sampler(potential).sample(GENERATION)
    found = counts(sample.structures)
    assert sum(found.values()) == GENERATION.count
    assert (found["carved"], found["contact"]) == (2, 4)
    assert sum(record.frames for record in sample.records) >= GENERATION.count
    assert all(record.ended for record in sample.records if record.frames == 0)


def test_same_seed_samples_the_same_structures(potential: mtpcore.Potential) -> None:
    one, other, another = (sampler(potential, seed).sample(GENERATION).structures for seed in (1, 1, 2))
    assert all(np.array_equal(a.positions, b.positions) for a, b in zip(one, other, strict=True))
    assert not all(a.positions.shape == b.positions.shape and np.allclose(a.positions, b.positions)
                   for a, b in zip(one, another, strict=True))  # fmt: skip


def test_sampled_structures_have_few_digits() -> None:
    sample = sampler(None).sample(GenerationConfig(bulk=2, boundary=1, carved=0, contact=1))
    for atoms in sample.structures:
        assert np.array_equal(atoms.positions, atoms.positions.round(5))
        assert np.array_equal(atoms.cell.array, atoms.cell.array.round(5))


@pytest.fixture(scope="module")
def frame() -> Atoms:
    return build_bulk(MATERIALS[0], (1, 1, 1), lithium_sites="48h", limits=DistanceLimits(), seed=1)


def moved_atom(contact: Atoms, frame: Atoms) -> int:
    """The one that has moved."""
    apart = np.linalg.norm(contact.get_positions(wrap=True) - frame.get_positions(wrap=True), axis=1)
    (moved,) = np.flatnonzero(apart > 1e-6)
    return int(moved)


@pytest.mark.parametrize("elements", [("Li", "S"), ("Cl", "Cl"), ("P", "Li")])
def test_contact_is_of_the_pair_asked_for_only(frame: Atoms, elements: tuple[str, str]) -> None:
    for seed in range(5):
        contact = pushed_together(frame, elements, 1.2, np.random.default_rng(seed))
        moved = moved_atom(contact, frame)
        assert contact.symbols[moved] == elements[0]
        radii = covalent_radii[contact.numbers] + covalent_radii[contact.numbers[moved]]
        distances = contact.get_all_distances(mic=True)[moved]
        others = np.delete(np.arange(len(contact)), moved)
        nearest, second = others[np.argsort((distances / radii)[others])[:2]]
        assert contact.symbols[nearest] == elements[1]
        assert distances[nearest] <= 0.9 * radii[nearest]
        assert distances[others].min() >= 1.2
        assert distances[second] >= 0.85 * radii[second]


def test_inserted_atom_is_near_another_and_to_none_nearer_than_asked_for(frame: Atoms) -> None:
    near = []
    for seed in range(20):
        contact = inserted(frame, ("P", "P"), 1.2, np.random.default_rng(seed))
        moved = moved_atom(contact, frame)
        distances = np.delete(contact.get_all_distances(mic=True)[moved], moved)
        radii = np.delete(covalent_radii[contact.numbers] + covalent_radii[contact.numbers[moved]], moved)
        assert distances.min() >= 1.2
        near.append(int((distances < 0.9 * radii).sum()))
    assert min(near) >= 1
    assert max(near) > 1  # unlike pairs that are pushed together


def test_contacts_go_through_all_pairs_of_elements() -> None:
    sample = sampler(None).sample(GenerationConfig(bulk=5, boundary=0, carved=0, contact=20))
    contacts = [atoms for atoms in sample.structures if atoms.info["class"] == "contact"]
    pairs = set()
    for contact in (c for k, c in enumerate(contacts) if k % 2 == 0):
        radii = covalent_radii[contact.numbers]
        closeness = contact.get_all_distances(mic=True) / (radii[:, None] + radii)
        np.fill_diagonal(closeness, np.inf)
        pairs |= {frozenset(contact.symbols[[i, j]]) for i, j in np.argwhere(closeness < 0.9)}
    assert len(pairs) == 10


class WellsBelow(Calculator):
    """The closer any two atoms below 1.5 angstrom are, the lower the energy."""

    implemented_properties = ["energy"]  # noqa: RUF012  as in ASE

    def calculate(self, atoms: Any = None, properties: Any = (), system_changes: Any = ()) -> None:  # noqa: ARG002
        distances = atoms.get_all_distances(mic=True) + 9 * np.eye(len(atoms))
        self.results = {"energy": min(0.0, float(distances.min()) - 1.5)}


def test_contacts_are_in_wells_of_the_potential_where_it_has_some(frame: Atoms) -> None:
    frame.info.update({"material": MATERIALS[0].id, "source": "run-0"})
    nearest = {}
    for name, calculator in (("random", None), ("wells", WellsBelow())):
        sampled = sampler(calculator)
        contacts = sampled._contacts([frame], 20)
        distances = [c.get_all_distances(mic=True) + 9 * np.eye(len(c)) for c in contacts]
        nearest[name] = np.array([each.min() for each in distances])
        assert len(contacts) == sum(record.frames for record in sampled.records)
    assert (nearest["wells"] < 1.5).all()
    assert (nearest["random"] > 1.5).any()


def test_decomposed_frames_are_broken_even_if_their_run_is_not(
    potential: mtpcore.Potential, monkeypatch: pytest.MonkeyPatch, frame: Atoms
) -> None:
    torn = frame.copy()
    (phosphorus, *_), (sulfur, *_) = (np.flatnonzero(torn.symbols == e) for e in ("P", "S"))
    nearest = np.argsort(torn.get_distances(phosphorus, range(len(torn)), mic=True))[1]
    torn.set_distance(phosphorus, nearest, 2.8, fix=0)
    assert torn.symbols[nearest] == torn.symbols[sulfur]
    sulfide = frame.copy()
    near = np.flatnonzero((frame.symbols == "S") & (np.arange(len(frame)) != nearest))
    sulfide.set_distance(nearest, int(near[0]), 2.3, fix=0)
    for atoms, sound in ((frame, True), (torn, False), (sulfide, False)):
        assert is_sound(atoms, MATERIALS[0], DistanceLimits()) == sound
    monkeypatch.setattr(sampling, "run", lambda *_, **__: Run([frame, torn], "", 0.1))
    sample = sampler(potential).sample(GenerationConfig(bulk=4, boundary=1, carved=0, contact=0))
    assert counts(sample.structures[:4]) == {"bulk": 1, "hot": 1, "broken": 2}


def test_frames_of_a_run_that_broke_are_a_class_of_their_own(potential: mtpcore.Potential) -> None:
    hot = Sampler(MATERIALS, SamplingConfig(run_ps=0.1, temperatures_K=(30000.0,)), DistanceLimits(),
                  MTP(potential, SPECIES), 1)  # fmt: skip
    with pytest.raises(StructureError, match="all runs broke"):
        hot.sample(GenerationConfig(bulk=2, boundary=1, carved=1, contact=0))
    sample = hot.sample(GenerationConfig(bulk=2, boundary=1, carved=0, contact=0))
    assert counts(sample.structures) == {"broken": 3}


def test_cells_may_be_carved_from_more_frames_than_are_labelled(potential: mtpcore.Potential) -> None:
    wanted = GenerationConfig(bulk=1, boundary=1, carved=8, contact=0, carve_from=4, frames_per_run=1)
    sample = sampler(potential).sample(wanted)
    found = counts(sample.structures)
    assert len(sample.structures) == wanted.count
    assert sum(record.kind == "boundary" and record.frames > 0 for record in sample.records) >= 4
    assert found["boundary"] + found.get("broken", 0) >= 1
    assert len({a.info["source"] for a in sample.structures if a.info["class"] == "carved"}) > 1


def test_carved_cells_have_at_least_the_sizes_of_their_generation_in_turn(potential: mtpcore.Potential) -> None:
    carved = {}
    for least in (None, (50, 130)):
        wanted = GenerationConfig(bulk=1, boundary=3, carved=4, contact=0, carve_min_atoms=least)
        carved[least] = [len(atoms) for atoms in sampler(potential).sample(wanted).structures[4:]]
    assert all(50 <= size < 130 for size in carved[None])
    assert [size >= 130 for size in carved[50, 130]] == [False, True, False, True]


def test_later_generation_has_rattled_cells_too_of_all_materials(potential: mtpcore.Potential) -> None:
    wanted = GenerationConfig(bulk=1, boundary=1, carved=0, contact=0, rattled=4)
    sample = sampler(potential).sample(wanted)
    assert counts(sample.structures)["rattled"] == 4
    assert len(sample.structures) == wanted.count
    assert {a.info["material"] for a in sample.structures if a.info["class"] == "rattled"} == {m.id for m in MATERIALS}


def test_first_generation_is_all_rattled_and_no_two_cells_are_the_same() -> None:
    sample = sampler(None).sample(GenerationConfig(bulk=2, boundary=0, carved=0, contact=0, rattled=3))
    assert counts(sample.structures) == {"rattled": 5}
    assert len({atoms.info["source"] for atoms in sample.structures}) == 5


def test_runs_of_a_generation_are_as_long_as_it_says(potential: mtpcore.Potential) -> None:
    for own, expected in ((None, 0.1), (0.2, 0.2)):
        sample = sampler(potential).sample(GenerationConfig(bulk=1, boundary=1, carved=0, contact=0, run_ps=own))
        assert {record.length_ps for record in sample.records} == {expected}


def test_runs_of_a_generation_give_as_many_frames_as_it_says(potential: mtpcore.Potential) -> None:
    for own, expected in ((None, 1), (1, 2)):
        wanted = GenerationConfig(bulk=2, boundary=0, carved=0, contact=0, frames_per_run=own)
        sample = sampler(potential).sample(wanted)
        assert len({atoms.info["source"] for atoms in sample.structures}) == expected


def test_run_that_breaks_gives_its_last_moments(potential: mtpcore.Potential, frame: Atoms) -> None:
    found = run(frame, MTP(potential, SPECIES), 30000.0, length_ps=1.0, count=3, seed=1)
    assert found.broken
    assert found.length_ps < 1.0
    assert len(found.frames) <= 3


def test_all_frames_of_a_run_are_on_one_side_of_the_split(labelled: list[Atoms]) -> None:
    training, held_out = split(labelled, 0.2)
    sources = [{atoms.info["source"] for atoms in part} for part in (training, held_out)]
    assert not sources[0] & sources[1]
    assert len(training) + len(held_out) == len(labelled)
    assert 0 < len(held_out) < len(labelled) / 2
    again, _ = split(labelled[:40], 0.2)
    assert [a.info["source"] for a in again] == [a.info["source"] for a in training if a in labelled[:40]]


def sampled(labelled: list[Atoms]) -> list[Atoms]:
    """Labels before they are put together: of no generation yet."""
    found = [atoms.copy() for atoms in labelled]
    for atoms in found:
        del atoms.info["generation"]
    return found


def test_shipped_labels_are_the_labels_to_the_digits_kept(labelled: list[Atoms], tmp_path: Path) -> None:
    write_structures(tmp_path / "labels.extxyz.xz", shipped({0: sampled(labelled[:3]), 2: sampled(labelled[3:5])}))
    read = read_structures(tmp_path / "labels.extxyz.xz")
    assert [atoms.info["generation"] for atoms in read] == [0, 0, 0, 2, 2]
    for atoms, label in zip(read, labelled, strict=False):
        np.testing.assert_allclose(atoms.arrays["REF_forces"], label.arrays["REF_forces"], atol=5.1e-6)
        assert atoms.info["REF_energy"] == pytest.approx(label.info["REF_energy"], abs=5.1e-7)
        np.testing.assert_array_equal(atoms.positions, label.positions)


def test_labels_chosen_from_a_shipped_set_keep_their_generation(labelled: list[Atoms]) -> None:
    chosen = shipped({0: sampled(labelled[:1]), 1: sampled(labelled[1:3])})[1:]
    assert [source_of(atoms) for atoms in shipped({0: chosen})] == [source_of(atoms) for atoms in chosen]
    assert [atoms.info["generation"] for atoms in shipped({0: chosen})] == [1, 1]


def test_damaged_compressed_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.extxyz.xz"
    path.write_bytes(lzma.compress(b"2\n")[:-9])
    with pytest.raises(FileError, match=r"labels\.extxyz\.xz is damaged"):
        read_structures(path)


def test_labels_far_from_any_run_count_less_or_not_at_all(labelled: list[Atoms]) -> None:
    stretched = labelled[0].copy()
    stretched.arrays["REF_forces"] *= 100
    settings = TeacherConfig(max_force_eV_per_angstrom=40.0)
    assert usable([labelled[0], stretched], settings) == [labelled[0]]
    weights = [float(c.features["fit_weight"]) for c in configurations([labelled[0], stretched], SPECIES)]
    assert weights[0] > 0.5
    assert weights[1] < 1e-3
    own = {}
    for name in ("bulk", "broken", "carved", "rattled", "boundary"):
        other = labelled[0].copy()
        other.info["class"] = name
        own[name] = weight(other)
    expected = {"bulk": 1.0, "broken": 0.3, "carved": 3.0, "rattled": 3.0, "boundary": 1.0}
    assert own == pytest.approx({name: factor * own["bulk"] for name, factor in expected.items()})


def test_no_rung_of_the_ladder_raises_the_error_and_the_highest_lowers_it(labelled: list[Atoms]) -> None:
    settings = TeacherConfig(min_dist_angstrom=1.4)
    errors = []
    for levels in ([2], [2, 4], [2, 4, 6]):
        fitted = fit_ladder(labelled[:8], SPECIES, settings, levels=levels, seed=1, threads=2)
        table = error_table(of_potential(MTP(fitted, SPECIES)), labelled[:8], shift_energies=False)
        errors.append(table.set_index("class").loc["all", "force_rmse_eV_per_angstrom"])
    assert errors[0] >= errors[1] > errors[2]  # what level 4 adds to 2 may be too little to be found


def test_errors_of_known_differences_are_those(labelled: list[Atoms], potential: mtpcore.Potential) -> None:
    calculator = MTP(potential, SPECIES)
    frames = []
    for atoms in labelled[:6]:
        copy = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True, info=dict(atoms.info))
        copy.calc = calculator
        copy.info["REF_energy"] = copy.get_potential_energy() - 0.010 * len(copy)
        copy.info["REF_stress"] = copy.get_stress() + np.array([0.3, 0.3, 0.3, 0, 0, 0]) * GPa
        copy.set_array("REF_forces", copy.get_forces() / 0.9)
        copy.calc = None
        frames.append(copy)
    row = error_table(of_potential(calculator), frames, shift_energies=False).set_index("class").loc["all"]
    assert row["energy_rmse_meV_per_atom"] == pytest.approx(10.0)
    assert row["pressure_rmse_GPa"] == pytest.approx(0.3)
    assert row["force_slope"] == pytest.approx(0.9)
    assert row["force_rmse_eV_per_angstrom"] == pytest.approx(0.1 * row["force_rms_eV_per_angstrom"])
    shifted = error_table(of_potential(calculator), frames, shift_energies=True).set_index("class").loc["all"]
    assert shifted["energy_rmse_meV_per_atom"] == pytest.approx(0.0, abs=1e-6)


def test_labels_are_compared_with_others_of_the_same_structures(labelled: list[Atoms]) -> None:
    softer = [atoms.copy() for atoms in labelled[:6]]
    for atoms in softer:
        atoms.arrays["REF_forces"] *= 0.9
    row = error_table(of_labels(softer), labelled[:6], shift_energies=False).set_index("class").loc["all"]
    assert row["force_slope"] == pytest.approx(0.9)
    assert row["energy_rmse_meV_per_atom"] == 0.0
    with pytest.raises(LabelError, match="is not in the large label set"):
        error_table(of_labels(softer[:5]), labelled[:6], shift_energies=False)


def labelled_by(potential: mtpcore.Potential, frames: list[Atoms], strength: float) -> list[Atoms]:
    """Copies with the forces of a potential, this much stronger."""
    predict = of_potential(MTP(potential, SPECIES))
    copies = [Atoms(a.numbers, positions=a.positions, cell=a.cell, pbc=True, info=dict(a.info)) for a in frames]
    for atoms in copies:
        atoms.set_array("REF_forces", strength * predict(atoms)[1])
    return copies


def test_delta_makes_forces_as_strong_as_the_labels_and_keeps_mean_energies(
    labelled: list[Atoms], potential: mtpcore.Potential
) -> None:
    visited = labelled_by(potential, labelled[:9], 1.15)
    rattled = labelled_by(potential, labelled[9:12], 3.0)
    for atoms in rattled:
        atoms.info["class"] = "rattled"
    stronger, delta = corrected(potential, SPECIES, [*visited, *rattled])
    assert delta.factor == pytest.approx(1.15)
    assert delta.error == pytest.approx(0.0, abs=1e-9)
    assert delta.structures == len(visited)
    before, after = (of_potential(MTP(each, SPECIES)) for each in (potential, stronger))
    energies = np.array([[predict(atoms)[0] for predict in (before, after)] for atoms in (*visited, *rattled)])
    assert np.ptp(energies[:, 1]) == pytest.approx(1.15 * np.ptp(energies[:, 0]))
    assert energies.mean(axis=0)[0] == pytest.approx(energies.mean(axis=0)[1])
    for one, other in zip(before(visited[0])[1:], after(visited[0])[1:], strict=True):
        assert other == pytest.approx(1.15 * one)


def test_error_of_delta_is_that_of_what_sources_say(labelled: list[Atoms], potential: mtpcore.Potential) -> None:
    one, other = labelled_by(potential, labelled[:3], 1.1), labelled_by(potential, labelled[:3], 1.2)
    for atoms in other:
        atoms.info["source"] = "another"
    delta = fit_delta(of_potential(MTP(potential, SPECIES)), [*one, *other])
    assert delta.factor == pytest.approx(1.15)
    assert delta.error == pytest.approx(0.05)
    again = [a.copy() for a in (*one, *other)]
    for atoms in again:
        atoms.info["source"] += ", again"
    delta = fit_delta(of_potential(MTP(potential, SPECIES)), [*one, *other, *again])
    assert delta.error == pytest.approx(0.05 / np.sqrt(3))
    with pytest.raises(LabelError, match=r"two sources in bulk, boundary, carved, hot, and there are 1"):
        fit_delta(of_potential(MTP(potential, SPECIES)), one)


def test_choice_for_pbe_is_mixed_small_and_refuses_too_few() -> None:
    def cell(name: str, atoms: int) -> Atoms:
        return Atoms("Li" * atoms, positions=np.arange(3 * atoms).reshape(-1, 3), cell=[99] * 3, info={"class": name})

    names = ["bulk", "hot", "carved", "boundary"]
    pool = [cell(name, size) for name in names for size in (52, 60, 104) for _ in range(4)]
    chosen = choose(pool, PbeConfig(structures=15), seed=1)
    assert max(len(atoms) for atoms in chosen) <= 66
    assert [counts(chosen[:k]) for k in (3, 6)] == [dict.fromkeys(("bulk", "hot", "carved"), k // 3) for k in (3, 6)]
    with pytest.raises(StructureError, match="only 24 of 30"):
        choose(pool, PbeConfig(structures=30), seed=1)


class Scaled:
    """Forces that depend on a setting in a known way."""

    rungs, code_version, pseudopotentials = 1, "none", {}

    def __init__(self, scale: float) -> None:
        self.level_of_theory, self.settings, self.scale = f"scale {scale}", {"scale": scale}, scale

    def calculate(self, atoms: Atoms, rung: int) -> Calculation:  # noqa: ARG002
        forces = np.ones((len(atoms), 3)) * self.scale
        return Calculation(0.0, forces, -np.array([1, 1, 1, 0, 0, 0]) * self.scale * GPa)


def test_convergence_is_told_relative_to_the_settings_in_use(tmp_path: Path) -> None:
    atoms = Atoms("Li2", positions=[[0, 0, 0], [2, 0, 0]], cell=[5] * 3, pbc=True)
    table = convergence_table(atoms, [Scaled(1.0), Scaled(1.25)], Store(tmp_path))
    assert table["force_difference_rms_eV_per_angstrom"].tolist() == pytest.approx([0.0, 0.25])
    assert table["pressure_difference_GPa"].tolist() == pytest.approx([0.0, 0.25])


def test_published_diffusivity_is_the_published_one_at_300_kelvin() -> None:
    table = ROOT / "config/reference/published_diffusivity.csv"
    assert published_diffusivity("Cl", 50.0, 300.0, table) == pytest.approx(2.184e-7, rel=0.05)
    barrier = np.log(published_diffusivity("I", 0.0, 700.0, table) / published_diffusivity("I", 0.0, 350.0, table))
    assert barrier * kB * 700.0 == pytest.approx(0.694, rel=1e-6)
    assert published_diffusivity("I", 33.0, 700.0, table) is None


def test_impossible_generations_are_refused() -> None:
    with pytest.raises(ValueError, match="carved must be 0"):
        ReferenceConfig(generations=(GenerationConfig(),))
    with pytest.raises(ValueError, match=r"generations\[0\]\.anions must be null"):
        ReferenceConfig(generations=(GenerationConfig(carved=0, anions=("Br",)),))
    with pytest.raises(ValueError, match="'Li' is no anion of an argyrodite"):
        GenerationConfig(anions=("Li",))
    with pytest.raises(ValueError, match="carve_from must be null"):
        GenerationConfig(carved=0, carve_from=40)
    with pytest.raises(ValueError, match=r"carve_from must be at least boundary \(30\)"):
        GenerationConfig(carve_from=29)
    assert GenerationConfig(carve_from=30).carve_from == 30


def test_labels_of_a_system_depend_on_its_own_teacher_only(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    one, other = (
        LabelsConfig.model_validate(
            {"backend": "mtp", "mtp": {"potentials": {"LiPSCl": tmp_path / "a", "LiPSBr": tmp_path / bromide}}}
        )
        for bromide in ("b", "c")
    )
    chloride, bromide = {"Li", "P", "S", "Cl"}, {"Li", "P", "S", "Br"}
    assert one.labelling(chloride) == other.labelling(chloride)
    assert one.labelling(bromide) != other.labelling(bromide)
    assert one.refusal({"Li", "P", "S", "I"}) is not None
