"""Whether learned potentials hold: python benchmarks/hold.py CAMPAIGN (see --help).

CAMPAIGN is the folder of a campaign whose learning has ended, such as results/xtb. By the final potential of every
chemical system, each of its structures is run at zero pressure and the temperature it has to stand; a run that meets a
grade above the limit of the stage `dynamics`, or flies apart, does not hold.

Writes benchmarks/results/hold_CAMPAIGN.md, with what learning took.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from ase import Atoms

from argyro.common.extxyz import read_structure
from argyro.common.randomness import seed_for
from argyro.config.composition import parse_formula
from argyro.learning.stopwatch import stopwatch
from argyro.md.lammps import PotentialFile
from argyro.md.run import run_md
from argyro.md.settings import Coupling, Ensemble, Grading, RunSettings, Stream

ROOT = Path(__file__).resolve().parents[1]
BULK_K, BOUNDARY_K = 1000.0, 700.0
STEPS_PER_PS = 500
LIMIT = Grading(every=10, select=None, stop=20.0)
ALL = Stream("all", 500)


def at_zero_pressure(name: str) -> Ensemble:
    """What a structure has to hold under."""
    bulk = "-bulk-" in name
    coupling: Coupling = "isotropic" if bulk else "normal"
    return Ensemble("npt", BULK_K if bulk else BOUNDARY_K, coupling=coupling)


def held_lines(
    structures: Mapping[str, Atoms], potential: PotentialFile, picoseconds: float, scratch: Path
) -> list[str]:
    """A table of how long structures held, a row each."""
    lines = [
        "| structure | atoms | K | held, ps | largest grade | why not longer | core seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, atoms in structures.items():
        ensemble = at_zero_pressure(name)
        asked = RunSettings(ensemble, steps=round(picoseconds * STEPS_PER_PS), streams=(ALL,), grading=LIMIT)
        shutil.rmtree(scratch, ignore_errors=True)
        with stopwatch() as watch:
            held = run_md(atoms, potential, asked, scratch, seed=seed_for(2, name))
        cells = [name, len(atoms), f"{ensemble.temperature:g}", f"{held.time:.1f}", f"{held.largest_grade:.1f}"]
        lines.append(f"| {' | '.join(map(str, [*cells, held.reason, round(watch.core_s)]))} |")
    return lines


def effort_lines(campaign: Path, potential: Path) -> list[str]:
    """Labels and time of one potential."""
    ledger = pd.read_parquet(potential.with_name("ledger.parquet"))
    seconds = ledger[["explore_core_s", "select_core_s", "fit_core_s"]].sum().sum()
    wall = potential.stat().st_mtime - min(path.stat().st_mtime for path in campaign.rglob("*") if path.is_file())
    training = int(ledger["training_structures"].iloc[-1])
    effort = (
        f"Levels {', '.join(map(str, sorted(set(ledger['level']))))} in {len(ledger)} rounds, "
        f"{training} structures fitted to, {int(ledger['labels_accepted'].sum())} of them chosen by active learning. "
        f"Labels of rounds took {ledger['label_s'].sum():.0f} s, exploring, selecting and fitting {seconds:.0f} core "
        f"seconds; {wall / 60:.1f} min passed between the first file of the campaign and the potential."
    )
    return [effort, "", f"How the levels ended: {'; '.join(ledger.groupby('level')['reason'].last())}."]


def main(words: Sequence[str]) -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Whether learned potentials hold.")
    parser.add_argument("campaign", type=Path)
    parser.add_argument("--hold-ps", type=float, default=100.0)
    options = parser.parse_args(words)
    lines = ["# Whether learned potentials hold", "", f"Command: `python benchmarks/hold.py {' '.join(words)}`", ""]
    with tempfile.TemporaryDirectory() as scratch:
        for path in sorted(options.campaign.glob("learning/*/r*/potential.almtp")):
            system = path.parts[-3]
            species = tuple(parse_formula(system))
            files = sorted((options.campaign / "structures").glob(f"Li6PS5{species[-1]}*-[ac]0.extxyz"))
            structures = {file.stem: read_structure(file) for file in files}
            lines += [f"## {system}, repeat {path.parts[-2][1:]}", "", *effort_lines(options.campaign, path), ""]
            lines += [*held_lines(structures, PotentialFile(path, species), options.hold_ps, Path(scratch) / "run"), ""]
    print("\n".join(lines))
    (ROOT / f"benchmarks/results/hold_{options.campaign.name}.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
