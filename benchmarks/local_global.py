"""Local against global active learning: python benchmarks/local_global.py [--repeats 3] (see --help).

The bicrystal Sigma3 (1-12) of Li6PS5Cl with 312 atoms, labels by the shipped teacher, whose forces are the truth. Both
modes start from the same bulk seeds, climb the same ladder, and stop by the same published rule and thresholds; local
mode carves cells of the published size (edge 16 angstrom, core 6.5 angstrom, more than 200 atoms), with rigid units
whole, and larger ones where whole units of the core would meet themselves. Their potentials are then asked for the
forces in frames of the teacher's own run of the bicrystal at 600 K.

Writes benchmarks/results/local_global.md and, when all ladders of both modes are climbed,
config/reference/local_global.csv, which the figure of learning shows. Ladders that were climbed are kept in a folder
and not climbed again with the same settings.
"""

import argparse
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms

import mtpcore
from argyro.common.files import read_json, sha256_of_json, write_json, write_text
from argyro.common.randomness import seed_for
from argyro.config.labels import GatesConfig, LabelsConfig, MtpConfig
from argyro.config.learning import CarvingConfig, ExplorationConfig, FitConfig, LearningConfig, Mode, Rung
from argyro.config.materials import Material
from argyro.config.structures import Boundary, DistanceLimits, SeedsConfig, StructuresConfig
from argyro.labels.backends import open_backend
from argyro.labels.backends.base import Backend
from argyro.labels.collect import collect, outcome_rows
from argyro.labels.label import label_structures
from argyro.labels.store import Store
from argyro.learning.candidates import make_candidates
from argyro.learning.decide import Decision, decide, teaches
from argyro.learning.exploration import Exploration
from argyro.learning.explore import Start, explore
from argyro.learning.fitters import fit_round, with_active_set
from argyro.learning.samplers import samplers
from argyro.learning.selection import select_environments
from argyro.learning.stopwatch import stopwatch
from argyro.learning.training import errors_on
from argyro.md.lammps import PotentialFile
from argyro.md.run import run_md
from argyro.md.settings import Ensemble, RunSettings, Stream
from argyro.structures.bicrystal import build_bicrystal
from argyro.structures.seeds import build_seeds
from mtpcore.ase import MTP
from mtpcore.errors import CloseContactWarning

ROOT = Path(__file__).resolve().parents[1]
TEACHER = ROOT / "config/reference/teacher/Cl-12.mtp"
MATERIAL = Material(id="Li6PS5Cl", formula="Li6PS5Cl", anion="Cl")
SPECIES = MATERIAL.elements
LIMITS = DistanceLimits()
BOUNDARY = Boundary(name="S3-112", plane=(1, -1, 2), sigma=3)
TEMPERATURE = 600.0  # K
TEST_STEPS, TEST_EVERY = 10_000, 500
REFERENCE_ATOMS = 52  # the label whose cost is 1
CARVING = CarvingConfig(
    core="sphere", core_radius_angstrom=6.5, edge_angstrom=16.0, edge_max_angstrom=21.0, min_atoms=200
)


@dataclass
class Outcome:
    """How a ladder was climbed."""

    mode: Mode
    repeat: int
    rounds: int = 0
    atoms: list[int] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    force_errors: list[float | None] = field(default_factory=list)
    labels_by_level: list[int] = field(default_factory=list)
    core_seconds: float = 0.0

    @property
    def cost(self) -> float:
        """Of all labels, as the cube of their atoms, in labels of the smallest cell."""
        return sum((count / REFERENCE_ATOMS) ** 3 for count in self.atoms)


def settings(mode: Mode, levels: Sequence[int], max_rounds: int) -> LearningConfig:
    """The same ladder for both modes."""
    rungs = [
        Rung(
            level=level,
            temperatures_K=(TEMPERATURE,),
            samplers=4,
            duration_ps=2.0,
            max_labels=15,
            max_rounds=max_rounds,
            on_limit="continue",
        )
        for level in levels
    ]
    return LearningConfig(
        mode=mode,
        ladder=tuple(rungs),
        carving=CARVING,
        exploration=ExplorationConfig(max_snapshots=10, grade_every=5),
        fit=FitConfig(hops=1, max_iterations=60, refit_iterations=5, tolerance=0.003, min_dist_angstrom=1.4),
    )


class Trial:
    """One ladder in one mode."""

    def __init__(self, repeat: int, own: LearningConfig, backend: Backend, folder: Path) -> None:
        self.settings, self.backend, self.folder = own, backend, folder
        self.store = Store(folder / "labels")
        self.seed = seed_for(repeat, "repeat")
        self.outcome = Outcome(own.mode, repeat)
        self.bicrystal = bicrystal(self.seed)
        self.training = self.labelled(build_seeds(MATERIAL, seeds_settings(), seed=self.seed))
        self.added = 0  # by the round before
        self.potential: mtpcore.Potential | None = None

    def labelled(self, structures: list[Atoms]) -> list[Atoms]:
        """Structures with labels, those whose labels pass the gates."""
        rows = outcome_rows(structures, label_structures(structures, self.backend, self.store, GatesConfig()))
        passed = collect(structures, rows, self.backend, self.store)
        self.outcome.atoms += [len(atoms) for atoms in structures]
        return passed

    def climb(self, frames: Sequence[Atoms]) -> Outcome:
        """All levels; the error is that of the last potential in these frames."""
        own = self.outcome
        with stopwatch() as watch:
            for rung in self.settings.ladder:
                for number in range(rung.max_rounds):
                    decision, potential = self.round(rung, number)
                    print(f"{own.mode} {own.repeat}: level {rung.level}, round {number}: {decision.reason}", flush=True)
                    if decision.next != "continue":
                        own.ended.append("by its rule" if decision.converged else decision.reason)
                        own.force_errors.append(errors_on(potential, frames, SPECIES).force_eV_per_angstrom)
                        own.labels_by_level.append(len(own.atoms))
                        break
        own.core_seconds = watch.core_s
        return own

    def round(self, rung: Rung, number: int) -> tuple[Decision, mtpcore.Potential]:
        """Fit, explore, select, carve, label."""
        self.outcome.rounds += 1
        path, potential = self.fitted(rung, number)
        explorations, snapshots = self.explored(rung, number, PotentialFile(path, tuple(SPECIES)))
        selection = select_environments(
            potential, self.training, snapshots, SPECIES, rung=rung, mode=self.settings.mode
        )
        candidates, _ = make_candidates(
            selection.environments if teaches(rung, selection, explorations) else [],
            snapshots,
            materials={MATERIAL.id: MATERIAL},
            settings=self.settings,
            limits=LIMITS,
            calculator=MTP(path, species=SPECIES),
            most=rung.max_labels,
        )
        decision = decide(
            rung,
            at_limit=number + 1 >= rung.max_rounds,
            last_level=rung is self.settings.ladder[-1],
            selection=selection,
            explorations=explorations,
            candidates=len(candidates),
        )
        if decision.next == "continue":
            labelled = self.labelled(candidates)
            self.training, self.added = self.training + labelled, len(labelled)
        return decision, potential

    def fitted(self, rung: Rung, number: int) -> tuple[Path, mtpcore.Potential]:
        """The potential that a round begins with."""
        own = self.settings
        fitted, _ = fit_round(
            own,
            SPECIES,
            rung.level,
            self.potential,
            self.training,
            self.added,
            first_of_level=number == 0,
            seed=self.seed,
            folder=self.folder / "fit",
        )
        shutil.rmtree(self.folder / "fit")
        self.potential = with_active_set(fitted, self.training, SPECIES, own.mode)
        path = self.folder / "potential.almtp"
        mtpcore.write_potential(path, self.potential)
        return path, self.potential

    def explored(self, rung: Rung, number: int, potential: PotentialFile) -> tuple[list[Exploration], list[Atoms]]:
        """What all samplers met."""
        starts = [
            Start(
                sampler,
                self.bicrystal,
                self.folder / f"run-{sampler.number}",
                seed_for(self.seed, rung.level, number, sampler.number),
            )
            for sampler in samplers(rung, {"bicrystal": MATERIAL.id})
        ]
        settings = self.settings
        explored = explore(starts, potential, rung, settings.exploration, mode=settings.mode, mobile=MATERIAL.mobile)
        for start in starts:
            shutil.rmtree(start.folder)
        records, snapshots = [record for record, _ in explored], [one for _, found in explored for one in found]
        return records, snapshots


def bicrystal(seed: int) -> Atoms:
    """The target structure."""
    return build_bicrystal(MATERIAL, BOUNDARY, min_grain_angstrom=25, limits=LIMITS, seed=seed)


def seeds_settings() -> StructuresConfig:
    """Bulk seeds, some with two atoms pushed together; they count as labels."""
    return StructuresConfig(seeds=SeedsConfig(count=14, contacts=9))


def test_frames(backend: Backend, folder: Path) -> list[Atoms]:
    """Frames of the teacher's own run of the bicrystal, with labels, the same for all potentials."""
    atoms = bicrystal(seed_for(0, "test"))
    asked = RunSettings(
        Ensemble("npt", TEMPERATURE, coupling="normal"),
        steps=TEST_STEPS,
        streams=(Stream("all", TEST_EVERY),),
    )
    result = run_md(atoms, PotentialFile(TEACHER, tuple(SPECIES)), asked, folder / "test", seed=0)
    trajectory = result.trajectory("all")
    frames = []
    for positions, cell in zip(trajectory.positions()[1:], trajectory.cells[1:], strict=True):
        frame = Atoms(atoms.numbers, positions, cell=cell, pbc=True)
        found = backend.calculate(frame, 0)
        frame.info["REF_energy"] = found.energy
        frame.arrays["REF_forces"] = found.forces
        frames.append(frame)
    return frames


def table(outcomes: Sequence[Outcome], command: str) -> str:
    """All ladders, and what one mode needs over the other."""
    names = ["mode", "repeat", "rounds", "labels", "by level", "labelled atoms", "label cost, of 52-atom labels"]
    names += ["force error in the boundary by level, eV/angstrom", "core seconds", "ended"]
    lines = ["# Local against global active learning", "", f"Command: `{command}`", ""]
    lines += [_row(names), _row(["---"] * len(names))]
    for own in outcomes:
        errors = ", ".join(f"{error:.3f}" for error in own.force_errors)
        counts = [own.rounds, len(own.atoms), ", ".join(map(str, own.labels_by_level)), sum(own.atoms)]
        ended = "; ".join(dict.fromkeys(own.ended))
        lines.append(_row([own.mode, own.repeat, *counts, f"{own.cost:.0f}", errors, f"{own.core_seconds:.0f}", ended]))
    return "\n".join([*lines, "", *_comparison(outcomes), ""])


def ends(outcomes: Sequence[Outcome], level: int) -> pd.DataFrame:
    """How all ladders ended, a row each, for the figure of learning."""
    rows = [
        {
            "mode": own.mode,
            "repeat": own.repeat,
            "level": level,
            "labels": len(own.atoms),
            "labelled_atoms": sum(own.atoms),
            "label_cost": round(own.cost),
            "force_rmse_boundary_eV_per_angstrom": own.force_errors[-1],
        }
        for own in outcomes
    ]
    return pd.DataFrame(rows)


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _comparison(outcomes: Sequence[Outcome]) -> list[str]:
    """Ratios of the repeats that were climbed in both modes, of their means, and of the means of all ladders."""
    local, whole = ({own.repeat: own for own in outcomes if own.mode == mode} for mode in ("local", "global"))
    both = sorted(local.keys() & whole.keys())
    if not both:
        return []
    lines = ["Global over local; of force errors, local over global:", ""]
    names = ["repeat", "labels, seeds included", "labelled atoms", "label cost", "force error"]
    lines += [_row(names), _row(["---"] * len(names))]
    rows = [(str(repeat), [local[repeat]], [whole[repeat]]) for repeat in both]
    rows.append(("ratio of means", [local[repeat] for repeat in both], [whole[repeat] for repeat in both]))
    if len(local) != len(whole):
        rows.append(("ratio of means of all ladders", list(local.values()), list(whole.values())))
    for name, *pair in rows:
        labels, atoms, cost, error = (
            _ratio(*pair, value)
            for value in (
                lambda own: len(own.atoms),
                lambda own: sum(own.atoms),
                lambda own: own.cost,
                lambda own: own.force_errors[-1] or np.nan,
            )
        )
        lines.append(_row([name, *(f"{ratio:.2f}" for ratio in (labels, atoms, cost, 1 / error))]))
    return lines


def _ratio(local: Sequence[Outcome], whole: Sequence[Outcome], value: Callable[[Outcome], float]) -> float:
    """Of means, global over local."""
    return float(np.mean([value(own) for own in whole]) / np.mean([value(own) for own in local]))


def main() -> None:
    """Climb all ladders and write the table."""
    parser = argparse.ArgumentParser(description="Local against global active learning.")
    parser.add_argument("--repeats", type=int, default=3, help="ladders in each mode")
    parser.add_argument("--local-repeats", type=int, default=0, help="in local mode, if more: each takes a minute")
    parser.add_argument("--levels", type=int, nargs="+", default=[6, 8, 10])
    parser.add_argument("--max-rounds", type=int, default=30)
    parser.add_argument("--modes", nargs="+", default=["local", "global"], choices=["local", "global"])
    parser.add_argument("--folder", type=Path, default=ROOT / "results/local_global", help="keeps what was climbed")
    options = parser.parse_args()
    warnings.simplefilter("ignore", CloseContactWarning)
    config = LabelsConfig(backend="mtp", mtp=MtpConfig(potentials={"".join(SPECIES): TEACHER}))
    backend = open_backend(config)
    outcomes = []
    with tempfile.TemporaryDirectory() as scratch:
        frames = test_frames(backend, Path(scratch))
        for repeat in range(max(options.repeats, options.local_repeats)):
            for mode in options.modes if repeat < options.repeats else ["local"]:
                own = settings(mode, options.levels, options.max_rounds)
                same = sha256_of_json([own.model_dump(mode="json"), seeds_settings().model_dump(mode="json")])
                climbed = options.folder / f"{mode}-{repeat}-{same[:12]}.json"
                if not climbed.exists():
                    trial = Trial(repeat, own, backend, Path(scratch) / f"{mode}-{repeat}")
                    write_json(climbed, asdict(trial.climb(frames)))
                outcomes.append(Outcome(**read_json(climbed)))
                command = f"python benchmarks/local_global.py {' '.join(sys.argv[1:])}".strip()
                text = table(outcomes, command)
                (ROOT / "benchmarks/results/local_global.md").write_text(text, encoding="utf-8")
                print(text, flush=True)
    if len(options.modes) > 1:
        write_text(ROOT / "config/reference/local_global.csv", ends(outcomes, options.levels[-1]).to_csv(index=False))


if __name__ == "__main__":
    main()
