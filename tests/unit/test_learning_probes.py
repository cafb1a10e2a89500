"""Target properties that levels are compared by."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from pydantic import ValidationError

import mtpcore
from argyro.common.errors import DynamicsError
from argyro.config.learning import LearningConfig, OuterStopConfig
from argyro.learning import probes
from argyro.learning.probes import agree, block_diffusivity, probe_boundary, probe_diffusivity
from argyro.md.lammps import PotentialFile
from argyro.md.relax import RelaxSettings
from mtpcore.ase import MTP
from mtpcore.configuration import Configuration

J_PER_M2 = 16.02176634  # of one eV/angstrom^2
BRIEF = OuterStopConfig(temperature_K=700.0, equilibration_ps=1.0, duration_ps=4.0)


def probe(value: float | None, error: float = 0.0) -> dict[str, float | str | None]:
    return {"structure": "a", "quantity": "D_cm2_per_s", "value": value, "standard_error": error}


def written(path: Path, potential: mtpcore.Potential, *species: str) -> PotentialFile:
    mtpcore.write_potential(path, potential)
    return PotentialFile(path, species)


def gas(scale: float, folder: Path) -> tuple[Atoms, PotentialFile]:
    """Ions on a lattice, most of them mobile, and a potential of random parameters, or of none."""
    bare = mtpcore.new_potential(2, 2, min_dist=0.1, max_dist=3.0)
    parameters = np.random.default_rng(1).normal(scale=scale, size=bare.parameter_count)
    atoms = bulk("Li", "sc", a=3.0) * (9, 9, 9)
    atoms.symbols[::4] = "I"
    return atoms, written(folder / "gas.mtp", mtpcore.set_parameters(bare, parameters), "Li", "I")


@pytest.fixture(scope="module")
def copper(tmp_path_factory: pytest.TempPathFactory) -> PotentialFile:
    """Fitted to effective medium theory."""
    rng, training = np.random.default_rng(0), []
    for scale in (0.97, 0.98, 0.99, 1.0, 1.01, 1.02, 1.03):
        atoms = bulk("Cu", cubic=True, a=3.6 * scale) * 2
        atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
        atoms.calc = EMT()
        atoms.info |= {"REF_energy": atoms.get_potential_energy(), "REF_stress": atoms.get_stress()}
        atoms.set_array("REF_forces", atoms.get_forces())
        atoms.calc = None
        training.append(Configuration.from_atoms(atoms, ("Cu",)))
    start = mtpcore.new_potential(6, 1, min_dist=1.5, max_dist=4.5)
    fitted = mtpcore.fit(start, training, settings=mtpcore.FitSettings(hops=0, threads=1)).potential
    return written(tmp_path_factory.mktemp("copper") / "Cu.mtp", fitted, "Cu")


def relaxed_energy(atoms: Atoms, potential: PotentialFile, strains: list[int]) -> float:
    """At the minimum that ASE finds, positions and these strains relaxed, eV."""
    atoms = atoms.copy()
    atoms.calc = MTP(potential.path, species=potential.species)
    BFGS(FrechetCellFilter(atoms, mask=strains), logfile=None).run(fmax=1e-3)
    return float(atoms.get_potential_energy())


def test_free_ions_are_probed_as_the_laws_of_motion_say(tmp_path: Path) -> None:
    """Without forces <r^2> = 3 kT/m t^2. The line through t^2 on a grid rises by the sum of its first and last time.

    A fifth of 4 ps is 8 frames of 0.1 ps, and the last four of them are at 0.4 to 0.7 ps.
    """
    atoms, potential = gas(0.0, tmp_path)
    found = probe_diffusivity("gas", atoms, potential, BRIEF, "Li", folder=tmp_path / "run", seed=1)
    mass = atoms.get_masses()[1]
    angstrom2_per_ps = units.kB * 700 / mass * (1000 * units.fs) ** 2 * (0.4 + 0.7) / 2
    assert (found.structure, found.quantity, found.message) == ("gas", "D_cm2_per_s", "")
    assert found.value == pytest.approx(1e-4 * angstrom2_per_ps, rel=0.12)  # 547 ions: 3.5 % each standard error
    assert found.standard_error < 0.1 * angstrom2_per_ps * 1e-4


def test_structure_that_does_not_hold_together_has_no_diffusivity_but_a_reason(tmp_path: Path) -> None:
    atoms, potential = gas(30.0, tmp_path)
    found = probe_diffusivity("gas", atoms, potential, BRIEF, "Li", folder=tmp_path / "run", seed=1)
    assert found.value is None
    assert "after" in found.message


def test_perfect_crystal_has_no_boundary_energy(copper: PotentialFile, tmp_path: Path) -> None:
    crystal = bulk("Cu", cubic=True, a=3.6)
    found = probe_boundary("crystal", crystal * (2, 2, 4), crystal * 2, copper, folder=tmp_path)
    assert found.quantity == "boundary_energy_J_per_m2"
    assert found.value == pytest.approx(0.0, abs=1e-3)


def test_boundary_energy_is_that_of_both_planes_by_an_independent_minimiser(
    copper: PotentialFile, tmp_path: Path
) -> None:
    """A crystal cut open: two free surfaces, their distance beyond the cutoff."""
    crystal = bulk("Cu", cubic=True, a=3.6)
    opened = crystal * (2, 2, 4)
    opened.cell[2, 2] += 6.0
    found = probe_boundary("opened", opened, crystal * 2, copper, folder=tmp_path)
    of_bulk = relaxed_energy(crystal * 2, copper, [1, 1, 1, 0, 0, 0]) / 32
    excess = relaxed_energy(opened, copper, [1, 1, 0, 0, 0, 0]) - 64 * of_bulk
    assert found.value == pytest.approx(J_PER_M2 * excess / (2 * 7.2**2), rel=0.01)
    assert found.value > 0.2


def test_minimum_that_is_not_reached_gives_no_boundary_energy_but_a_reason(
    copper: PotentialFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "RelaxSettings", partial(RelaxSettings, max_rounds=1, pressure_tolerance=1e-12))
    crystal = bulk("Cu", cubic=True, a=3.6) * 2
    found = probe_boundary("crystal", crystal, crystal, copper, folder=tmp_path)
    assert found.value is None
    assert "crystal did not relax in 1 rounds" in found.message


def test_random_walk_has_its_diffusivity_within_three_standard_errors() -> None:
    """D = <step^2> / (6 interval) in three dimensions."""
    rng = np.random.default_rng(1)
    walk = np.cumsum(rng.normal(scale=0.1, size=(2000, 200, 3)), axis=0)
    value, error = block_diffusivity(walk, 0.1)
    assert value == pytest.approx(3 * 0.1**2 / (6 * 0.1), abs=3 * error)
    assert error < 0.2 * value


def test_ions_that_only_rattle_do_not_diffuse() -> None:
    rattle = np.random.default_rng(1).normal(scale=0.1, size=(2000, 200, 3))
    value, error = block_diffusivity(rattle, 0.1)
    assert abs(value) < 3 * error + 1e-4


def test_too_short_a_run_is_refused() -> None:
    with pytest.raises(DynamicsError, match="make the runs longer"):
        block_diffusivity(np.zeros((12, 4, 3)), 0.1)


def test_levels_agree_only_where_values_do_and_are_resolved() -> None:
    assert agree([probe(1.0, 0.05)], [probe(1.1, 0.05)], 0.2)
    assert not agree([probe(1.0, 0.05)], [probe(1.4, 0.05)], 0.2)
    assert not agree([probe(1.0, 0.3)], [probe(1.0, 0.3)], 0.2)
    assert not agree([probe(None)], [probe(1.0)], 0.2)
    assert not agree([], [], 0.2)
    assert not agree([probe(1.0), probe(1.0)], [probe(1.0), probe(2.0)], 0.2)


def test_structures_are_probed_that_match_either_pattern() -> None:
    settings = OuterStopConfig(diffusivity_of=("*-bulk-*",), energy_of=("*-S3-*",))
    assert settings.probed(["a-bulk-2", "a-S3-c0", "a-S5-c0"]) == ["a-bulk-2", "a-S3-c0"]
    assert OuterStopConfig().probed(["a-bulk-2"]) == []


def test_snapshots_that_an_early_end_would_pass_over_are_refused(tmp_path: Path) -> None:
    """The last level learns them, and the outer stop may end the ladder before it."""
    file = tmp_path / "snapshots.extxyz"
    file.touch()
    for outer_stop in (OuterStopConfig(diffusivity_of=("*-bulk-*",)), OuterStopConfig(energy_of=("*-S3-*",))):
        with pytest.raises(ValidationError, match=r"snapshots .* last level.*outer_stop"):
            LearningConfig(snapshots=(file,), outer_stop=outer_stop)
        assert LearningConfig(outer_stop=outer_stop).snapshots == ()
    assert LearningConfig(snapshots=(file,)).snapshots == (file,)
