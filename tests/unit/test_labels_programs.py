"""Programs that label: how they are started, what they say, and what is believed.

Small shell scripts stand for the programs. What they print is cut from real runs (CP2K 2023.1, pw.x 6.7) or, for CP2K
2025, written by hand after published outputs.
"""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr, GPa, Hartree

from argyro.common.errors import LabelError, MissingDependencyError
from argyro.config.labels import GatesConfig, LabelsConfig
from argyro.labels.backends import open_backend
from argyro.labels.backends.base import Backend, NotConvergedError
from argyro.labels.backends.cp2k import data_files, input_text, parse_output
from argyro.labels.label import label_one
from argyro.labels.store import Store

ATOMS = Atoms("LiCl", positions=[[0, 0, 0], [2.4, 0, 0]], cell=[5, 5, 5], pbc=True)
CONVERGED = "  *** SCF run converged in    32 steps ***\n"
CP2K_2023 = (
    CONVERGED
    + """
 ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]:              -90.273947193612599

 ATOMIC FORCES in [a.u.]

 # Atom   Kind   Element          X              Y              Z
      1      1      Li         -0.01200000    -0.00080000    -0.00250000
      2      2      Cl          0.01200000     0.00080000     0.00250000
 SUM OF ATOMIC FORCES          -0.00000000     0.00000000     0.00000000     0.00000000

 STRESS| Analytical stress tensor [GPa]
 STRESS|                        x                   y                   z
 STRESS|      x        1.77153119500E+00  -1.10309264000E-01   1.08964350000E-01
 STRESS|      y       -1.10309264000E-01   1.46010773900E+00   9.17807020000E-02
 STRESS|      z        1.08964350000E-01   9.17807020000E-02   1.30911398300E+00
 STRESS| 1/3 Trace                                                  1.51358430567E+00
"""
)
CP2K_2025 = (
    CONVERGED
    + """
 ENERGY| Total FORCE_EVAL ( QS ) energy [hartree]            -90.273947193612599

 FORCES| Atomic forces [hartree/bohr]
 FORCES|   Atom     x               y               z               |f|
 FORCES|      1 -1.20000000E-02 -8.00000000E-04 -2.50000000E-03   1.22837698E-02
 FORCES|      2  1.20000000E-02  8.00000000E-04  2.50000000E-03   1.22837698E-02
 FORCES| Sum     0.00000000E+00  0.00000000E+00  0.00000000E+00

 STRESS| Analytical stress tensor [bar]
 STRESS|                        x                   y                   z
 STRESS|      x        1.77153119500E+04  -1.10309264000E+03   1.08964350000E+03
 STRESS|      y       -1.10309264000E+03   1.46010773900E+04   9.17807020000E+02
 STRESS|      z        1.08964350000E+03   9.17807020000E+02   1.30911398300E+04
 STRESS| 1/3 Trace                                                  1.51358430567E+04
"""
)


def program(folder: Path, name: str, text: str, status: int = 0, more: str = "") -> list[str]:
    """A command that prints a text and ends with a status."""
    (folder / f"{name}.txt").write_text(text)
    script = folder / name
    script.write_text(f"#!/bin/sh\n{more}\ncat '{folder}/{name}.txt'\nexit {status}\n")
    script.chmod(0o755)
    return [str(script)]


def espresso(folder: Path, text: str, status: int, more: str = "") -> Backend:
    (folder / "upf").mkdir()
    for element in ("Li", "Cl"):
        (folder / f"upf/{element}.upf").write_text(element)
    settings = {"command": program(folder, "pw.x", text, status, more), "pseudopotentials": folder / "upf"}
    return open_backend(LabelsConfig.model_validate({"backend": "espresso", "espresso": settings}))


def cp2k(folder: Path, text: str, status: int, monkeypatch: pytest.MonkeyPatch) -> Backend:
    for name in ("GTH_POTENTIALS", "BASIS_MOLOPT"):
        (folder / name).write_text(name)
    monkeypatch.setenv("CP2K_DATA_DIR", str(folder))
    version = 'test "$1" = --version && echo " CP2K version 2025.1" && exit 0'
    settings = {"command": program(folder, "cp2k", text, status, version)}
    return open_backend(LabelsConfig.model_validate({"backend": "cp2k", "cp2k": settings}))


def test_espresso_that_ends_without_convergence_climbs_the_ladder(tmp_path: Path) -> None:
    """pw.x then prints this and ends with status 2, like after an error."""
    text = "     convergence NOT achieved after 100 iterations: stopping\n   JOB DONE.\n"
    outcome = label_one(ATOMS, espresso(tmp_path, text, 2), Store(tmp_path / "store"), GatesConfig())
    assert (outcome.status, outcome.rung) == ("unconverged", 2)
    assert "convergence NOT achieved" in outcome.message


def test_espresso_without_proof_of_convergence_is_not_believed(tmp_path: Path) -> None:
    with pytest.raises(NotConvergedError, match="no proof"):
        espresso(tmp_path, "!    total energy              =   -15.79 Ry\n   JOB DONE.\n", 0).calculate(ATOMS, 0)


def test_reason_of_an_espresso_failure_is_told(tmp_path: Path) -> None:
    """Its output is lost when it aborts its MPI; the reason is in the file CRASH."""
    crash = "echo '     pseudo file is empty or wrong' > CRASH"
    with pytest.raises(LabelError, match=r"exit status 1:\n.*pseudo file is empty or wrong"):
        espresso(tmp_path, "", 1, crash).calculate(ATOMS, 0)


def test_version_query_leaves_no_files_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    espresso(tmp_path, "     Program PWSCF v.6.7MaX starts on\n", 0, "touch CRASH input_tmp.in")
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("text", [CP2K_2023, CP2K_2025])
def test_cp2k_output_is_read_in_our_units_and_signs(text: str) -> None:
    found = parse_output(text, 2)
    assert found.energy == pytest.approx(-90.273947193612599 * Hartree, abs=1e-9)
    assert found.scf_steps == 32
    expected = np.array([[-0.012, -0.0008, -0.0025], [0.012, 0.0008, 0.0025]]) * Hartree / Bohr
    assert np.allclose(found.forces, expected, rtol=1e-12)
    expected = -np.array([1.771531195, 1.460107739, 1.309113983, 0.091780702, 0.10896435, -0.110309264])
    assert np.allclose(found.stress / GPa, expected, rtol=1e-9)


@pytest.mark.parametrize("lost", ["ENERGY| Total FORCE_EVAL", "      2 ", "STRESS|      z"])
def test_incomplete_cp2k_output_is_refused(lost: str) -> None:
    for text in (CP2K_2023, CP2K_2025):
        lines = [line for line in text.splitlines() if lost not in line]
        with pytest.raises(LabelError, match="lacks energy, forces or stress"):
            parse_output("\n".join(lines), 2)


@pytest.mark.parametrize("status", [0, 1])
def test_cp2k_that_does_not_converge_climbs_the_ladder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Older versions go on and end with status 0, newer ones abort."""
    text = " *** WARNING in qs_scf.F:598 :: SCF run NOT converged ***\n" + CP2K_2023.removeprefix(CONVERGED)
    backend = cp2k(tmp_path, text, status, monkeypatch)
    outcome = label_one(ATOMS, backend, Store(tmp_path / "store"), GatesConfig())
    assert (outcome.status, outcome.rung) == ("unconverged", 2)


def test_other_pseudopotentials_of_cp2k_make_other_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = cp2k(tmp_path, CP2K_2023, 0, monkeypatch).pseudopotentials
    (tmp_path / "GTH_POTENTIALS").write_text("a correction")
    monkeypatch.setattr("argyro.labels.backends.cp2k.require_program", lambda *_: None)
    settings = {"backend": "cp2k", "cp2k": {"command": [str(tmp_path / "cp2k")]}}
    assert open_backend(LabelsConfig.model_validate(settings)).pseudopotentials != one


def test_data_of_cp2k_are_where_it_was_built_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CP2K_DATA_DIR", raising=False)
    text = f' CP2K version 2023.1\n   -D__LIBXC -D __DATA_\n   DIR="{tmp_path}" -D __SHORT_F\n   ILE__="cp2k.F"\n'
    with pytest.raises(MissingDependencyError, match="set CP2K_DATA_DIR"):
        data_files(text)
    for name in ("GTH_POTENTIALS", "BASIS_MOLOPT"):
        (tmp_path / name).touch()
    assert [file.parent for file in data_files(text)] == [tmp_path] * 2


def test_rungs_of_cp2k_change_the_solver_only() -> None:
    settings = {"cutoff_eV": 5500.0, "relative_cutoff_eV": 820.0, "scf_tolerance": 1e-6}
    texts = [input_text(ATOMS, settings, rung).splitlines() for rung in range(3)]
    for text in texts[1:]:
        changed = {line.split()[0] for line in set(texts[0]) ^ set(text)}
        assert changed <= {"MINIMIZER", "PRECONDITIONER", "ENERGY_GAP"}
