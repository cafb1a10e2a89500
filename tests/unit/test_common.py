"""Files that are whole or not there, seeds, jobs and how ranks are started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from argyro.campaign import doctor
from argyro.common import mpi
from argyro.common.errors import FileError, StructureError
from argyro.common.files import read_json, replacing, sha256_of_file, sha256_of_json, write_json, write_text
from argyro.common.jobs import job
from argyro.common.randomness import generator_for, seed_for


def test_file_appears_in_one_step_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "b" / "c.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.suffix == ".txt"
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_reader_of_the_old_file_never_sees_a_mixture(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with path.open() as reader:
        write_text(path, "new and longer")
        assert reader.read() == "old"
    assert path.read_text() == "new and longer"


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_the_same_for_every_order_and_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [1.5, None]})
    assert read_json(tmp_path / "a.json") == {"a": [1.5, None], "b": 1}
    assert sha256_of_json({"b": 1, "a": 2}) == sha256_of_json({"a": 2, "b": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", {"a": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('{"a": ')
    with pytest.raises(FileError, match=r"half\.json is not JSON .* delete it"):
        read_json(tmp_path / "half.json")
    with pytest.raises(FileError, match=r"none\.json cannot be read: No such file"):
        read_json(tmp_path / "none.json")
    with pytest.raises(FileError, match="none cannot be read"):
        sha256_of_file(tmp_path / "none")


def test_sha256_is_that_of_the_standard(tmp_path: Path) -> None:
    """NIST's example of FIPS 180-4, one block."""
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_seeds_are_reproducible_and_unrelated() -> None:
    seeds = [seed_for(1, "md", "a", k) for k in range(1000)]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seeds[3] == seed_for(1, "md", "a", 3)
    assert seed_for(1, "a", "bc") != seed_for(1, "ab", "c")
    assert seed_for(1, "a") != seed_for(2, "a")
    assert generator_for(1, "a").random() == generator_for(1, "a").random()


def test_wrong_input_ends_a_job_with_a_message_and_no_traceback(tmp_path: Path) -> None:
    log = tmp_path / "logs/a.log"
    with pytest.raises(SystemExit) as caught, job(log):
        raise StructureError("the cell is too small")
    assert caught.value.code == 1
    assert "ERROR the cell is too small" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_bug_in_a_job_leaves_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), job(tmp_path / "a.log"):
        _ = 1 / 0
    assert "ZeroDivisionError" in (tmp_path / "a.log").read_text()


def test_ranks_form_one_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARGYRO_MPIEXEC", raising=False)
    program = [sys.executable, "-P", "-c", "from mpi4py import MPI; print(MPI.COMM_WORLD.size)"]
    done = subprocess.run(mpi.command(program, 2), capture_output=True, text=True, check=True, env=os.environ)
    assert "".join(done.stdout.split()) == "22"  # two ranks may write into one line


def test_launcher_of_the_site_replaces_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGYRO_MPIEXEC", "srun --mpi=pmi2")
    assert mpi.command(["lmp"], 4) == ["srun", "--mpi=pmi2", "-n", "4", "lmp"]
    with pytest.raises(ValueError, match="at least 1 rank"):
        mpi.command(["lmp"], 0)


def test_doctor_says_what_a_missing_piece_is_for_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    (check,) = (check for check in doctor.CHECKS if check.topic == "Quantum ESPRESSO")
    finding = doctor.carry_out(check)
    assert finding.state == "missing"
    assert "Needed for labels.backend: espresso" in finding.text
    assert "sudo apt-get install quantum-espresso" in finding.text


def test_doctor_tells_broken_from_missing() -> None:
    def wrong_answer() -> str:
        raise doctor.UnfitError("gives 1 where 2 is right")

    finding = doctor.carry_out(doctor.Check("thing", wrong_answer, "everything", "mend it", required=True))
    assert (finding.state, finding.required) == ("broken", True)
    assert "gives 1 where 2 is right. Needed for everything. To get it: mend it" in finding.text
