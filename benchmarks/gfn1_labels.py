"""More labelled configurations of Li6PS5Cl than the 83 that the tests use: python benchmarks/gfn1_labels.py FILE COUNT.

The rest are snapshots of molecular dynamics (NVT, 1 fs, 300 to 900 K) under a level 8 potential fitted to the first 60,
0.5 ps after one of them, with labels of GFN1-xTB by tblite as the 83 have: about 3 seconds of one core each.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.io import read, write
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from tblite.ase import TBLite

import mtpcore
from mtpcore.ase import MTP, CloseContactWarning
from mtpcore.configuration import Configuration

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "mtpcore/tests/data/li6ps5cl_gfn1.extxyz.xz"
SPECIES = ["Li", "P", "S", "Cl"]
TRAINING = 60
MIN_DIST = 1.4
CLOSEST = 1.5  # angstrom: nearer than this a run has left what its potential knows
STEPS = 500


def snapshot(start: Atoms, potential: mtpcore.Potential, rng: np.random.Generator) -> Atoms:
    """Where half a picosecond takes a structure."""
    atoms = Atoms(start.numbers, start.positions, cell=start.cell, pbc=True)
    atoms.calc = MTP(potential, species=SPECIES)
    temperature = float(rng.uniform(300.0, 900.0))
    MaxwellBoltzmannDistribution(atoms, temperature_K=temperature, rng=rng)
    Langevin(atoms, units.fs, temperature_K=temperature, friction=0.02 / units.fs, rng=rng).run(STEPS)
    return Atoms(start.numbers, atoms.positions.round(6), cell=start.cell, pbc=True)


def nearest(atoms: Atoms) -> float:
    """Shortest distance between two atoms, angstrom."""
    distances = atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)]
    return float(distances.min())


def label(atoms: Atoms) -> Atoms:
    """The structure with energy, forces and stress of GFN1-xTB."""
    atoms.calc = TBLite(method="GFN1-xTB", verbosity=0)
    labelled = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    labelled.info["REF_energy"] = atoms.get_potential_energy()
    labelled.info["REF_stress"] = atoms.get_stress()
    labelled.info["level_of_theory"] = read(DATA, 0).info["level_of_theory"]
    labelled.arrays["REF_forces"] = atoms.get_forces()
    return labelled


def make(path: Path, count: int) -> None:
    """Write the shipped configurations and more of them, ``count`` in all; goes on where an earlier call ended."""
    warnings.simplefilter("ignore", CloseContactWarning)  # such runs are made again
    shipped = read(DATA, ":")
    if not path.exists():
        write(path, shipped, format="extxyz")
    done = len(read(path, ":"))
    train = [Configuration.from_atoms(atoms, SPECIES) for atoms in shipped[:TRAINING]]
    template = mtpcore.new_potential(8, len(SPECIES), min_dist=MIN_DIST, max_dist=5.0)
    potential = mtpcore.fit(template, train, settings=mtpcore.FitSettings(hops=4)).potential
    for index in range(done, count):
        attempts = (
            snapshot(shipped[index % TRAINING], potential, np.random.default_rng([index, k])) for k in range(20)
        )
        moved = next(atoms for atoms in attempts if nearest(atoms) > CLOSEST)
        write(path, label(moved), format="extxyz", append=True)
        print(f"{index + 1} of {count}, closest pair {nearest(moved):.2f} angstrom", flush=True)


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]))
