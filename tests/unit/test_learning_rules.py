"""The rules of learning: who explores, when a level ends, what is written down."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from helpers import li6ps5cl_cell
from pydantic import ValidationError

import mtpcore
from argyro.common.errors import FileError, MissingDependencyError
from argyro.config.learning import ExplorationConfig, FitConfig, LearningConfig, MlipConfig, Rung
from argyro.config.structures import DistanceLimits
from argyro.learning import fitters
from argyro.learning.candidates import make_candidates
from argyro.learning.decide import Decision, LearningError, decide, require_done
from argyro.learning.exploration import Exploration
from argyro.learning.explore import handed_on, run_settings, spread
from argyro.learning.fitters import FitError, FitOutcome, MlipFitter, MtpcoreFitter, fit_round, passes_power
from argyro.learning.ledger import followers, group_by_round, ledger_row, ledger_table
from argyro.learning.potential_file import read_card, read_potential_file, write_given_potential, write_potential
from argyro.learning.samplers import Sampler, samplers
from argyro.learning.selection import Environment, Selection
from argyro.learning.stopwatch import stopwatch
from argyro.learning.training import split_seeds

RUNG = Rung(level=6)
NAMES = {"a-bulk-2x2x2-a0": "a", "b-bulk-2x2x2-a0": "b", "b-S3-112-c0": "b"}
SPECIES = ["Li", "P", "S", "Cl"]


def explored(status: str = "finished", grade: float = 1.2) -> Exploration:
    return Exploration(Sampler(0, "a-bulk", "a", 600.0), status, "for a reason", 1.0, grade, 0, 0, 52, 1.0)


def selected(*grades: float) -> Selection:
    return Selection([Environment(0, atom, grade) for atom, grade in enumerate(grades)], [])


def decision(
    grades: tuple[float, ...], statuses: tuple[str, ...] = ("finished",), met: float = 1.2, **changes: Any
) -> Decision:
    asked: dict[str, Any] = {"at_limit": False, "last_level": False, "candidates": len(grades)} | changes
    rung = asked.pop("rung", RUNG)
    runs = [explored(status, met) for status in statuses]
    return decide(rung, selection=selected(*grades), explorations=runs, **asked)


def labelled(seed: int) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms = Atoms("Li2PSCl", positions=rng.uniform(0, 8, size=(5, 3)), cell=[8, 8, 8], pbc=True)
    atoms.info |= {"REF_energy": -1.0, "REF_stress": np.zeros(6), "level_of_theory": "test"}
    atoms.set_array("REF_forces", np.zeros((5, 3)))
    return atoms


def potential(level: int = 4, seed: int = 1) -> mtpcore.Potential:
    bare = mtpcore.new_potential(level, 4, min_dist=1.0, max_dist=5.0)
    return mtpcore.set_parameters(bare, np.random.default_rng(seed).normal(scale=0.01, size=bare.parameter_count))


def test_both_modes_look_at_structures_equally_often() -> None:
    atoms = Atoms("Li", cell=[9, 9, 9], pbc=True)
    for every in (5, 10, 50, 70):
        exploration = ExplorationConfig(grade_every=every)
        local, whole = (
            run_settings(explored().sampler, atoms, RUNG, exploration, mode=mode, mobile="Li")
            for mode in ("local", "global")
        )
        assert local.grading is not None
        assert whole.grading is None
        assert local.grading.every == whole.streams[0].every == every


def test_level_ends_when_nothing_is_selected_or_no_grade_is_above_the_accept_grade() -> None:
    assert decision(()).next == "level_up"
    assert decision((1.69, 1.5)).next == "level_up"
    assert decision((1.69,), last_level=True) == Decision("done", "the largest grade is 1.69", True, 0)  # noqa: FBT003
    assert decision((1.71, 1.5)).next == "continue"
    assert decision((1.71, 1.5)).candidates == 2
    assert decision((1.69, 1.5), met=1.69).next == "level_up"


def test_grade_that_was_met_but_not_selected_keeps_a_level_from_ending() -> None:
    assert decision((1.6, 1.5), met=1.71) == Decision("continue", "2 structures to label", False, 2)  # noqa: FBT003
    assert decision((), met=1.71).next == "level_up"  # nothing to label: no round would be any different


def test_broken_runs_with_something_to_learn_are_data() -> None:
    assert decision((6.0,), ("grade", "burst")).next == "continue"
    assert decision((1.5,), ("finished", "burst")).next == "continue"


def test_runs_that_break_while_nothing_can_be_selected_are_a_failure() -> None:
    for status in ("grade", "temperature", "burst"):
        found = decision((), ("finished", status))
        assert found.next == "failed"
        assert "for a reason" in found.reason
        assert not found.converged


def test_level_without_a_training_cell_fails() -> None:
    assert decision((3.0, 2.0), candidates=0).next == "failed"


def test_round_limit_fails_loudly_or_goes_on_as_told() -> None:
    assert decision((3.0,), at_limit=True).next == "failed"
    patient = Rung(level=6, on_limit="continue")
    assert decision((3.0,), at_limit=True, rung=patient).next == "level_up"
    assert decision((3.0,), at_limit=True, rung=patient, last_level=True).next == "done"
    assert not decision((3.0,), at_limit=True, rung=patient).converged
    assert decision((1.5,), at_limit=True).next == "level_up"


def test_failed_ladder_points_to_its_ledger() -> None:
    failed = decision((3.0,), at_limit=True).as_dict()
    with pytest.raises(LearningError, match=r"l6/3.*ledger\.parquet.*max_rounds"):
        require_done(failed, Path("learning/LiPSCl/r0/l6/3"), Path("ledger.parquet"))
    require_done(decision((), last_level=True).as_dict(), Path(), Path())


def test_every_chosen_structure_is_explored_at_every_temperature() -> None:
    rung = Rung(level=6, structures=("*-bulk-*", "*-S3-*"), temperatures_K=(600.0, 900.0), samplers=2)
    found = samplers(rung, NAMES)
    assert len(found) == 12
    assert [sampler.number for sampler in found] == list(range(12))
    assert {(s.structure, s.temperature) for s in found} == {(n, t) for n in NAMES for t in (600.0, 900.0)}
    assert all(NAMES[sampler.structure] == sampler.material for sampler in found)
    assert Rung(level=6, structures=("*-S3-*",)).chosen(NAMES) == ["b-S3-112-c0"]


def test_boundaries_may_be_explored_at_temperatures_of_their_own() -> None:
    rung = Rung(level=6, temperatures_K=(1000.0,), temperatures_of={"*-S3-*": (600.0, 700.0)})
    found = samplers(rung, NAMES)
    assert {s.temperature for s in found if "S3" in s.structure} == {600.0, 700.0}
    assert {s.temperature for s in found if "S3" not in s.structure} == {1000.0}


def test_ladders_and_thresholds_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValidationError, match="levels must rise"):
        LearningConfig(ladder=(Rung(level=8), Rung(level=6)))
    with pytest.raises(ValidationError, match="must not fall in this order"):
        Rung(level=6, select_grade=2.0, accept_grade=1.7)
    with pytest.raises(ValidationError, match="multiple of 2"):
        Rung(level=7)
    with pytest.raises(ValidationError, match="the center would lose neighbours"):
        LearningConfig(fit=FitConfig(max_dist_angstrom=6.0))
    with pytest.raises(ValidationError, match="that no potential can be fitted to"):
        LearningConfig(fit=FitConfig(min_dist_angstrom=1.7))
    with pytest.raises(ValidationError, match="mode 'given' needs potentials"):
        LearningConfig(mode="given")


def test_snapshots_handed_on_are_spread_and_end_with_the_last() -> None:
    assert spread(3, 5) == [0, 1, 2]
    assert spread(101, 5) == [0, 25, 50, 75, 100]
    assert spread(100, 1) == [99]
    assert spread(0, 5) == []


def test_snapshot_with_the_largest_grade_is_handed_on_in_any_case() -> None:
    grades = [1.5] * 101
    assert handed_on(grades, 5) == [0, 25, 50, 75, 100]
    for worst in range(101):
        grades[worst] = 3.0
        for most in (1, 2, 5):
            chosen = handed_on(grades, most)
            assert worst in chosen
            assert len(chosen) == most
            assert chosen == sorted(chosen)
            assert most == 1 or chosen[-1] == 100
        grades[worst] = 1.5
    assert handed_on([2.0, 1.5], 5) == [0, 1]
    assert handed_on([], 5) == []


def test_held_out_seeds_are_never_fitted_to_and_the_same_every_time() -> None:
    seeds = [labelled(seed) for seed in range(20)]
    training, holdout = split_seeds(seeds, 0.2, seed=3)
    assert len(training) == 16
    assert len(holdout) == 4
    assert {id(atoms) for atoms in [*training, *holdout]} == {id(atoms) for atoms in seeds}
    assert split_seeds(seeds, 0.2, seed=3)[1] == holdout
    assert split_seeds(seeds, 0.2, seed=4)[1] != holdout
    assert split_seeds(seeds, 0.0, seed=3) == (seeds, [])
    for atoms in seeds[:8]:
        atoms.info["contact"] = True
    assert [id(atoms) for atoms in split_seeds(seeds, 0.5, seed=3)[0][:8]] == [id(atoms) for atoms in seeds[:8]]


def test_card_says_what_the_file_of_a_potential_cannot(tmp_path: Path) -> None:
    path = tmp_path / "potential.almtp"
    write_potential(path, potential(), SPECIES, level=4, training=[labelled(1), labelled(2)])
    card = read_card(path)
    assert card.species == SPECIES
    assert (card.level, card.level_of_theory, card.training_set_size) == (4, "test", 2)
    before = card.training_set_sha256
    write_potential(path, potential(), SPECIES, level=4, training=[labelled(1), labelled(3)])
    assert read_card(path).training_set_sha256 != before


def test_card_of_another_potential_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "potential.almtp"
    write_potential(path, potential(), SPECIES, level=4, training=[labelled(1)])
    mtpcore.write_potential(path, potential(seed=2))
    with pytest.raises(FileError, match="belongs to another potential"):
        read_card(path)


def test_given_potential_is_taken_over_byte_for_byte_or_refused(tmp_path: Path) -> None:
    source, path = tmp_path / "mine.mtp", tmp_path / "potential.almtp"
    mtpcore.write_potential(source, potential())
    write_given_potential(source, path, SPECIES)
    assert path.read_bytes() == source.read_bytes()
    assert read_card(path).species == SPECIES
    with pytest.raises(FileError, match="4 species, but the chemical system has 5"):
        write_given_potential(source, path, [*SPECIES, "Br"])
    source.write_text("nonsense")
    with pytest.raises(FileError, match="no moment tensor potential"):
        write_given_potential(source, path, SPECIES)


def fake_program(folder: Path, body: str) -> MlipConfig:
    """A program in the place of MLIP-3's, which cannot be tested here."""
    program = folder / "mlp"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return MlipConfig(command=(str(program),))


def test_mlip_is_called_with_its_own_options_and_files(tmp_path: Path) -> None:
    program = fake_program(
        tmp_path, f'echo "$@" > "{tmp_path}/words"; cp train.cfg "{tmp_path}"; cp start.mtp fitted.almtp'
    )
    fitter = MlipFitter(FitConfig(max_iterations=7, tolerance=1e-4), program)
    fitted, outcome = fitter.fit(potential(), [labelled(1)], SPECIES, seed=1, folder=tmp_path / "fit")
    assert (tmp_path / "words").read_text().split() == [
        *("train", "start.mtp", "train.cfg", "--save_to=fitted.almtp"),
        *("--energy_weight=1.0", "--force_weight=0.01", "--stress_weight=0.001"),
        *("--iteration_limit=7", "--tolerance=0.0001", "--no_mindist_update=true", "--al_mode=nbh"),
    ]
    assert np.array_equal(mtpcore.get_parameters(fitted), mtpcore.get_parameters(potential()))
    assert "BEGIN_CFG" in (tmp_path / "train.cfg").read_text()
    assert outcome.reason == "mlip"
    assert not any((tmp_path / "fit").iterdir())


class StubFitter:
    """Hands potentials back as they came, with losses that are known beforehand; keeps note of the starts."""

    def __init__(self, loss_of_fresh_start: float) -> None:
        self.loss_of_fresh_start = loss_of_fresh_start
        self.fresh: list[bool] = []
        self.folders: list[Path] = []

    def fit(self, start: mtpcore.Potential, *_: Any, folder: Path, **__: Any) -> tuple[mtpcore.Potential, FitOutcome]:
        self.fresh.append(not start.trained)
        assert folder not in self.folders, "a fit that goes on would find the checkpoint of another"
        self.folders.append(folder)
        return start, FitOutcome("converged", 1, self.loss_of_fresh_start if self.fresh[-1] else 1.0)


def fitted_with(
    monkeypatch: pytest.MonkeyPatch, loss: float, *, count: int, added: int, level: int = 4, growth: float | None = 2.0
) -> tuple[list[bool], mtpcore.Potential]:
    """Which starts were fresh, and the potential that a round begins with."""
    stub = StubFitter(loss)
    monkeypatch.setattr(fitters, "open_fitter", lambda *_, **__: stub)
    settings = LearningConfig(ladder=(Rung(level=4), Rung(level=6)), fit=FitConfig(restart_growth=growth))
    kept, _ = fit_round(
        settings,
        SPECIES,
        level,
        potential(),
        [labelled(1)] * count,
        added,
        first_of_level=False,
        seed=1,
        folder=Path(),
    )
    return stub.fresh, kept


def test_fresh_start_is_kept_where_its_loss_is_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    for loss, kept_fresh in ((0.5, True), (2.0, False)):
        fresh, kept = fitted_with(monkeypatch, loss, count=8, added=1)
        assert fresh == [False, True]
        assert kept.trained != kept_fresh


def test_fresh_starts_are_made_where_labels_pass_a_power_at_the_lowest_level(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fitted_with(monkeypatch, 0.5, count=7, added=3)[0] == [False]
    assert fitted_with(monkeypatch, 0.5, count=8, added=1, growth=None)[0] == [False]
    assert fitted_with(monkeypatch, 0.5, count=8, added=1, level=6)[0] == [False]
    assert passes_power(20, 40, 2.0)
    assert not passes_power(33, 63, 2.0)


def test_fit_that_has_ended_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job killed after its fit, before its files are written, goes on from there."""
    fitter = MtpcoreFitter(FitConfig(min_dist_angstrom=0.5, max_iterations=4, segment_iterations=3, hops=0))
    start = mtpcore.new_potential(2, 4, min_dist=0.5, max_dist=5.0)
    training = [labelled(seed) for seed in range(3)]

    def fitted() -> tuple[mtpcore.Potential, FitOutcome]:
        return fitter.fit(start, training, SPECIES, seed=1, folder=tmp_path)

    first, outcome = fitted()
    assert outcome.iterations

    def refuse(*_: Any) -> None:
        raise AssertionError("an iteration was made")

    fitting = sys.modules["mtpcore.fit"]._Fit  # the package has a function of the module's name
    monkeypatch.setattr(fitting, "_iterate", refuse)
    monkeypatch.setattr(fitting, "_hop", refuse)
    again, other = fitted()
    assert other == outcome
    assert np.array_equal(mtpcore.get_parameters(again), mtpcore.get_parameters(first))


def test_whole_snapshot_that_no_potential_can_be_fitted_to_is_rejected_and_counted() -> None:
    snapshots = [li6ps5cl_cell(), li6ps5cl_cell()]
    snapshots[0].positions[1] = snapshots[0].positions[0] + [0, 0, 1.3]
    for snapshot in snapshots:
        snapshot.info |= {"structure": "bulk", "material": "a", "sampler": 0, "temperature_K": 600.0, "step": 0}
    candidates, rejected = make_candidates(
        [Environment(0, -1, 9.0), Environment(1, -1, 2.0)],
        snapshots,
        materials={},
        settings=LearningConfig(mode="global", fit=FitConfig(min_dist_angstrom=1.4)),
        limits=DistanceLimits(),
        calculator=None,
        most=1,
    )
    assert [candidate.info["grade"] for candidate in candidates] == [2.0]
    assert [(one.environment.snapshot, one.reason) for one in rejected] == [(0, "distance")]
    assert "1.300 angstrom apart" in rejected[0].message


def test_mlip_that_fails_or_is_missing_says_so(tmp_path: Path) -> None:
    failing = MlipFitter(FitConfig(), fake_program(tmp_path, "echo out of luck; exit 3"))
    with pytest.raises(FitError, match=r"code 3.*\n.*out of luck"):
        failing.fit(potential(), [labelled(1)], SPECIES, seed=1, folder=tmp_path)
    missing = MlipFitter(FitConfig(), MlipConfig(command=("no-such-mlp",)))
    with pytest.raises(MissingDependencyError, match=r"learning\.mlip\.command"):
        missing.fit(potential(), [labelled(1)], SPECIES, seed=1, folder=tmp_path)


FIT = {
    "reason": "converged",
    "iterations": 12,
    "training": {"energy_eV_per_atom": 0.001, "force_eV_per_angstrom": 0.1, "structures": 20},
    "training_atoms": 1040,
    "holdout": {"energy_eV_per_atom": 0.002, "force_eV_per_angstrom": 0.2, "structures": 2},
    "centers": {"count": 0, "largest": 0.0, "above_select": 0},
    "snapshots": None,
    "wall_s": 2.0,
    "core_s": 1.5,
}


def test_ledger_adds_up_what_a_round_asked_for_and_got() -> None:
    jobs = [
        {"explorations": [explored().as_dict()], "wall_s": 1.0, "core_s": 0.5},
        {"explorations": [explored("burst", 9.0).as_dict()], "wall_s": 2.0, "core_s": 1.0},
    ]
    rejection = {"environment": {}, "reason": "distance", "message": ""}
    selection = {
        "selected": 4,
        "largest_grade": 9.0,
        "grades_before": [0.5, 1.0, 2.0, 9.0],
        "rejections": [rejection, rejection],
        "wall_s": 3.0,
        "core_s": 2.0,
    }
    outcomes = [{"status": status, "atoms": 60, "seconds": 4.0} for status in ("ok", "ok", "rejected")]
    row = ledger_row(
        {"system": "LiPSCl", "repeat": 0, "level": 6, "round": 0},
        fit=FIT,
        explored=jobs,
        selection=selection,
        decision=Decision("continue", "why", converged=False, candidates=3).as_dict(),
        outcomes=outcomes,
        taught=FIT | {"snapshots": [0.4, 0.8, 0.9, 1.6], "centers": {"count": 2, "largest": 1.5, "above_select": 1}},
    )
    assert (row["samplers"], row["samplers_broken"], row["explored_ps"]) == (2, 1, 2.0)
    assert (row["environments_selected"], row["environments_rejected"]) == (4, 2)
    assert row["rejected_because"] == "distance: 2"
    assert (row["labels_asked"], row["labels_accepted"], row["labels_rejected"]) == (3, 2, 1)
    assert (row["labelled_atoms"], row["label_s"]) == (120, 12.0)
    assert (row["explore_wall_s"], row["explore_core_s"]) == (3.0, 1.5)
    assert (row["grade_before_p99"], row["grade_after_p100"]) == (2.0, 1.6)
    assert (row["centers_above_select_after_fit"], row["largest_center_grade_after_fit"]) == (1, 1.5)
    json.dumps(row)
    table = ledger_table([row, row | {"round": 1, "grade_before_p50": None, "centers_above_select_after_fit": None}])
    assert table["grade_before_p50"].dtype == float
    assert len(table) == 2


def test_what_became_of_a_sampler_is_read_back_as_written() -> None:
    for record in (explored(), explored("burst", 9.0)):
        assert Exploration.from_dict(json.loads(json.dumps(record.as_dict()))) == record
    assert [explored(status).broke for status in ("finished", "enough", "grade")] == [False, False, True]


def test_files_of_rounds_are_sorted_by_level_and_number() -> None:
    names = ["fit.json", "selection.json", "decision.json", "explored/0.json", "explored/1.json", "outcomes/0.json"]
    order = [(6, 0), (6, 1), (6, 10), (8, 0)]
    shuffled = [f"learning/LiPSCl/r2/l{level}/{round_}/{name}" for level, round_ in reversed(order) for name in names]
    found = group_by_round(map(Path, shuffled))
    assert [(files.identity["level"], files.identity["round"]) for files in found] == order
    assert [then and then.identity["round"] for then in followers(found)] == [1, 10, None, None]
    assert found[2].fit == Path("learning/LiPSCl/r2/l6/10/fit.json")
    assert [path.name for path in found[0].explored] == ["0.json", "1.json"]
    assert found[0].identity["repeat"] == 2
    with pytest.raises(ValueError, match="no file of a round"):
        group_by_round([Path("learning/ledger.parquet")])


def test_stopwatch_counts_processor_time_of_children_too() -> None:
    with stopwatch() as watch:
        os.system("python3 -c 'sum(range(10**7))'")
    assert watch.core_s > 0.05
    assert watch.wall_s > 0


def test_file_that_is_no_potential_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no moment tensor potential"):
        read_potential_file(tmp_path / "absent.mtp")
