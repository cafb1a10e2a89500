"""What fits cost: python benchmarks/mtp_fit_cost.py LABELS (see --help).

* One iteration of each method beside one loss with its gradient by motep's engine cext in train mode, levels 8 and 12,
  one thread, the same 60 configurations of Li6PS5Cl with 52 atoms, the same parameters, in one run.
* 200 configurations of 52 atoms (`benchmarks/gfn1_labels.py LABELS 200` makes them), level 12, from a cold start to
  convergence on two threads.

Writes benchmarks/results/mtp_fit_cost.md.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read
from motep.io.mlip.mtp import read_mtp
from motep.loss import LossFunction, LossSetting
from scipy.optimize import minimize

import mtpcore
from mtpcore import search
from mtpcore.configuration import Configuration
from mtpcore.fitting_problem import FittingProblem, FitWeights
from mtpcore.methods import MethodName
from mtpcore.training_set import make_training_set

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "mtpcore/tests/data/li6ps5cl_gfn1.extxyz.xz"
SPECIES = ["Li", "P", "S", "Cl"]
NUMBERS = [3, 15, 16, 17]
CONFIGURATIONS = 60
MOTEP = "motep: loss and gradient"
MOTEP_ITERATION = "motep: iteration of SciPy's BFGS"
MOTEP_BUDGET = 8  # iterations
BUDGETS: dict[MethodName, tuple[int, int]] = {"bfgs": (20, 220), "variable-projection": (2, 7)}


def untrained(level: int) -> mtpcore.Potential:
    """Cutoff 5 angstrom."""
    return mtpcore.new_potential(level, len(SPECIES), min_dist=1.4, max_dist=5.0)


def shortest(action: Callable[[], object], repeats: int) -> float:
    """Processor time of an action, the shortest of several, seconds."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        action()
        times.append(time.process_time() - began)
    return min(times)


def moteps_loss(potential: mtpcore.Potential, images: list[Atoms]) -> tuple[LossFunction, np.ndarray]:
    """The same loss, but for its division by atoms, of the same potential in motep, and its parameters."""
    with tempfile.TemporaryDirectory() as folder:
        mtpcore.write_potential(Path(folder) / "p.mtp", potential)
        data = read_mtp(Path(folder) / "p.mtp")
    data.species = NUMBERS
    data.optimized = ["species_coeffs", "moment_coeffs", "radial_coeffs"]
    labelled = []
    for image in images:
        atoms = image.copy()
        atoms.calc = SinglePointCalculator(atoms, energy=image.info["REF_energy"], forces=image.arrays["REF_forces"])
        labelled.append(atoms)
    setting = LossSetting(
        energy_weight=1.0, forces_weight=0.01, stress_weight=0.0, energy_per_atom=False, forces_per_atom=False
    )
    return LossFunction(labelled, data, setting, engine="cext"), data.parameters


def iteration_time(start: mtpcore.Potential, data: list[Configuration], method: MethodName) -> float:
    """Processor time of one iteration of a whole fit, its records included: the difference of two budgets, seconds."""

    def spent(iterations: int) -> float:
        settings = mtpcore.FitSettings(method=method, max_iterations=iterations, tolerance=0.0, threads=1)
        began = time.process_time()
        result = mtpcore.fit(start, data, settings=settings)
        if result.reason != "budget":
            raise RuntimeError(f"the fit ended by {result.reason}, so its iterations are not known")
        return time.process_time() - began

    few, many = BUDGETS[method]
    return (spent(many) - spent(few)) / (many - few)


def moteps_iteration_time(loss: LossFunction, parameters: np.ndarray) -> float:
    """Processor time of one iteration of the minimiser motep uses, its line search included, seconds."""
    began = time.process_time()
    found = minimize(loss, parameters, jac=loss.jac, method="BFGS", options={"maxiter": MOTEP_BUDGET})
    return (time.process_time() - began) / found.nit


def costs(level: int, images: list[Atoms]) -> dict[str, float]:
    """Processor times of motep's loss with its gradient, of ours, and of our iterations, seconds."""
    potential = untrained(level)
    configurations = [Configuration.from_atoms(atoms, SPECIES) for atoms in images]
    data = make_training_set(configurations, potential)
    zero = mtpcore.set_parameters(potential, np.zeros(potential.parameter_count))
    problem = FittingProblem(zero, data, FitWeights(), np.zeros(len(SPECIES)), threads=1)
    x = search.cold_start(problem, potential.radial_coeffs.shape, np.random.default_rng(0))
    start = mtpcore.set_parameters(potential, x)
    loss, parameters = moteps_loss(start, images)
    rng = np.random.default_rng(1)  # at the very same parameters the energies and forces would be remembered
    return {
        MOTEP: shortest(lambda: (loss(parameters), loss.jac(parameters)), 3),
        MOTEP_ITERATION: moteps_iteration_time(loss, parameters),
        "loss and gradient": shortest(lambda: problem.loss_and_gradient(x + rng.normal(scale=1e-9, size=x.shape)), 20),
        "iteration, bfgs": iteration_time(start, configurations, "bfgs"),
        "iteration, variable-projection": iteration_time(start, configurations, "variable-projection"),
    }


def cost_per_iteration() -> list[str]:
    """Table of the first question."""
    images = read(DATA, f":{CONFIGURATIONS}")
    count = sum(len(atoms) for atoms in images)
    lines = ["| level | | us/atom | motep's / this |", "|---|---|---|---|"]
    for level in (8, 12):
        times = costs(level, images)
        for name, spent in times.items():
            peer = times[MOTEP_ITERATION if "iteration" in name else MOTEP]
            lines.append(f"| {level} | {name} | {1e6 * spent / count:.3g} | {peer / spent:.3g} |")
            print(lines[-1], flush=True)
    return lines


def convergence(path: Path, seeds: int, hops: int) -> list[str]:
    """Table of the second question."""
    data = [Configuration.from_atoms(atoms, SPECIES) for atoms in read(path, ":")]
    lines = [
        "| seed | configurations | loss | force RMSE, eV/angstrom | ended by | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for seed in range(seeds):
        began = time.perf_counter()
        result = mtpcore.fit(untrained(12), data, settings=mtpcore.FitSettings(seed=seed, hops=hops, threads=2))
        spent = time.perf_counter() - began
        found = f"{result.loss:.5f} | {result.errors.force:.4f} | {result.reason} | {spent:.0f}"
        lines.append(f"| {seed} | {len(data)} | {found} |")
        print(lines[-1], flush=True)
    return lines


def main() -> int:
    """Run both and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels", type=Path, help="the 200 configurations")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hops", type=int, default=mtpcore.FitSettings().hops, help="of each fit's search")
    options = parser.parse_args()
    command = " ".join(["python benchmarks/mtp_fit_cost.py", options.labels.name, *sys.argv[2:]])
    sections = [
        "# What fits cost",
        f"Command: `OPENBLAS_NUM_THREADS=1 {command}`",
        "## One iteration beside motep 0.2.0, cext, one thread",
        "\n".join(cost_per_iteration()),
        "## Level 12 from a cold start to convergence, two threads",
        "\n".join(convergence(options.labels, options.seeds, options.hops)),
    ]
    (ROOT / "benchmarks/results/mtp_fit_cost.md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
