"""Labels: ladder, gates, store, training sets. The backend is a harmonic crystal, so every number is known."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from argyro.common.errors import FileError, LabelError
from argyro.common.extxyz import read_structure, read_structures, write_structures
from argyro.common.files import read_json, sha256_of_json, write_json
from argyro.config.labels import GatesConfig, LabelsConfig
from argyro.labels.backends.base import Calculation, NotConvergedError
from argyro.labels.collect import (
    collect,
    outcome_rows,
    read_labelled,
    require_enough,
    require_one_level,
)
from argyro.labels.gates import flags, violations
from argyro.labels.label import label_one, label_structures
from argyro.labels.sanity import examine, require_sane
from argyro.labels.store import Store, label_hash, structure_hash
from argyro.labels.table import outcome_table

GATES = GatesConfig(max_force_eV_per_angstrom=50.0)


@dataclass
class Springs:
    """Every atom on a spring to its lattice site, in a medium under constant stress."""

    sites: np.ndarray
    stiffness: float = 2.0
    failing_rungs: int = 0
    error: Exception | None = None
    pressure: float = 0.0
    level_of_theory: str = "springs"
    settings: dict[str, Any] = field(default_factory=lambda: {"backend": "springs"})
    code_version: str = "springs 1"
    pseudopotentials: dict[str, str] = field(default_factory=dict)
    rungs: int = 3
    calls: list[int] = field(default_factory=list)

    def calculate(self, atoms: Atoms, rung: int) -> Calculation:
        self.calls.append(rung)
        if self.error is not None:
            raise self.error
        if rung < self.failing_rungs:
            raise NotConvergedError(f"rung {rung}")
        shift = atoms.positions - self.sites
        forces = -self.stiffness * (shift - shift.mean(axis=0))
        energy = (
            0.5 * self.stiffness * float(((shift - shift.mean(axis=0)) ** 2).sum()) - self.pressure * atoms.get_volume()
        )
        return Calculation(energy, forces, np.array([-self.pressure] * 3 + [0.0] * 3))


def crystals(count: int = 3) -> list[Atoms]:
    """Rattled rock salt, eight atoms each."""
    found = []
    for seed in range(count):
        atoms = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
        atoms.rattle(0.05, seed=seed)
        atoms.info["material"] = "LiCl"
        found.append(atoms)
    return found


def springs(**changes: Any) -> Springs:
    return Springs(bulk("LiCl", "rocksalt", a=5.13, cubic=True).positions, **changes)


def test_finished_label_is_never_computed_twice(tmp_path: Path) -> None:
    backend = springs()
    first = label_structures(crystals(), backend, Store(tmp_path), GATES)
    again = label_structures(crystals(), backend, Store(tmp_path), GATES)
    assert len(backend.calls) == 3
    assert [o.label_sha256 for o in first] == [o.label_sha256 for o in again]
    assert [o.status for o in again] == ["ok"] * 3
    assert [(o.reused, o.rung, o.seconds) for o in again] == [(True, o.rung, o.seconds) for o in first]
    assert not any(o.reused for o in first)


def test_label_is_read_back_to_the_last_bit(tmp_path: Path) -> None:
    (atoms,), store = crystals(1), Store(tmp_path)
    name = label_one(atoms, springs(), store, GATES).label_sha256
    expected, found = springs().calculate(atoms, 0), store.load(name, atoms)
    assert found is not None
    assert found.calculation.energy == expected.energy
    assert np.array_equal(found.calculation.forces, expected.forces)
    assert np.array_equal(found.calculation.stress, expected.stress)


def test_settings_stand_beside_the_labels_under_their_hash(tmp_path: Path) -> None:
    atoms, backend, store = crystals(1)[0], springs(pseudopotentials={"Li": "00", "Br": "11"}), Store(tmp_path)
    label = read_structure(store.path(label_one(atoms, backend, store, GATES).label_sha256))
    settings = read_json(tmp_path / f"settings/{label.info['settings_sha256']}.json")
    assert settings == {
        "settings": {"backend": "springs"},
        "code_version": "springs 1",
        "pseudopotentials": {"Li": "00"},
    }
    assert sha256_of_json(settings) == label.info["settings_sha256"]
    assert sha256_of_json({"Li": "00"}) == label.info["pseudo_sha256"]


def test_everything_that_decides_the_result_changes_the_name() -> None:
    atoms, backend = crystals(1)[0], springs()
    names = {label_hash(atoms, backend)}
    moved = atoms.copy()
    moved.positions[0, 0] = np.nextafter(moved.positions[0, 0], 9.0)
    names.add(label_hash(moved, backend))
    names.add(label_hash(atoms, springs(code_version="springs 2")))
    names.add(label_hash(atoms, springs(settings={"backend": "springs", "cutoff_eV": 1})))
    names.add(label_hash(atoms, springs(pseudopotentials={"Li": "00"})))
    assert len(names) == 5
    assert label_hash(atoms, springs(pseudopotentials={"Br": "00"})) == label_hash(atoms, backend)


def test_structure_hash_does_not_see_labels_or_names() -> None:
    atoms = crystals(1)[0]
    other = atoms.copy()
    other.info.clear()
    assert structure_hash(atoms) == structure_hash(other)


@pytest.mark.parametrize("damage", ["truncated", "empty", "other structure", "not finite"])
def test_damaged_label_is_computed_again(tmp_path: Path, damage: str) -> None:
    atoms, backend, store = crystals(1)[0], springs(), Store(tmp_path)
    name = label_one(atoms, backend, store, GATES).label_sha256
    path = store.path(name)
    text = path.read_text()
    if damage == "truncated":
        path.write_text(text[: len(text) // 2])
    elif damage == "empty":
        path.write_text("")
    else:
        other = read_structure(path)
        if damage == "other structure":
            other.positions[0] += 0.1
        else:
            other.info["REF_energy"] = float("nan")
        write_structures(path, [other])
    assert label_one(atoms, backend, store, GATES).status == "ok"
    assert len(backend.calls) == 2
    assert store.load(name, atoms) is not None


def test_killed_job_loses_at_most_the_running_label(tmp_path: Path) -> None:
    program = f"""
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location("own", {__file__!r})
own = importlib.util.module_from_spec(spec)
sys.modules["own"] = own
spec.loader.exec_module(own)
class Slow(own.Springs):
    def calculate(self, atoms, rung):
        time.sleep(0.2)
        return super().calculate(atoms, rung)
from pathlib import Path
backend = Slow(own.springs().sites)
print("ready", flush=True)
own.label_structures(own.crystals(30), backend, own.Store(Path({str(tmp_path)!r})), own.GATES)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    while len(list(tmp_path.glob("[0-9a-f]*.extxyz"))) < 4:
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    finished = len(list(tmp_path.glob("[0-9a-f]*.extxyz")))
    backend = springs()
    outcomes = label_structures(crystals(30), backend, Store(tmp_path), GATES)
    assert [outcome.status for outcome in outcomes] == ["ok"] * 30
    assert len(backend.calls) == 30 - finished


def test_ladder_is_climbed_until_a_rung_holds(tmp_path: Path) -> None:
    backend = springs(failing_rungs=2)
    outcome = label_one(crystals(1)[0], backend, Store(tmp_path), GATES)
    assert (outcome.status, outcome.rung) == ("ok", 2)
    assert backend.calls == [0, 1, 2]
    assert label_one(crystals(1)[0], backend, Store(tmp_path), GATES).rung == 2


def test_what_converges_nowhere_is_said_and_not_stored(tmp_path: Path) -> None:
    outcome = label_one(crystals(1)[0], springs(failing_rungs=3), Store(tmp_path), GATES)
    assert outcome.status == "unconverged"
    assert "none of 3 ways" in outcome.message
    assert list(tmp_path.iterdir()) == []


def test_failure_of_one_structure_leaves_the_others(tmp_path: Path) -> None:
    outcome = label_one(crystals(1)[0], springs(error=LabelError("no licence")), Store(tmp_path), GATES)
    assert (outcome.status, outcome.message) == ("failed", "no licence")


@pytest.mark.parametrize(
    ("change", "gates", "complaint"),
    [
        ({"energy": np.nan}, {}, "not finite"),
        ({"forces": np.full((8, 3), np.inf)}, {}, "not finite"),
        ({"forces": np.full((8, 3), 0.01)}, {}, "the forces sum to 0.139 eV/angstrom"),
        ({}, {"max_force_eV_per_angstrom": 0.01}, "a force of"),
    ],
)
def test_each_gate_stops_its_fault(change: dict[str, Any], gates: dict[str, float], complaint: str) -> None:
    atoms = crystals(1)[0]
    good = springs().calculate(atoms, 0)
    assert violations(good, GATES) == []
    bad = Calculation(**({"energy": good.energy, "forces": good.forces, "stress": good.stress} | change))
    (sentence,) = violations(bad, GatesConfig(**gates))
    assert complaint in sentence


def test_structure_that_no_label_could_save_is_not_computed(tmp_path: Path) -> None:
    close, cluster = crystals(2)
    close.positions[1] = close.positions[0] + [0.0, 0.0, 1.0]
    cluster.pbc = (True, True, False)
    backend = springs()
    outcomes = label_structures([close, cluster], backend, Store(tmp_path), GATES)
    assert [outcome.status for outcome in outcomes] == ["rejected"] * 2
    assert outcomes[0].message == "atoms 1.000 angstrom apart, below 1.2"
    assert outcomes[1].message == "the cell is not periodic in all three directions"
    assert backend.calls == []


def test_changed_gates_need_no_new_calculation(tmp_path: Path) -> None:
    atoms, backend, store = crystals(1)[0], springs(), Store(tmp_path)
    assert label_one(atoms, backend, store, GatesConfig(max_force_eV_per_angstrom=0.01)).status == "rejected"
    assert label_one(atoms, backend, store, GATES).status == "ok"
    assert len(backend.calls) == 1


def test_metallic_and_smeared_labels_are_flagged() -> None:
    atoms = crystals(1)[0]
    good = springs().calculate(atoms, 0)
    odd = Calculation(good.energy, good.forces, good.stress, energy_zero_smearing=good.energy + 0.02, gap=0.1)
    assert flags(atoms, good, GATES) == []
    assert flags(atoms, odd, GATES) == ["band gap of 0.10 eV", "entropy term of 5.00 meV/atom"]


def test_training_set_holds_the_labels_that_passed(tmp_path: Path) -> None:
    structures, backend, store = crystals(), springs(), Store(tmp_path / "store")
    rows = outcome_rows(structures, label_structures(structures, backend, store, GATES))
    rows[1]["status"] = "rejected"
    training_set = collect(structures, rows, backend, store)
    write_structures(tmp_path / "set.extxyz", training_set)
    found = read_labelled(tmp_path / "set.extxyz")
    assert [structure_hash(a) for a in found] == [structure_hash(structures[0]), structure_hash(structures[2])]
    assert {a.info["level_of_theory"] for a in found} == {"springs"}
    assert {a.info["code_version"] for a in found} == {"springs 1"}
    assert len(found[0].info["settings_sha256"]) == 64


def test_too_many_failures_stop_with_a_table() -> None:
    row = {"status": "ok", "formula": "Cl4Li4", "message": ""}
    rows = [row] * 9 + [row | {"status": "unconverged", "message": "none of 3 ways"}]
    require_enough(rows, 0.1, "a-seeds")
    with pytest.raises(LabelError) as caught:
        require_enough(rows, 0.05, "a-seeds")
    require_enough(rows, 0.05, "a-round", always_allowed=3)
    assert "1 of 10 structures of a-seeds have no usable label; labels.max_failed_fraction allows 0.05" in str(
        caught.value
    )
    assert "     9  unconverged  Cl4Li4            none of 3 ways" in str(caught.value)


def test_table_of_outcomes_is_tidy(tmp_path: Path) -> None:
    structures = crystals()
    outcomes = label_structures(structures, springs(), Store(tmp_path), GATES)
    table = outcome_table(outcome_rows(structures, outcomes), "a-seeds")
    assert len(table) == 3
    assert {"set", "material", "formula", "atoms", "status", "message", "rung", "scf_steps", "time_s"} <= set(
        table.columns
    )
    assert table["material"].tolist() == ["LiCl"] * 3


@pytest.mark.parametrize("key", ["REF_energy", "REF_stress", "level_of_theory", "REF_forces"])
def test_imported_file_without_a_label_is_refused(tmp_path: Path, key: str) -> None:
    structures, backend, store = crystals(1), springs(), Store(tmp_path / "store")
    rows = outcome_rows(structures, label_structures(structures, backend, store, GATES))
    (atoms,) = collect(structures, rows, backend, store)
    if key == "REF_forces":
        del atoms.arrays[key]
    else:
        del atoms.info[key]
    write_structures(tmp_path / "my labels.extxyz", [atoms])
    with pytest.raises(FileError, match=f"my labels.extxyz: structure 0 lacks {key}"):
        read_labelled(tmp_path / "my labels.extxyz")


def test_levels_of_theory_are_not_mixed() -> None:
    structures = crystals(2)
    structures[0].info["level_of_theory"] = "PBE/GPAW"
    structures[1].info["level_of_theory"] = "GFN1-xTB"
    with pytest.raises(LabelError, match="GFN1-xTB, PBE/GPAW"):
        require_one_level(structures)


def test_training_set_does_not_depend_on_the_time_its_labels_took(tmp_path: Path) -> None:
    structures, backend = crystals(), springs()
    for folder in ("one", "other"):
        store = Store(tmp_path / folder)
        rows = outcome_rows(structures, label_structures(structures, backend, store, GATES))
        write_structures(tmp_path / f"{folder}.extxyz", collect(structures, rows, backend, store))
    assert (tmp_path / "one.extxyz").read_bytes() == (tmp_path / "other.extxyz").read_bytes()


def test_sound_backend_passes_its_test(tmp_path: Path) -> None:
    result = examine(springs(pressure=0.01), crystals(1)[0], Store(tmp_path))
    assert result.violations == []
    assert result.pressure_GPa == pytest.approx(0.01 * 160.21766, rel=1e-6)
    require_sane(result)
    write_json(tmp_path / "sanity.json", result.as_dict())


class SinglePrecision(Springs):
    """Numbers as neural networks give them."""

    def calculate(self, atoms: Atoms, rung: int) -> Calculation:
        right = super().calculate(atoms, rung)
        return Calculation(right.energy, right.forces.astype(np.float32), right.stress.astype(np.float32))


def test_result_of_the_test_is_json_whatever_the_precision(tmp_path: Path) -> None:
    result = examine(SinglePrecision(springs().sites), crystals(1)[0], Store(tmp_path))
    write_json(tmp_path / "sanity.json", result.as_dict())
    assert read_json(tmp_path / "sanity.json") == result.as_dict()


def test_killed_test_of_a_backend_goes_on_where_it_was(tmp_path: Path) -> None:
    backend = springs()
    examine(backend, crystals(1)[0], Store(tmp_path))
    next(tmp_path.glob("*.extxyz")).unlink()
    examine(backend, crystals(1)[0], Store(tmp_path))
    assert len(backend.calls) == 5 + 1


class WrongForces(Springs):
    """Forces that are not the slope of the energy."""

    def calculate(self, atoms: Atoms, rung: int) -> Calculation:
        right = super().calculate(atoms, rung)
        return Calculation(right.energy, 1.2 * right.forces, right.stress)


class WrongStress(Springs):
    """A stress of the wrong sign."""

    def calculate(self, atoms: Atoms, rung: int) -> Calculation:
        right = super().calculate(atoms, rung)
        return Calculation(right.energy, right.forces, -right.stress)


@pytest.mark.parametrize(
    ("backend", "complaint"),
    [
        (springs(pressure=0.05), "a pressure of 8.0 GPa"),
        (springs(stiffness=200.0), "a force of"),
        (WrongForces(springs().sites), "where the energy's slope gives"),
        (WrongStress(springs().sites, pressure=0.02), "a stress of 3.20 GPa where the energy's slope gives -3.18"),
    ],
)
def test_broken_backend_is_refused_with_the_reason(tmp_path: Path, backend: Springs, complaint: str) -> None:
    with pytest.raises(LabelError, match="springs is unfit for Cl-Li") as caught:
        require_sane(examine(backend, crystals(1)[0], Store(tmp_path)))
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "elements", "reason"),
    [
        ({"tblite": {"method": "GFN1-xTB"}}, {"Li", "P", "S", "Br"}, "GFN1-xTB is broken for periodic cells with Br"),
        ({"tblite": {"method": "GFN1-xTB"}}, {"Li", "P", "S", "I"}, "GFN1-xTB is broken for periodic cells with I"),
        ({"tblite": {"method": "GFN2-xTB"}}, {"Li", "P", "S", "Cl"}, "GFN2-xTB does not converge"),
    ],
)
def test_unfit_method_is_refused_with_the_reason(settings: dict[str, Any], elements: set[str], reason: str) -> None:
    refusal = LabelsConfig.model_validate(settings).refusal(elements)
    assert refusal is not None
    assert reason in refusal


def test_fit_methods_are_not_refused() -> None:
    assert LabelsConfig().refusal({"Li", "P", "S", "Cl"}) is None
    assert LabelsConfig.model_validate({"backend": "gpaw"}).refusal({"Li", "P", "S", "I"}) is None


def test_settings_of_other_backends_do_not_decide_a_label() -> None:
    one, other = LabelsConfig(), LabelsConfig.model_validate({"gpaw": {"cutoff_eV": 999}})
    assert one.labelling(set()) == other.labelling(set())
    assert one.labelling(set()) != LabelsConfig.model_validate({"tblite": {"accuracy": 0.5}}).labelling(set())


def test_unreadable_structures_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.extxyz").write_text("2\nno lattice\nLi 0 0\n")
    with pytest.raises(FileError, match=r"a\.extxyz is not an extended XYZ file"):
        read_structures(tmp_path / "a.extxyz")
