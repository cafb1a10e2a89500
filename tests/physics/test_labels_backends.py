"""Every labelling backend that is here: forces and stress are slopes of its energy, and its numbers are the code's."""

import lzma
import os
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io.extxyz import read_xyz
from ase.units import GPa

import mtpcore
from argyro.common.errors import LabelError, MissingDependencyError
from argyro.config.labels import LabelsConfig
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits
from argyro.labels.backends import open_backend
from argyro.labels.backends.base import Backend, NotConvergedError
from argyro.structures.bulk import build_bulk

ROOT = Path(__file__).parents[2]
LABELLED = ROOT / "mtpcore/tests/data/li6ps5cl_gfn1.extxyz.xz"
needs_gpaw = pytest.mark.skipif(find_spec("gpaw") is None, reason="the extra dft is not installed")
needs_sevennet = pytest.mark.skipif(find_spec("sevenn") is None, reason="the extra teacher is not installed")
external = pytest.mark.skipif(
    "ARGYRO_TEST_EXTERNAL" not in os.environ, reason="set ARGYRO_TEST_EXTERNAL=1 to run CP2K and Quantum ESPRESSO"
)


def argyrodite(rattle: float = 0.05) -> Atoms:
    """Li6PS5Cl, 52 atoms, lightly rattled."""
    material = Material(id="a", formula="Li6PS5Cl", anion="Cl")
    atoms = build_bulk(material, (1, 1, 1), lithium_sites="48h", limits=DistanceLimits(), seed=1)
    atoms.rattle(rattle, seed=1)
    return atoms


def primitive() -> Atoms:
    """The primitive cell of Li6PS5Cl, 13 atoms, lightly rattled."""
    material = Material(id="a", formula="Li6PS5Cl", anion="Cl")
    cubic = build_bulk(material, (1, 1, 1), lithium_sites="24g", limits=DistanceLimits(), seed=1)
    edge = cubic.cell.lengths()[0]
    cell = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) * edge / 2
    scaled = np.round(np.linalg.solve(cell.T, cubic.positions.T).T % 1.0, 6) % 1.0
    unique = np.unique(scaled, axis=0, return_index=True)[1]
    atoms = cubic[np.sort(unique)]
    atoms.set_cell(cell)
    atoms.wrap()
    assert len(atoms) == 13
    atoms.rattle(0.05, seed=2)
    return atoms


def rock_salt() -> Atoms:
    """LiCl, 8 atoms, lightly rattled."""
    atoms = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    atoms.rattle(0.08, seed=3)
    return atoms


def slopes(backend: Backend, atoms: Atoms, shift: float, strain: float) -> tuple[float, float]:
    """Central differences of the energy: force on atom 1 along x, and stress xx; eV/angstrom and GPa."""

    def energy(displacement: float, stretch: float) -> float:
        moved = atoms.copy()
        moved.positions[1, 0] += displacement
        moved.set_cell(moved.cell.array @ np.diag([1 + stretch, 1, 1]), scale_atoms=True)
        return backend.calculate(moved, 0).energy

    force = -(energy(shift, 0) - energy(-shift, 0)) / (2 * shift)
    stress = (energy(0, strain) - energy(0, -strain)) / (2 * strain * atoms.get_volume())
    return force, stress / GPa


def potential_file(folder: Path) -> Path:
    """A level 6 potential with random parameters."""
    potential = mtpcore.new_potential(6, 4, min_dist=1.0, max_dist=5.0)
    parameters = np.random.default_rng(1).normal(scale=0.1, size=potential.parameter_count)
    mtpcore.write_potential(folder / "teacher.mtp", mtpcore.set_parameters(potential, parameters))
    return folder / "teacher.mtp"


def mtp_backend(folder: Path) -> Backend:
    settings = {"potentials": {"LiPSCl": potential_file(folder)}}
    return open_backend(LabelsConfig.model_validate({"backend": "mtp", "mtp": settings}))


def test_mtp_forces_and_stress_are_slopes_of_its_energy(tmp_path: Path) -> None:
    backend, atoms = mtp_backend(tmp_path), argyrodite()
    found = backend.calculate(atoms, 0)
    force, stress = slopes(backend, atoms, 1e-4, 1e-5)
    assert force == pytest.approx(found.forces[1, 0], abs=1e-6)
    assert stress == pytest.approx(found.stress[0] / GPa, abs=1e-5)


def test_mtp_level_of_theory_names_the_potential(tmp_path: Path) -> None:
    backend = mtp_backend(tmp_path)
    assert backend.level_of_theory == f"mtp:{backend.pseudopotentials['*'][:12]}"


def test_tblite_forces_and_stress_are_slopes_of_its_energy() -> None:
    backend, atoms = open_backend(LabelsConfig.model_validate({"protocol": "paper"})), rock_salt()
    found = backend.calculate(atoms, 0)
    force, stress = slopes(backend, atoms, 2e-3, 2e-4)
    assert force == pytest.approx(found.forces[1, 0], abs=2e-4)
    assert stress == pytest.approx(found.stress[0] / GPa, abs=2e-3)


def test_tblite_gives_the_labels_made_by_ase() -> None:
    """The labels of mtpcore's tests were made by tblite's own ASE calculator."""
    with lzma.open(LABELLED, "rt") as file:
        atoms = next(read_xyz(StringIO(file.read()), index=0))
    found = open_backend(LabelsConfig()).calculate(atoms, 0)
    assert found.energy == pytest.approx(atoms.info["REF_energy"], abs=1e-3)
    assert np.abs(found.forces - atoms.arrays["REF_forces"]).max() < 1e-3
    assert np.abs(found.stress - atoms.info["REF_stress"]).max() / GPa < 1e-2


def test_tblite_that_does_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("argyro.labels.backends.tblite.LADDER", ({"max-iter": 2},))
    with pytest.raises(NotConvergedError, match="not converged"):
        open_backend(LabelsConfig()).calculate(rock_salt(), 0)


@pytest.mark.parametrize(
    ("name", "command"),
    [("gpaw", "--with dft"), ("sevennet", "--with teacher"), ("cp2k", "PATH"), ("espresso", "PATH")],
)
def test_missing_backend_says_how_to_get_it(
    name: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(package: str) -> str:
        raise PackageNotFoundError(package)

    if name in {"gpaw", "sevennet"}:
        monkeypatch.setattr(f"argyro.labels.backends.{name}.version", missing)
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = {"backend": name, "espresso": {"pseudopotentials": tmp_path}}
    with pytest.raises(MissingDependencyError, match=command):
        open_backend(LabelsConfig.model_validate(settings))


def gpaw_backend(**settings: Any) -> Backend:
    return open_backend(LabelsConfig.model_validate({"backend": "gpaw", "protocol": "fast", "gpaw": settings}))


@needs_gpaw
def test_gpaw_forces_and_stress_are_slopes_of_its_energy() -> None:
    backend, atoms = gpaw_backend(cutoff_eV=350), primitive()
    found = backend.calculate(atoms, 0)
    force, stress = slopes(backend, atoms, 0.02, 0.005)
    assert force == pytest.approx(found.forces[1, 0], abs=0.03)
    assert stress == pytest.approx(found.stress[0] / GPa, abs=0.5)  # the basis set changes with the cell
    assert found.gap is not None
    assert found.gap > 1.0
    assert found.scf_steps is not None


@needs_gpaw
def test_gpaw_that_does_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("argyro.labels.backends.gpaw.LADDER", ({"maxiter": 2},))
    with pytest.raises(NotConvergedError):
        gpaw_backend(cutoff_eV=200).calculate(rock_salt(), 0)


@needs_gpaw
@pytest.mark.long
@pytest.mark.parametrize("rung", [0, 1, 2])
def test_rungs_of_gpaw_reach_the_same_energy(rung: int) -> None:
    backend = gpaw_backend(cutoff_eV=300)
    found, expected = backend.calculate(rock_salt(), rung), gpaw_backend(cutoff_eV=300).calculate(rock_salt(), 0)
    assert found.energy == pytest.approx(expected.energy, abs=2e-3)
    assert np.abs(found.forces - expected.forces).max() < 0.02


@needs_sevennet
def test_sevennet_forces_and_stress_are_slopes_of_its_energy() -> None:
    backend, atoms = open_backend(LabelsConfig.model_validate({"backend": "sevennet"})), primitive()
    found = backend.calculate(atoms, 0)
    force, stress = slopes(backend, atoms, 0.01, 0.002)
    assert force == pytest.approx(found.forces[1, 0], abs=0.02)
    assert stress == pytest.approx(found.stress[0] / GPa, abs=0.1)


@external
@pytest.mark.skipif(which("cp2k") is None, reason="there is no cp2k")
def test_cp2k_forces_and_stress_are_slopes_of_its_energy() -> None:
    backend, atoms = open_backend(LabelsConfig.model_validate({"backend": "cp2k"})), rock_salt()
    found = backend.calculate(atoms, 0)
    force, stress = slopes(backend, atoms, 0.01, 0.002)
    assert force == pytest.approx(found.forces[1, 0], abs=0.01)
    assert stress == pytest.approx(found.stress[0] / GPa, abs=1.0)


@external
@pytest.mark.skipif(which("pw.x") is None, reason="there is no pw.x")
def test_espresso_forces_are_slopes_of_its_energy(tmp_path: Path) -> None:
    """With CP2K's GTH pseudopotentials, which Quantum ESPRESSO reads; its stress needs better ones."""
    write_gth(tmp_path)
    settings = {"backend": "espresso", "protocol": "fast", "espresso": {"pseudopotentials": tmp_path}}
    backend, atoms = open_backend(LabelsConfig.model_validate(settings)), rock_salt()
    found = backend.calculate(atoms, 0)
    force, _ = slopes(backend, atoms, 0.01, 0.002)
    assert force == pytest.approx(found.forces[1, 0], abs=0.01)
    assert found.scf_steps is not None


def write_gth(folder: Path) -> None:
    """GTH pseudopotentials of lithium and chlorine in ABINIT's format 10, which Quantum ESPRESSO reads."""
    text = Path("/usr/share/cp2k/GTH_POTENTIALS").read_text()
    for element, number, charge in (("Li", 3, 3), ("Cl", 17, 7)):
        lines = text.split(f"\n{element} GTH-PBE-q{charge}")[1].split("\n#")[0].splitlines()[2:]
        radius, count, *coefficients = lines[0].split()
        channels = max(int(lines[1]), 1)
        written = [
            f"GTH of {element}",
            f"{number} {charge} 010101 zatom zion pspdat",
            f"10 11 {max(channels - 1, 0)} 0 2002 0 pspcod pspxc lmax lloc mmax r2well",
            f"{radius} {count} {' '.join(coefficients)}",
            str(channels),
        ]
        rows = lines[2:] or ["0.4 1 0.0"]  # Quantum ESPRESSO wants a projector, if of no strength
        for channel in range(channels):
            size = int(rows[0].split()[1])
            written += rows[:size] + (["0.0 " * (size - row) for row in range(size)] if channel > 0 else [])
            rows = rows[size:]
        (folder / f"{element}.gth").write_text("\n".join(written) + "\n")


def test_failure_is_not_taken_for_slow_convergence() -> None:
    """Two atoms at one place: no rung of the ladder would help."""
    atoms = rock_salt()
    atoms.positions[1] = atoms.positions[0]
    with pytest.raises(LabelError, match="tblite failed: Too close"):
        open_backend(LabelsConfig()).calculate(atoms, 0)
