"""What real backends make of the test they have to pass, and of structures they cannot label."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

import mtpcore
from argyro.common.errors import LabelError
from argyro.config.labels import GatesConfig, LabelsConfig
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits
from argyro.labels.backends import open_backend
from argyro.labels.label import label_one
from argyro.labels.sanity import examine, require_sane
from argyro.labels.store import Store
from argyro.structures.bulk import build_bulk


def argyrodite(halide: str) -> Atoms:
    """Li6PS5X, 52 atoms, lightly rattled, as the rule check_backend makes it."""
    material = Material(id="a", formula=f"Li6PS5{halide}", anion=halide)
    atoms = build_bulk(material, (1, 1, 1), lithium_sites="48h", limits=DistanceLimits(), seed=1)
    atoms.rattle(0.05, seed=1)
    return atoms


@pytest.mark.long
def test_gfn1_with_chlorine_passes_its_test(tmp_path: Path) -> None:
    result = examine(open_backend(LabelsConfig()), argyrodite("Cl"), Store(tmp_path))
    require_sane(result)
    assert result.force_by_differences_eV_per_angstrom == pytest.approx(result.max_force_eV_per_angstrom, rel=0.01)
    assert result.stress_by_differences_GPa == pytest.approx(result.stress_GPa, abs=0.05)


@pytest.mark.long
@pytest.mark.parametrize("halide", ["Br", "I"])
def test_gfn1_with_a_heavy_halide_fails_its_test(tmp_path: Path, halide: str) -> None:
    """So the refusal by the configuration is not a prejudice: pressures of tens of GPa on a lightly rattled cell."""
    with pytest.raises(LabelError, match=f"GFN1-xTB is unfit for .*{halide}.*a pressure of"):
        require_sane(examine(open_backend(LabelsConfig()), argyrodite(halide), Store(tmp_path)))


@pytest.mark.skipif(find_spec("gpaw") is None, reason="the extra dft is not installed")
def test_datasets_of_gpaw_do_not_depend_on_files_at_home(tmp_path: Path) -> None:
    (tmp_path / ".gpaw").mkdir()
    (tmp_path / ".gpaw/rc.py").write_text("setup_paths[:] = ['/somewhere/else']\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/Li.PBE").write_text("my lithium")
    program = (
        "import gpaw, argyro.labels.backends as b; from argyro.config.labels import LabelsConfig as C;"
        "print(b.open_backend(C(backend='gpaw')).pseudopotentials['Li'], *gpaw.setup_paths, sep='\\n')"
    )
    hashes = []
    for own in ({}, {"GPAW_SETUP_PATH": str(tmp_path / "own")}):
        environment = {k: v for k, v in os.environ.items() if k != "GPAW_SETUP_PATH"} | {"HOME": str(tmp_path)} | own
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        digest, *folders = done.stdout.split()
        assert "/somewhere/else" not in folders
        assert folders[0] == own.get("GPAW_SETUP_PATH", folders[0])
        hashes.append(digest)
    assert hashes[0] != hashes[1]


def test_teacher_does_not_label_pairs_it_knows_nothing_of(tmp_path: Path) -> None:
    potential = mtpcore.new_potential(4, 2, min_dist=2.3, max_dist=5.0)
    parameters = np.random.default_rng(1).normal(scale=0.01, size=potential.parameter_count)
    mtpcore.write_potential(tmp_path / "teacher.mtp", mtpcore.set_parameters(potential, parameters))
    settings = {"potentials": {"LiCl": tmp_path / "teacher.mtp"}}
    backend = open_backend(LabelsConfig.model_validate({"backend": "mtp", "mtp": settings}))
    atoms = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    assert label_one(atoms, backend, Store(tmp_path), GatesConfig()).status == "ok"
    atoms.positions[0, 0] += 0.5
    outcome = label_one(atoms, backend, Store(tmp_path), GatesConfig())
    assert outcome.status == "failed"
    assert "closer than min_dist 2.300" in outcome.message
    atoms.numbers[:] = 11
    assert label_one(atoms, backend, Store(tmp_path), GatesConfig()).status == "failed"
