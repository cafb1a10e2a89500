"""Learned potentials against their teachers: python benchmarks/student.py CAMPAIGN (see --help).

CAMPAIGN is the folder of a campaign whose labels are by the shipped teachers, such as results/quickstart. For every
chemical system and the last potential of each level: force errors in frames of the teacher's own runs, which no level
was fitted to; and, for the final potential, whether runs hold for 100 ps with no grade above the limit of the stage
`dynamics`, and lithium's diffusion coefficient at 700 K beside the teacher's, in the same cell.

Writes benchmarks/results/student_CAMPAIGN.md. Whether lithium diffuses as the teacher's does is asked of a ladder that
ends at the teachers' own level, benchmarks/student.yaml: a potential of level 10 is too simple for that.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms

from argyro.common.extxyz import read_structure
from argyro.common.randomness import seed_for
from argyro.config.composition import parse_formula
from argyro.learning.potential_file import read_potential_file
from argyro.learning.stopwatch import stopwatch
from argyro.learning.training import errors_on
from argyro.md.lammps import PotentialFile
from argyro.md.run import RunResult, run_md
from argyro.md.settings import Coupling, Ensemble, Grading, RunSettings, Stream
from argyro.transport.diffusivity import tracer_diffusivity
from argyro.transport.displacements import ion_displacements
from mtpcore.ase import MTP

ROOT = Path(__file__).resolve().parents[1]
TEACHERS = ROOT / "config/reference/teacher"
BULK_K, BOUNDARY_K, DIFFUSION_K = 1000.0, 700.0, 700.0
STEPS_PER_PS = 500
LIMIT = Grading(every=10, select=None, stop=20.0)
ALL, MOBILE = Stream("all", 500), Stream("mobile", 100, ("Li",))
EQUILIBRATION_PS, FRAMES_PS = 10, 20


@dataclass(frozen=True)
class System:
    """A chemical system of a campaign."""

    name: str
    campaign: Path

    @property
    def anion(self) -> str:
        """Its halide."""
        return self.name.removeprefix("LiPS")

    @property
    def species(self) -> tuple[str, ...]:
        """In the order of both potentials."""
        return tuple(parse_formula(self.name))

    @property
    def teacher(self) -> PotentialFile:
        """What labelled."""
        return PotentialFile(TEACHERS / f"{self.anion}.mtp", self.species)

    @property
    def student(self) -> PotentialFile:
        """What was learned."""
        return PotentialFile(self.campaign / f"learning/{self.name}/r0/potential.almtp", self.species)

    def levels(self) -> dict[int, Path]:
        """The last potential of each level."""
        ledger = pd.read_parquet(self.campaign / f"learning/{self.name}/r0/ledger.parquet")
        last = ledger.groupby("level")["round"].max()
        return {
            int(level): self.campaign / f"learning/{self.name}/r0/l{level}/{number}/potential.almtp"
            for level, number in last.items()
        }

    def structures(self) -> dict[str, Atoms]:
        """Target structures."""
        files = sorted((self.campaign / "structures").glob(f"Li6PS5{self.anion}*-c0.extxyz"))
        files += sorted((self.campaign / "structures").glob(f"Li6PS5{self.anion}*-a0.extxyz"))
        return {file.stem: read_structure(file) for file in files}


class Runs:
    """Runs of one system, in a scratch folder."""

    def __init__(self, system: System, folder: Path) -> None:
        self.system, self.folder = system, folder

    def run(  # noqa: PLR0917
        self,
        atoms: Atoms,
        potential: PotentialFile,
        ensemble: Ensemble,
        picoseconds: float,
        stream: Stream,
        seed: int,
        grading: Grading | None = None,
    ) -> RunResult:
        """A run in a folder that replaces the last one's."""
        shutil.rmtree(self.folder, ignore_errors=True)
        asked = RunSettings(ensemble, steps=round(picoseconds * STEPS_PER_PS), streams=(stream,), grading=grading)
        return run_md(atoms, potential, asked, self.folder, seed=seed)

    def frames(self, name: str, atoms: Atoms) -> list[Atoms]:
        """Frames of the teacher's run at the temperature at which the structure has to hold, with its labels."""
        result = self.run(atoms, self.system.teacher, at_zero_pressure(name), FRAMES_PS, ALL, seed_for(1, name))
        trajectory = result.trajectory(ALL.name)
        teacher = MTP(self.system.teacher.path, species=self.system.species)
        frames = []
        for positions, cell in zip(trajectory.positions()[1:], trajectory.cells[1:], strict=True):
            frame = Atoms(atoms.numbers, positions, cell=cell, pbc=True)
            frame.calc = teacher
            frame.info["REF_energy"] = frame.get_potential_energy()
            frame.arrays["REF_forces"] = frame.get_forces()
            frame.calc = None
            frames.append(frame)
        return frames

    def diffusivity(self, atoms: Atoms, potential: PotentialFile, picoseconds: float, seed: int) -> tuple[float, float]:
        """Of lithium, cm^2/s, and its standard error; both NaN where it was not resolved."""
        ensemble = Ensemble("nvt", DIFFUSION_K)
        result = self.run(atoms, potential, ensemble, EQUILIBRATION_PS + picoseconds, MOBILE, seed)
        found = tracer_diffusivity([ion_displacements(result.trajectory(MOBILE.name), ["Li"])])
        return getattr(found, "D_cm2_per_s", np.nan), getattr(found, "error_cm2_per_s", np.nan)

    def at_the_teachers_volume(self, atoms: Atoms) -> Atoms:
        """A structure with the mean cell of the teacher's run at zero pressure and 700 K."""
        ensemble = Ensemble("npt", DIFFUSION_K)
        table = self.run(atoms, self.system.teacher, ensemble, FRAMES_PS, ALL, seed_for(1, "volume")).thermo()
        volume = table["volume_angstrom3"].iloc[len(table) // 2 :].mean()
        scaled: Atoms = atoms.copy()
        scaled.set_cell(atoms.cell.array * np.cbrt(volume / atoms.get_volume()), scale_atoms=True)
        return scaled


def at_zero_pressure(name: str) -> Ensemble:
    """What a structure has to hold under."""
    bulk = "-bulk-" in name
    coupling: Coupling = "isotropic" if bulk else "normal"
    return Ensemble("npt", BULK_K if bulk else BOUNDARY_K, coupling=coupling)


def report(system: System, options: argparse.Namespace, folder: Path) -> list[str]:
    """Lines of one chemical system."""
    runs, structures = Runs(system, folder / "run"), system.structures()
    frames = {name: runs.frames(name, atoms) for name, atoms in structures.items()}
    lines = [f"## {system.name}", "", "Force errors, eV/angstrom:", "", "| level | " + " | ".join(frames) + " |"]
    lines.append("|---" * (1 + len(frames)) + "|")
    for level, path in system.levels().items():
        potential = read_potential_file(path)
        errors = [errors_on(potential, own, system.species).force_eV_per_angstrom or np.nan for own in frames.values()]
        lines.append(f"| {level} | " + " | ".join(f"{error:.3f}" for error in errors) + " |")
    lines += [
        "",
        "| structure | K | held, ps | largest grade | why not longer | core seconds |",
        "|---|---|---|---|---|---|",
    ]
    for name, atoms in structures.items():
        ensemble = at_zero_pressure(name)
        with stopwatch() as watch:
            held = runs.run(atoms, system.student, ensemble, options.hold_ps, ALL, seed_for(2, name), LIMIT)
        cells = [name, f"{ensemble.temperature:g}", f"{held.time:.1f}", f"{held.largest_grade:.1f}", held.reason]
        lines.append(f"| {' | '.join(cells)} | {watch.core_s:.0f} |")
    if options.diffusion_ps > 0:
        lines += ["", *diffusion(system, runs, structures, options.diffusion_ps)]
    return [*lines, ""]


def diffusion(system: System, runs: Runs, structures: dict[str, Atoms], picoseconds: float) -> list[str]:
    """Lithium's diffusion coefficients in the disordered bulk by both potentials."""
    name = next(name for name in structures if "-50-bulk-" in name)
    atoms = runs.at_the_teachers_volume(structures[name])
    both = (system.teacher, system.student)
    (D, error), (own, own_error) = (
        runs.diffusivity(atoms, potential, picoseconds, seed_for(3, str(place))) for place, potential in enumerate(both)
    )
    apart = abs(D - own) / np.hypot(error, own_error)
    values = f"teacher {1e6 * D:.2f} +- {1e6 * error:.2f}, student {1e6 * own:.2f} +- {1e6 * own_error:.2f}"
    return [
        f"Lithium in {name} at {DIFFUSION_K:g} K, 1e-6 cm^2/s: {values}, {apart:.1f} combined standard errors apart."
    ]


def main(words: Sequence[str]) -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Learned potentials against their teachers.")
    parser.add_argument("campaign", type=Path)
    parser.add_argument("--systems", nargs="+", default=["LiPSCl", "LiPSBr", "LiPSI"])
    parser.add_argument("--hold-ps", type=float, default=100.0)
    parser.add_argument("--diffusion-ps", type=float, default=200.0, help="0: not at all")
    options = parser.parse_args(words)
    lines = [
        "# Learned potentials against their teachers",
        "",
        f"Command: `python benchmarks/student.py {' '.join(words)}`",
        "",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.systems:
            lines += report(System(name, options.campaign), options, Path(scratch))
            print("\n".join(lines), flush=True)
    (ROOT / f"benchmarks/results/student_{options.campaign.name}.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
