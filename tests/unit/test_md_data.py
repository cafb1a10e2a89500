"""Structures as LAMMPS reads them."""

from io import StringIO
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io.lammpsdata import read_lammps_data, write_lammps_data

from argyro.md.lammps import orientation, write_data

SPECIES = ("Li", "P", "S", "Cl")


def test_data_files_are_read_as_those_that_ase_writes(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    atoms = Atoms(
        "LiSClLi", rng.uniform(-3, 9, size=(4, 3)), cell=np.diag([7, 8, 9]) + rng.normal(size=(3, 3)), pbc=True
    )
    atoms.set_masses([7.016, 32.06, 35.45, 7.016])
    atoms.set_velocities(rng.normal(size=(4, 3)))
    write_data(tmp_path / "a.data", atoms, SPECIES)
    by_ase = StringIO()
    write_lammps_data(
        by_ase, atoms, specorder=list(SPECIES), masses=True, velocities=True, prismobj=orientation(atoms), units="metal"
    )
    text = (tmp_path / "a.data").read_text()
    found, expected = (
        read_lammps_data(StringIO(content), sort_by_id=True, units="metal") for content in (text, by_ase.getvalue())
    )
    assert np.array_equal(found.numbers, expected.numbers)
    assert np.allclose(found.get_masses(), [7.016, 32.06, 35.45, 7.016], rtol=1e-12)
    assert np.allclose(found.cell.array, expected.cell.array, rtol=0, atol=1e-12)
    assert np.allclose(found.positions, expected.positions, rtol=0, atol=1e-12)
    assert np.allclose(found.get_velocities(), expected.get_velocities(), rtol=1e-12)
