"""How good and how reliable cold-start fits are: python benchmarks/mtp_fit.py (see --help).

Two questions, level 8, Li6PS5Cl:

* Real labels (GFN1-xTB, 60 configurations to train, 23 held out): final loss of every seed against long BFGS runs of
  SciPy on the same loss, from the same kind of random start.
* A known truth: does a student of the same level find a teacher that was itself fitted to real labels?

Writes benchmarks/results/mtp_fit.md.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from ase.io import read
from scipy.optimize import minimize

import mtpcore
from mtpcore import least_squares, search
from mtpcore.configuration import Configuration
from mtpcore.fitting_problem import FittingProblem
from mtpcore.training_set import make_training_set

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "mtpcore/tests/data/li6ps5cl_gfn1.extxyz.xz"
SPECIES = ["Li", "P", "S", "Cl"]
TRAINING = 60


def template() -> mtpcore.Potential:
    """Untrained level 8, cutoff 5 angstrom."""
    return mtpcore.new_potential(8, len(SPECIES), min_dist=1.4, max_dist=5.0)


def configurations() -> list[Configuration]:
    """The labelled structures."""
    return [Configuration.from_atoms(atoms, SPECIES) for atoms in read(DATA, ":")]


def force_error(potential: mtpcore.Potential, data: list[Configuration]) -> float:
    """Root mean square over force components, eV/angstrom."""
    engine = mtpcore.Engine(potential)
    errors = [engine.evaluate(c.types, c.positions, c.cell, [True] * 3).forces - c.forces for c in data]
    return float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))


def long_run(data: list[Configuration], seed: int, iterations: int) -> tuple[float, mtpcore.Potential]:
    """SciPy's BFGS on the same loss."""
    potential = template()
    training_set = make_training_set(data, potential)
    reference = np.linalg.lstsq(training_set.counts, training_set.energies, rcond=None)[0]
    zero = mtpcore.set_parameters(potential, np.zeros(potential.parameter_count))
    problem = FittingProblem(zero, training_set, mtpcore.FitWeights(), reference, threads=2)
    rng = np.random.default_rng([1000, seed])
    start = search.cold_start(problem, potential.radial_coeffs.shape, rng)
    found = minimize(problem.loss_and_gradient, start, jac=True, method="BFGS", options={"maxiter": iterations})
    parameters = least_squares.solve_linear(problem, found.x)
    loss = problem.loss(parameters)
    first = potential.radial_coeffs.size
    parameters[first : first + len(SPECIES)] += reference
    return loss, mtpcore.set_parameters(potential, parameters)


def real_labels(seeds: int, long_runs: int, iterations: int, hops: int) -> list[str]:
    """Table of the first question."""
    data = configurations()
    train, held_out = data[:TRAINING], data[TRAINING:]
    lines = ["| run | loss | held-out force RMSE, eV/angstrom | seconds |", "|---|---|---|---|"]
    for seed in range(long_runs):
        began = time.perf_counter()
        loss, potential = long_run(train, seed, iterations)
        spent = time.perf_counter() - began
        lines.append(f"| SciPy BFGS {seed} | {loss:.5f} | {force_error(potential, held_out):.4f} | {spent:.0f} |")
        print(lines[-1], flush=True)
    for seed in range(seeds):
        began = time.perf_counter()
        result = mtpcore.fit(template(), train, settings=mtpcore.FitSettings(seed=seed, hops=hops))
        spent = time.perf_counter() - began
        error = force_error(result.potential, held_out)
        lines.append(f"| fit, seed {seed} | {result.loss:.5f} | {error:.4f} | {spent:.0f} |")
        print(lines[-1], flush=True)
    return lines


def known_truth(seeds: int, hops: int) -> list[str]:
    """Table of the second question."""
    data = configurations()[:TRAINING]
    teacher = mtpcore.fit(template(), data, settings=mtpcore.FitSettings(seed=99, hops=5)).potential
    engine = mtpcore.Engine(teacher)
    labels = []
    for c in data:
        result = engine.evaluate(c.types, c.positions, c.cell, [True] * 3)
        labels.append(Configuration(c.types, c.positions, c.cell, energy=result.energy, forces=result.forces))
    rms = float(np.sqrt(np.mean(np.concatenate([c.forces for c in labels]) ** 2)))
    lines = ["| seed | force RMSE / RMS force | seconds |", "|---|---|---|"]
    for seed in range(seeds):
        began = time.perf_counter()
        result = mtpcore.fit(template(), labels, settings=mtpcore.FitSettings(seed=seed, hops=hops))
        lines.append(f"| {seed} | {result.errors.force / rms:.2e} | {time.perf_counter() - began:.0f} |")
        print(lines[-1], flush=True)
    return lines


def main() -> int:
    """Run both and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="fits to real labels")
    parser.add_argument("--teacher-seeds", type=int, default=10, help="fits to a teacher's labels")
    parser.add_argument("--hops", type=int, default=mtpcore.FitSettings().hops, help="of each fit's search")
    parser.add_argument("--long-runs", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=4000, help="of each long run")
    options = parser.parse_args()
    sections = [
        "# Reliability of cold-start fits, level 8, Li6PS5Cl",
        f"Command: `{' '.join(['python benchmarks/mtp_fit.py', *sys.argv[1:]])}`",
        "## GFN1-xTB labels",
        "\n".join(real_labels(options.seeds, options.long_runs, options.iterations, options.hops)),
        "## A teacher of the same level",
        "\n".join(known_truth(options.teacher_seeds, options.hops)),
    ]
    results = ROOT / "benchmarks/results"
    results.mkdir(exist_ok=True)
    (results / "mtp_fit.md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
