"""Seeds by molecular dynamics: at the asked temperature, evenly spaced, paid once, and none the worse for kills."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms, units

from argyro.common.errors import LabelError
from argyro.config.labels import GatesConfig, LabelsConfig
from argyro.config.load import ROOT
from argyro.config.materials import Material
from argyro.config.structures import StructuresConfig
from argyro.labels.backends.base import Calculation, NotConvergedError
from argyro.labels.backends.mtp import MtpBackend
from argyro.labels.label import label_structures
from argyro.labels.store import Store
from argyro.structures import seed_dynamics
from argyro.structures.seed_dynamics import sample_seeds

MATERIAL = Material(id="Li6PS5Cl-50", formula="Li6PS5Cl", anion="Cl", exchange_percent=50)
TEACHER = LabelsConfig.model_validate(
    {"backend": "mtp", "mtp": {"potentials": {"LiPSCl": str(ROOT / "config/reference/teacher/Cl-12.mtp")}}}
)
GATES = GatesConfig()


class Killed(BaseException):
    """The process ends here."""


class Teacher(MtpBackend):
    """The shipped teacher, which counts its calculations and fails one if asked to."""

    def __init__(self, fails_at: int | None = None, error: BaseException | None = None) -> None:
        super().__init__(TEACHER)
        self.calls, self._fails_at, self._error = 0, fails_at, error or Killed()

    def calculate(self, atoms: Atoms, rung: int) -> Calculation:
        self.calls += 1
        if self.calls == self._fails_at:
            raise self._error
        return super().calculate(atoms, rung)


def settings(contacts: int = 0, **md: Any) -> StructuresConfig:
    return StructuresConfig.model_validate({"seeds": {"kind": "md", "contacts": contacts, "md": md}})


def sample(folder: Path, backend: Teacher | None = None, *, contacts: int = 0, seed: int = 1, **md: Any) -> list[Atoms]:
    """Seeds, with the store and the checkpoint in a folder."""
    wanted, store = settings(contacts, **md), Store(folder / "labels")
    checkpoint = folder / "seeds.npz"
    return sample_seeds(MATERIAL, wanted, backend or Teacher(), store, GATES, checkpoint=checkpoint, seed=seed)


@pytest.mark.parametrize("kelvin", [600, 1500])
def test_velocities_are_those_of_the_asked_temperature(tmp_path: Path, kelvin: float) -> None:
    seeds = sample(tmp_path, temperature_K=kelvin, duration_ps=3, seed_every_steps=1)
    positions = np.array([atoms.positions for atoms in seeds])[750:]
    velocities = (positions[2:] - positions[:-2]) / (2 * 2 * units.fs)
    energies = 0.5 * (seeds[0].get_masses()[:, None] * velocities**2).sum(axis=(1, 2))
    temperatures = 2 * energies / ((3 * 52 - 3) * units.kB)
    # One of 153 degrees of freedom has a standard deviation of 11 %; of 1.5 ps there are three independent parts
    assert temperatures.mean() == pytest.approx(kelvin, rel=0.15)


def test_seeds_are_the_frames_at_the_asked_steps(tmp_path: Path) -> None:
    every = sample(tmp_path / "every", duration_ps=0.1, seed_every_steps=1)
    tenth = sample(tmp_path / "tenth", duration_ps=0.1, seed_every_steps=10)
    assert [a.positions.tolist() for a in tenth] == [a.positions.tolist() for a in every[9::10]]
    assert [a.info for a in tenth] == [
        {"material": "Li6PS5Cl-50", "exchange_percent": 50, "seed_index": i, "time_ps": 0.02 * (i + 1)}
        for i in range(5)
    ]
    moved = np.linalg.norm(every[1].positions - every[0].positions, axis=1)
    assert 0.001 < moved.mean() < 0.1  # at 1500 K, 0.02 angstrom in 2 fs


def test_center_of_mass_is_at_rest(tmp_path: Path) -> None:
    seeds = sample(tmp_path, duration_ps=0.1, seed_every_steps=10)
    centers = np.array([atoms.get_center_of_mass() for atoms in seeds])
    assert np.ptp(centers, axis=0).max() < 1e-9


def test_another_seed_gives_another_arrangement_and_run(tmp_path: Path) -> None:
    one, other = (sample(tmp_path / str(seed), seed=seed, duration_ps=0.02, seed_every_steps=10) for seed in (1, 2))
    assert not np.allclose(one[0].positions, other[0].positions, atol=0.1)


def test_labels_of_the_frames_are_there_already(tmp_path: Path) -> None:
    seeds = sample(tmp_path, duration_ps=0.1, seed_every_steps=10, contacts=2)
    assert [("contact" in atoms.info) for atoms in seeds] == [False] * 5 + [True] * 2
    assert [atoms.info["seed_index"] for atoms in seeds] == list(range(7))
    backend = Teacher()
    outcomes = label_structures(seeds, backend, Store(tmp_path / "labels"), GATES)
    assert [outcome.reused for outcome in outcomes[:5]] == [True] * 5
    assert backend.calls == 2
    truth = Teacher().calculate(seeds[3], 0)
    stored = Store(tmp_path / "labels").load(outcomes[3].label_sha256, seeds[3])
    assert stored is not None
    assert np.array_equal(stored.calculation.forces, truth.forces)


@pytest.mark.parametrize(("seconds", "repeated"), [(0.0, 0), (1e9, None)], ids=["checkpoints", "none in time"])
def test_kill_and_resume_ends_at_the_same_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, repeated: int | None
) -> None:
    monkeypatch.setattr(seed_dynamics, "CHECKPOINT_SECONDS", seconds)
    md = {"duration_ps": 0.1, "seed_every_steps": 10}
    whole = Teacher()
    undisturbed = sample(tmp_path / "whole", whole, **md)
    killed = [Teacher(fails_at=calls) for calls in (1, 8, 12, 25)]
    for backend in killed:
        with pytest.raises(Killed):
            sample(tmp_path / "killed", backend, **md)
    last = Teacher()
    resumed = sample(tmp_path / "killed", last, **md)
    assert resumed == undisturbed
    if repeated is not None:
        finished = sum(backend.calls - 1 for backend in killed) + last.calls
        assert finished == whole.calls + repeated


def test_finished_run_is_not_run_again_and_a_longer_one_goes_on(tmp_path: Path) -> None:
    short = sample(tmp_path / "one", duration_ps=0.1, seed_every_steps=10)
    again, longer = Teacher(), Teacher()
    assert sample(tmp_path / "one", again, duration_ps=0.1, seed_every_steps=10) == short
    assert again.calls == 0
    more = sample(tmp_path / "one", longer, duration_ps=0.16, seed_every_steps=10)
    assert longer.calls == 30
    assert more == sample(tmp_path / "other", duration_ps=0.16, seed_every_steps=10)
    assert sample(tmp_path / "one", duration_ps=0.1, seed_every_steps=10) == short == more[:5]


@pytest.mark.parametrize("change", ["settings", "damage"])
def test_checkpoint_of_another_run_or_a_damaged_one_is_left_out(tmp_path: Path, change: str) -> None:
    md = {"duration_ps": 0.04, "seed_every_steps": 10}
    sample(tmp_path / "one", **(md | {"temperature_K": 900} if change == "settings" else md))
    if change == "damage":
        file = tmp_path / "one/seeds.npz"
        file.write_bytes(file.read_bytes()[:-200])
    assert sample(tmp_path / "one", **md) == sample(tmp_path / "other", **md)


class Wrong(Teacher):
    """Tears at one atom, so hard that it is hot before it meets another."""

    def calculate(self, atoms: Atoms, rung: int) -> Calculation:
        found = super().calculate(atoms, rung)
        found.forces[0] += [150, 0, 0]
        return found


@pytest.mark.parametrize(
    ("backend", "timestep", "reason"), [(Teacher, 0.02, "apart, below 1.2"), (Wrong, 0.002, "the temperature is")]
)
def test_explosion_is_an_error_that_says_what_to_do(
    tmp_path: Path, backend: type[Teacher], timestep: float, reason: str
) -> None:
    broken = rf"seeds of Li6PS5Cl-50 broke off at step \d+: .*{reason}.*; shorten .*timestep_ps or lower temperature_K"
    with pytest.raises(LabelError, match=broken):
        sample(tmp_path, backend(), timestep_ps=timestep, duration_ps=4, seed_every_steps=10)


def test_step_that_does_not_converge_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"broke off at step 4: none of 1 ways .* no density; shorten"):
        sample(tmp_path, Teacher(fails_at=5, error=NotConvergedError("no density")), duration_ps=0.04)
