"""A GPU's barostat and thermostat lead to the averages that LAMMPS's lead to."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

import mtpcore
from argyro.config.dynamics import Engine
from argyro.md import gpu
from argyro.md.lammps import PotentialFile
from argyro.md.run import Run, run_side_by_side
from argyro.md.settings import Ensemble, RunSettings
from mtpcore.configuration import Configuration
from mtpcore.gpu.backend import EmulatedBackend

pytestmark = pytest.mark.long
SPECIES = ("Cu", "Au")
QUANTITIES = ("temperature_K", "volume_angstrom3", "potential_energy_eV")
REPLICAS = 4


def crystal(rattle: float, seed: int) -> Atoms:
    atoms: Atoms = bulk("Cu", cubic=True, a=3.75)
    atoms.symbols[0] = "Au"
    atoms *= 2
    atoms.rattle(rattle, seed=seed)
    return atoms


@pytest.fixture(scope="module")
def potential(tmp_path_factory: pytest.TempPathFactory) -> PotentialFile:
    """Fitted to effective medium theory."""
    training = []
    for seed in range(16):
        atoms = crystal(0.05 + 0.01 * seed, seed)
        atoms.set_cell(atoms.cell.array * (0.97 + 0.004 * seed), scale_atoms=True)
        atoms.calc = EMT()
        labels = {"REF_energy": atoms.get_potential_energy(), "REF_stress": atoms.get_stress()}
        atoms.set_array("REF_forces", atoms.get_forces())
        atoms.info |= labels | {"level_of_theory": "EMT"}
        atoms.calc = None
        training.append(Configuration.from_atoms(atoms, SPECIES))
    start = mtpcore.new_potential(6, 2, min_dist=1.5, max_dist=5.0)
    path = tmp_path_factory.mktemp("potential") / "CuAu.mtp"
    fit = mtpcore.fit(start, training, settings=mtpcore.FitSettings(hops=0, threads=1))
    mtpcore.write_potential(path, fit.potential)
    return PotentialFile(path, SPECIES)


def averages(potential: PotentialFile, ensemble: Ensemble, folder: Path, engine: Engine) -> dict[str, np.ndarray]:
    """Of each replica."""
    asked = RunSettings(ensemble, steps=5000, thermo_every=10, segment_steps=5000)
    runs = [Run(crystal(0.05, k), potential, asked, folder / f"{engine}{k}", k) for k in range(REPLICAS)]
    tables = [result.thermo()[100:] for result in run_side_by_side(runs, engine=engine)]
    return {name: np.array([table[name].mean() for table in tables]) for name in QUANTITIES}


@pytest.mark.parametrize("name", ["nvt", "npt"])
def test_averages_of_an_ensemble_are_those_of_lammps(
    name: str, potential: PotentialFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = EmulatedBackend(flags=("-O2",))
    monkeypatch.setattr(gpu, "device", lambda: backend)
    ensemble = Ensemble(name, 400.0, thermostat_time=0.1, barostat_time=1.0)  # type: ignore[arg-type]
    found, expected = (averages(potential, ensemble, tmp_path, engine) for engine in ("gpu", "lammps"))
    for quantity in QUANTITIES:
        error = np.hypot(found[quantity].std(ddof=1), expected[quantity].std(ddof=1)) / REPLICAS**0.5
        assert abs(found[quantity].mean() - expected[quantity].mean()) <= 4 * error + 1e-9, quantity
        assert error < {"temperature_K": 12, "volume_angstrom3": 1.5, "potential_energy_eV": 0.05}[quantity]
    assert abs(found["temperature_K"].mean() - 400) < 12
    assert (found["volume_angstrom3"].std() > 0) == (name == "npt")
