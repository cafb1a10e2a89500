"""Learned potentials against their teachers: python benchmarks/student.py CAMPAIGN (see --help).

CAMPAIGN is the folder of a campaign whose labels are by the shipped teachers, such as results/quickstart. For every
chemical system and the last potential of each level: force errors in frames of the teacher's own runs, which no level
was fitted to; and, for the final potential, whether runs hold for 100 ps with no grade above the limit of the stage
`dynamics`, and lithium's diffusion coefficient in bulk at 700 K beside the teacher's, in the same cell.

Writes benchmarks/results/student_CAMPAIGN.md, with the names of systems appended where they are asked for. Whether
lithium diffuses as the teacher's does is asked of a ladder that ends above the level of its teachers, 12,
benchmarks/student.yaml: a potential of level 10 is too simple for that. All runs but those that show whether the
potential holds stay in CAMPAIGN/against_teacher, and are not made again.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from ase import Atoms
from hold import ALL, STEPS_PER_PS, at_zero_pressure, held_lines
from scipy import stats

from argyro.common.extxyz import read_structure
from argyro.common.randomness import seed_for
from argyro.config.composition import parse_formula
from argyro.learning.potential_file import read_potential_file
from argyro.learning.training import errors_on
from argyro.md.lammps import PotentialFile
from argyro.md.run import RunResult, run_md
from argyro.md.settings import Ensemble, RunSettings, Stream
from argyro.transport.diffusivity import Diffusivity, NotDiffusive, tracer_diffusivity
from argyro.transport.displacements import SquaredDisplacements, ion_displacements
from mtpcore.ase import MTP

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = ["LiPSCl", "LiPSBr", "LiPSI"]
DIFFUSION_K = 700.0
MOBILE = Stream("mobile", 100, ("Li",))
EQUILIBRATION_PS, FRAMES_PS = 10, 20
LAG_PS = 20.0  # at which mean squared displacements are compared: past the cage, and short enough to be known well
APART = 2.0  # combined standard errors that are too many
PRECISE = 0.1  # relative standard error of a diffusion coefficient that is known well enough


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
        settings = yaml.safe_load((self.campaign / "config.yaml").read_text())
        return PotentialFile(Path(settings["labels"]["mtp"]["potentials"][self.name]), self.species)

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


@dataclass(frozen=True)
class Lithium:
    """How lithium moves by one potential.

    Attributes:
        found: Its diffusivity, or why there is none.
        msd: Its mean squared displacement at `LAG_PS`, square angstrom, and the standard error by ions.
    """

    found: Diffusivity | NotDiffusive
    msd: tuple[float, float]

    @property
    def D(self) -> tuple[float, float]:  # noqa: N802  the field's own name
        """Diffusion coefficient and its standard error, cm^2/s; NaN where it was not resolved."""
        return getattr(self.found, "D_cm2_per_s", np.nan), getattr(self.found, "error_cm2_per_s", np.nan)

    @property
    def is_precise(self) -> bool:
        """Whether the diffusion coefficient is known well enough to be compared."""
        value, error = self.D
        return bool(error <= PRECISE * value)

    def __str__(self) -> str:
        """As the table has it, 1e-6 cm^2/s."""
        if isinstance(self.found, NotDiffusive):
            return f"below {1e6 * self.found.upper95_cm2_per_s:.2g} ({self.found.reason})"
        value, error = self.D
        return f"{1e6 * value:.2f} +- {1e6 * error:.2f} ({error / value:.1%})"


@dataclass(frozen=True)
class Comparison:
    """Lithium in one structure by teacher and student."""

    structure: str
    teacher: Lithium
    student: Lithium

    @property
    def is_resolved(self) -> bool:
        """Whether both diffusion coefficients are known well enough."""
        return self.teacher.is_precise and self.student.is_precise

    @property
    def apart(self) -> float:
        """Difference of the diffusion coefficients, student above teacher, in combined standard errors."""
        return difference(self.student.D, self.teacher.D)

    @property
    def log_ratio(self) -> tuple[float, float]:
        """Logarithm of the student's diffusion coefficient over the teacher's, and its standard error."""
        (D, error), (own, own_error) = self.teacher.D, self.student.D
        return float(np.log(own / D)), float(np.hypot(error / D, own_error / own))

    @property
    def verdict(self) -> str:
        """In words."""
        if not self.is_resolved:
            return "not resolved"
        return "agree" if abs(self.apart) < APART else "differ"

    def row(self) -> str:
        """Of the table."""
        msds = [f"{value:.1f} +- {error:.1f}" for value, error in (self.teacher.msd, self.student.msd)]
        apart = f"{self.apart:+.1f}" if np.isfinite(self.apart) else "-"
        msd_apart = f"{difference(self.student.msd, self.teacher.msd):+.1f}"
        cells = [self.structure, str(self.teacher), str(self.student), apart, self.verdict, *msds, msd_apart]
        return f"| {' | '.join(cells)} |"


def difference(value: tuple[float, float], other: tuple[float, float]) -> float:
    """Of two values with standard errors, in combined ones."""
    return float((value[0] - other[0]) / np.hypot(value[1], other[1]))


class Runs:
    """Runs of one system, which are kept and not repeated."""

    def __init__(self, system: System) -> None:
        self.system, self.kept = system, system.campaign / "against_teacher"

    def run(  # noqa: PLR0917
        self,
        atoms: Atoms,
        potential: PotentialFile,
        ensemble: Ensemble,
        picoseconds: float,
        stream: Stream,
        seed: int,
        kept_as: str,
    ) -> RunResult:
        """A run."""
        asked = RunSettings(ensemble, steps=round(picoseconds * STEPS_PER_PS), streams=(stream,))
        return run_md(atoms, potential, asked, self.kept / kept_as, seed=seed)

    def frames(self, name: str, atoms: Atoms) -> list[Atoms]:
        """Frames of the teacher's run at the temperature at which the structure has to hold, with its labels."""
        ensemble, seed = at_zero_pressure(name), seed_for(1, name)
        result = self.run(atoms, self.system.teacher, ensemble, FRAMES_PS, ALL, seed, kept_as=f"{name}/frames")
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

    def lithium(self, name: str, atoms: Atoms, role: str, picoseconds: float) -> Lithium:
        """How lithium moves in a structure by the potential that is the system's teacher or student."""
        potential: PotentialFile = getattr(self.system, role)
        length, seed, folder = EQUILIBRATION_PS + picoseconds, seed_for(3, name, role), f"{name}/{role}"
        result = self.run(atoms, potential, Ensemble("nvt", DIFFUSION_K), length, MOBILE, seed, kept_as=folder)
        moved = ion_displacements(result.trajectory(MOBILE.name), ["Li"])
        return Lithium(tracer_diffusivity([moved]), msd_at(moved, LAG_PS))

    def at_the_teachers_volume(self, name: str, atoms: Atoms) -> Atoms:
        """A structure with the mean cell of the teacher's run at zero pressure and 700 K."""
        ensemble, seed, folder = Ensemble("npt", DIFFUSION_K), seed_for(1, name, "volume"), f"{name}/volume"
        table = self.run(atoms, self.system.teacher, ensemble, FRAMES_PS, ALL, seed, kept_as=folder).thermo()
        volume = table["volume_angstrom3"].iloc[len(table) // 2 :].mean()
        scaled: Atoms = atoms.copy()
        scaled.set_cell(atoms.cell.array * np.cbrt(volume / atoms.get_volume()), scale_atoms=True)
        return scaled

    def compare(self, name: str, atoms: Atoms, picoseconds: float) -> Comparison:
        """Lithium in a structure by both potentials, in the same cell."""
        cell = self.at_the_teachers_volume(name, atoms)
        return Comparison(name, *(self.lithium(name, cell, role, picoseconds) for role in ("teacher", "student")))


def msd_at(moved: SquaredDisplacements, lag_ps: float) -> tuple[float, float]:
    """Mean squared displacement at the lag next to this one, square angstrom, and its standard error by ions."""
    squared = moved.squared[:, np.abs(moved.times - lag_ps).argmin()].sum(axis=-1)
    return float(squared.mean()), float(squared.std(ddof=1) / np.sqrt(len(squared)))


def report(system: System, options: argparse.Namespace, scratch: Path) -> list[str]:
    """Lines of one chemical system on errors and on runs that hold."""
    runs, structures = Runs(system), system.structures()
    frames = {name: runs.frames(name, atoms) for name, atoms in structures.items()}
    errors = {level: force_errors(system, path, frames) for level, path in system.levels().items()}
    lines = [f"## {system.name}", "", "Force errors, eV/angstrom:", "", "| level | " + " | ".join(frames) + " |"]
    lines.append("|---" * (1 + len(frames)) + "|")
    lines += [f"| {level} | {' | '.join(f'{error:.3f}' for error in row)} |" for level, row in errors.items()]
    falls = all(high > low for rows in pairwise(errors.values()) for high, low in zip(*rows, strict=True))
    lines += ["", f"They fall from level to level in every structure: {'yes' if falls else 'no'}."]
    return [*lines, "", *held_lines(structures, system.student, options.hold_ps, scratch), ""]


def force_errors(system: System, potential: Path, frames: dict[str, list[Atoms]]) -> list[float]:
    """Of a potential in the frames of each structure, eV/angstrom."""
    own = read_potential_file(potential)
    return [errors_on(own, some, system.species).force_eV_per_angstrom or np.nan for some in frames.values()]


def diffusion(comparisons: Sequence[Comparison], picoseconds: float) -> list[str]:
    """Lines on lithium's diffusion coefficients."""
    legend = (
        f"Diffusion coefficients in 1e-6 cm^2/s from {picoseconds:g} ps by each potential, in the same cell, and mean "
        f"squared displacements after {LAG_PS:g} ps in square angstrom, with standard errors; differences are student "
        f"less teacher, in combined standard errors. Resolved: both errors are at most {PRECISE:.0%}."
    )
    return [
        f"## Lithium in bulk at {DIFFUSION_K:g} K",
        "",
        legend,
        "",
        "| structure | teacher | student | apart | verdict | MSD, teacher | MSD, student | apart |",
        "|---|---|---|---|---|---|---|---|",
        *(one.row() for one in comparisons),
        "",
        *pooled([one for one in comparisons if one.is_resolved], len(comparisons)),
        "",
    ]


def pooled(resolved: Sequence[Comparison], count: int) -> list[str]:
    """What the resolved comparisons say together, and what chance alone would."""
    if not resolved:
        return [f"None of {count} is resolved."]
    n, chance = len(resolved), 2 * stats.norm.sf(APART)
    far = sum(abs(one.apart) >= APART for one in resolved)
    squares = sum(one.apart**2 for one in resolved)
    ratios, errors = np.array([one.log_ratio for one in resolved]).T
    mean, error = np.exp(np.average(ratios, weights=errors**-2)), (errors**-2).sum() ** -0.5
    singly = (
        f"{n} of {count} are resolved, {far} of them {APART:g} combined standard errors or more apart. Were all equal, "
        f"{n * chance:.2f} would be by chance, and at least one with a probability of {1 - (1 - chance) ** n:.0%}."
    )
    together = (
        f"Together: chi^2 {squares:.1f} for {n} differences, more by chance with a probability of "
        f"{stats.chi2.sf(squares, n):.2f}; mean ratio of student to teacher {mean:.3f} +- {mean * error:.3f}."
    )
    return [singly, "", together]


def main(words: Sequence[str]) -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Learned potentials against their teachers.")
    parser.add_argument("campaign", type=Path)
    parser.add_argument("--systems", nargs="+", default=SYSTEMS)
    parser.add_argument("--hold-ps", type=float, default=100.0)
    parser.add_argument("--diffusion-ps", type=float, default=200.0, help="0: not at all")
    options = parser.parse_args(words)
    lines = [
        "# Learned potentials against their teachers",
        "",
        f"Command: `python benchmarks/student.py {' '.join(words)}`",
        "",
    ]
    systems = [System(name, options.campaign) for name in options.systems]
    with tempfile.TemporaryDirectory() as scratch:
        for system in systems:
            lines += report(system, options, Path(scratch) / "run")
        if options.diffusion_ps > 0:
            compared = [
                Runs(system).compare(name, atoms, options.diffusion_ps)
                for system in systems
                for name, atoms in system.structures().items()
                if "-bulk-" in name
            ]
            lines += diffusion(compared, options.diffusion_ps)
    print("\n".join(lines))
    name = "_".join(["student", options.campaign.name, *(options.systems if options.systems != SYSTEMS else ())])
    (ROOT / f"benchmarks/results/{name}.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
