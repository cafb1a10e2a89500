"""Claims about ``python -m mtpcore fit``."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_fit import labelled, trained

import mtpcore
from mtpcore.cfg import write_cfg
from mtpcore.cli import run_command

OPTIONS = ["--species-count", "2", "--level", "4", "--max-dist", "4.0", "--radial-basis-size", "5", "--hops", "2"]
OPTIONS += ["--max-iterations", "9", "--tolerance", "0", "--segment-iterations", "4", "--threads", "1"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "train.cfg"
    write_cfg(path, labelled(trained(), 6, noise=0.1))
    return path


def command(data: Path, name: str, *more: str) -> list[str]:
    folder = data.parent
    fixed = [str(data), "--output", str(folder / f"{name}.mtp"), "--checkpoint", str(folder / f"{name}.npz")]
    return [*fixed, *OPTIONS, *more]


def run(arguments: list[str]) -> int:
    line = [sys.executable, "-m", "mtpcore", "fit", *arguments]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(line, check=False, capture_output=True, env=environment, timeout=120).returncode


def test_segments_in_fresh_processes_end_bit_identical_after_a_kill(data: Path) -> None:
    assert run(command(data, "whole", "--history", str(data.parent / "history.csv"))) == 0
    segments = 0
    while (code := run(command(data, "killed", "--one-segment"))) == 75:
        segments += 1
        if segments == 1:
            before = (data.parent / "killed.npz").read_bytes()
        elif segments == 2:  # as if the second segment had died before its checkpoint was written
            (data.parent / "killed.npz").write_bytes(before)
    assert code == 0
    assert segments >= 3
    assert (data.parent / "whole.mtp").read_bytes() == (data.parent / "killed.mtp").read_bytes()
    with (data.parent / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["loss"]) <= float(rows[0]["loss"])


def test_a_warm_start_reads_its_potential(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start, output = data.parent / "start.mtp", data.parent / "end.mtp"
    mtpcore.write_potential(start, trained())
    arguments = [str(data), "--output", str(output), "--start", str(start), "--max-iterations", "2", "--threads", "1"]
    assert run_command("fit", arguments) == 0
    assert "budget" in capsys.readouterr().out
    assert mtpcore.read_potential(output).trained


def test_a_missing_file_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(tmp_path / "none.cfg"), "--output", str(tmp_path / "x.mtp"), "--level", "4", "--species", "Li"]
    assert run_command("fit", arguments) == 1
    assert "none.cfg" in capsys.readouterr().err
    assert not (tmp_path / "x.mtp").exists()
