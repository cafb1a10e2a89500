"""VASP's inputs and the parser of vasprun.xml.

There is no VASP here: the output files below are written by hand after VASP's documentation (vasprun.xml; e_fr_energy
and e_0_energy; stress in kbar with the sign of a pressure; OUTCAR's "aborting loop"). They show that we read what is
documented, no more.
"""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from ase.units import GPa

from argyro.common.errors import LabelError, MissingDependencyError
from argyro.config.labels import LabelsConfig
from argyro.labels.backends import open_backend
from argyro.labels.backends.base import Backend, NotConvergedError
from argyro.labels.backends.vasp import parse_vasprun, require_convergence

HAND_WRITTEN = """<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <generator><i name="program" type="string">vasp </i><i name="version" type="string">6.4.2 </i></generator>
 <calculation>
{steps}
  <varray name="forces" ><v>       0.10000000      0.00000000     -0.20000000 </v><v>      -0.10000000      0.00000000
      0.20000000 </v></varray>
  <varray name="stress" ><v>      10.0       1.0       0.0 </v><v>       1.0      20.0       0.0 </v><v>  0.0  0.0
     -30.0 </v></varray>
  <energy>
   <i name="e_fr_energy">    -12.50000000 </i>
   <i name="e_wo_entrp">    -12.48000000 </i>
   <i name="e_0_energy">    -99.99000000 </i>
  </energy>
 </calculation>
</modeling>
"""
# The last step has the right energy at no smearing, which the final energies of some versions have not
STEP = """  <scstep><energy>
   <i name="e_fr_energy">    -12.00000000 </i>
   <i name="e_wo_entrp">     -11.98000000 </i>
   <i name="e_0_energy">     -11.99000000 </i>
  </energy></scstep>"""
REACHED = "------------------------ aborting loop because EDIFF is reached ----------------------------------------"
NOT_REACHED = "------------------------ aborting loop EDIFF was not reached (unconverged) ----------------------------"


def vasprun(folder: Path, steps: int = 12) -> Path:
    path = folder / "vasprun.xml"
    path.write_text(HAND_WRITTEN.format(steps="\n".join([STEP] * steps)))
    return path


def test_documented_output_is_read_in_our_units_and_signs(tmp_path: Path) -> None:
    found = parse_vasprun(vasprun(tmp_path), "6.4")
    assert (found.energy, found.scf_steps) == (-12.5, 12)
    assert found.energy_zero_smearing == pytest.approx(-12.49)
    assert found.forces.tolist() == [[0.1, 0.0, -0.2], [-0.1, 0.0, 0.2]]
    assert found.stress / GPa == pytest.approx([-1.0, -2.0, 3.0, 0.0, 0.0, -0.1])


@pytest.mark.parametrize("ending", [NOT_REACHED, "", "aborting loop because hard stop was set"])
def test_run_without_proof_of_convergence_is_not_converged(tmp_path: Path, ending: str) -> None:
    (tmp_path / "OUTCAR").write_text(f" Iteration      1(  60)\n{ending}\n General timing\n")
    with pytest.raises(NotConvergedError, match="no proof"):
        require_convergence(tmp_path / "OUTCAR")


def test_run_that_says_it_converged_has_converged(tmp_path: Path) -> None:
    (tmp_path / "OUTCAR").write_text(f" Iteration      1(  60)\n{REACHED}\n General timing\n")
    require_convergence(tmp_path / "OUTCAR")


def test_run_without_outcar_failed(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no OUTCAR"):
        require_convergence(tmp_path / "OUTCAR")


def test_other_version_than_configured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"VASP 6\.4\.2, not labels\.vasp\.version 5\.4"):
        parse_vasprun(vasprun(tmp_path), "5.4")


@pytest.mark.parametrize("length", [0, 100, 900])
def test_truncated_output_is_refused(tmp_path: Path, length: int) -> None:
    path = vasprun(tmp_path)
    path.write_text(path.read_text()[:length])
    with pytest.raises(LabelError, match="not complete"):
        parse_vasprun(path, "6.4")


def test_missing_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="not complete"):
        parse_vasprun(tmp_path / "vasprun.xml", "6.4")


FAKE_VASP = """#!/bin/sh
# Stands for VASP: keeps its inputs and leaves the hand-written output, forces in the order of its atoms.
mkdir -p "$INPUTS" && cp INCAR KPOINTS POSCAR POTCAR "$INPUTS" && cp "$OUTPUT" vasprun.xml && echo "$ENDING" > OUTCAR
"""


def fake_vasp(folder: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> Backend:
    """The backend with the program above."""
    program = folder / "fake_vasp"
    program.write_text(FAKE_VASP)
    program.chmod(0o755)
    for dataset, text in (("Li_sv", "PAW_PBE Li_sv\n"), ("Cl", "PAW_PBE Cl\n"), ("Li", "PAW_PBE Li\n")):
        (folder / "paw" / dataset).mkdir(parents=True)
        (folder / "paw" / dataset / "POTCAR").write_text(text)
    monkeypatch.setenv("INPUTS", str(folder / "inputs"))
    monkeypatch.setenv("OUTPUT", str(vasprun(folder)))
    monkeypatch.setenv("ENDING", ending)
    settings = {
        "command": [str(program)],
        "version": "6.4.2",
        "potentials": str(folder / "paw"),
        "datasets": {"Li": "Li_sv"},
    }
    return open_backend(LabelsConfig.model_validate({"backend": "vasp", "protocol": "paper", "vasp": settings}))


def test_run_that_ends_without_convergence_gives_no_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """VASP ends with status 0 then, and its vasprun.xml looks as usual."""
    backend = fake_vasp(tmp_path, monkeypatch, NOT_REACHED)
    with pytest.raises(NotConvergedError):
        backend.calculate(Atoms("ClLi", positions=[[0, 0, 0], [2, 0, 0]], cell=[4, 5, 6], pbc=True), 0)


def test_inputs_are_those_of_the_protocol_and_forces_go_back_to_their_atoms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = fake_vasp(tmp_path, monkeypatch, REACHED)
    atoms = Atoms("ClLi", positions=[[0, 0, 0], [2, 0, 0]], cell=[4, 5, 6], pbc=True)
    found = backend.calculate(atoms, 0)
    assert found.forces[1].tolist() == [0.1, 0.0, -0.2]  # VASP's first atom is lithium, ours is chlorine
    incar = dict(line.split(" = ") for line in (tmp_path / "inputs/INCAR").read_text().splitlines())
    assert {key: incar[key] for key in ("ENCUT", "NSW", "ISPIN", "ISYM", "ISIF", "GGA")} == {
        "ENCUT": "500.0",
        "NSW": "0",
        "ISPIN": "1",
        "ISYM": "0",
        "ISIF": "2",
        "GGA": "PE",
    }
    assert (tmp_path / "inputs/POTCAR").read_text() == "PAW_PBE Li_sv\nPAW_PBE Cl\n"
    written = read(tmp_path / "inputs/POSCAR", format="vasp")
    assert isinstance(written, Atoms)
    assert written.get_chemical_symbols() == ["Li", "Cl"]
    assert np.allclose(written.positions, atoms.positions[::-1], atol=1e-12)
    assert set(backend.pseudopotentials) == {"Li", "Cl"}
    assert "PAW_PBE" not in str(backend.settings)


def test_missing_dataset_is_named(tmp_path: Path) -> None:
    settings = {"backend": "vasp", "vasp": {"command": ["true"], "potentials": str(tmp_path), "version": "6"}}
    backend = open_backend(LabelsConfig.model_validate(settings))
    with pytest.raises(LabelError, match="Li/POTCAR"):
        backend.calculate(Atoms("Li", cell=[3, 3, 3], pbc=True), 0)


def test_missing_version_is_asked_for(tmp_path: Path) -> None:
    settings = {"backend": "vasp", "vasp": {"command": ["true"], "potentials": str(tmp_path)}}
    with pytest.raises(ValueError, match=r"needs vasp\.version, such as 6\.4\.3"):
        LabelsConfig.model_validate(settings)


def test_missing_program_is_named(tmp_path: Path) -> None:
    settings = {"backend": "vasp", "vasp": {"command": ["no-such-vasp"], "potentials": str(tmp_path), "version": "6"}}
    with pytest.raises(MissingDependencyError, match=r"no program 'no-such-vasp' on PATH; .* labels.vasp.command"):
        open_backend(LabelsConfig.model_validate(settings))
