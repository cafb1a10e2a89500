"""Diffusivities of real runs that should agree, and that should not: ensembles, and sizes of the cell.

    python benchmarks/dynamics_checks.py [--cases 3]

Li6PS5Cl at 50 % exchange by the teacher that ships with the project, three arrangements of anions each, one of the
largest cell. Writes benchmarks/results/dynamics_checks.md; with --cases only these lines, by their number from 0, anew.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from argyro.common.randomness import seed_for
from argyro.config.dynamics import DynamicsConfig
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits
from argyro.dynamics.runs import run_dynamics
from argyro.md.lammps import PotentialFile
from argyro.structures.bulk import build_bulk
from argyro.transport.diffusivity import Diffusivity, tracer_diffusivity
from argyro.transport.displacements import ion_displacements

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results/dynamics_checks.md"
POTENTIAL = PotentialFile(ROOT / "config/reference/teacher/Cl-12.mtp", ("Li", "P", "S", "Cl"))
MATERIAL = Material(id="Li6PS5Cl-50", formula="Li6PS5Cl", anion="Cl", exchange_percent=50)
TEMPERATURE = 1000.0
CASES = (("nvt", 1, 60.0, 3), ("nvt", 2, 60.0, 3), ("nve", 2, 60.0, 3), ("nvt", 4, 100.0, 1))
"""Ensemble, cubic cells along an edge, ps, arrangements of anions (the largest cell has enough of its own)."""


def measured(
    ensemble: str, cells: int, length_ps: float, arrangement: int, folder: Path
) -> tuple[Diffusivity | None, float]:
    """Diffusivity of one arrangement, None where it is not resolved, and the mean temperature."""
    atoms = build_bulk(MATERIAL, (cells,) * 3, lithium_sites="48h", limits=DistanceLimits(), seed=arrangement)
    settings = DynamicsConfig(
        ensemble="nve" if ensemble == "nve" else "nvt", equilibration_ps=6.0, production_ps=length_ps, segment_ps=20.0
    )
    result = run_dynamics(
        atoms,
        MATERIAL,
        POTENTIAL,
        settings,
        folder,
        temperature_K=TEMPERATURE,
        coupling="isotropic",
        seed=seed_for(1, ensemble, cells, arrangement),
    )
    found = tracer_diffusivity([ion_displacements(result.trajectory("mobile"), ["Li"])])
    temperature = float(result.thermo()["temperature_K"].mean())
    return (found if isinstance(found, Diffusivity) else None), temperature


def row(ensemble: str, cells: int, length_ps: float, arrangements: int, scratch: Path) -> str:
    """Mean of the arrangements that are resolved, by their scatter; a single one with its own error."""
    found = [
        measured(ensemble, cells, length_ps, arrangement, scratch / f"{ensemble}-{cells}-{arrangement}")
        for arrangement in range(arrangements)
    ]
    values = [each.D_cm2_per_s for each, _ in found if each is not None]
    own = [each.error_cm2_per_s for each, _ in found if each is not None]
    mean = np.mean(values) if values else np.nan
    spread = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.mean(own)
    temperatures = ", ".join(f"{temperature:.0f}" for _, temperature in found)
    single = ", ".join(f"{1e5 * v:.2f} +- {1e5 * e:.2f}" for v, e in zip(values, own, strict=True))
    pooled = f"{1e5 * mean:.2f} +- {1e5 * spread:.2f}" if values else "not resolved"
    return (
        f"| {ensemble.upper()} | {52 * cells**3} | {length_ps:g} | {temperatures} | {len(values)} of {arrangements} | "
        f"{single} | {pooled} |"
    )


def main() -> None:
    """Run all cases."""
    lines = [
        "# Diffusivities of ensembles and sizes",
        "",
        "Li6PS5Cl, 50 % exchange, 1000 K, teacher of level 12, 6 ps equilibration, arrangements of anions by chance.",
        "D in 1e-5 cm^2/s, each with its own standard error; the mean with that of the scatter of arrangements.",
        "",
        "    python benchmarks/dynamics_checks.py",
        "",
        "| ensemble | atoms | ps | mean T, K | resolved | D of each | mean D |",
        "|---|---|---|---|---|---|---|",
    ]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, nargs="*", choices=range(len(CASES)), default=range(len(CASES)))
    made = RESULT.read_text(encoding="utf-8").splitlines()[len(lines) :] if RESULT.exists() else []
    made += [""] * (len(CASES) - len(made))
    with tempfile.TemporaryDirectory() as scratch:
        for number in parser.parse_args().cases:
            made[number] = row(*CASES[number], Path(scratch))
            RESULT.write_text("\n".join([*lines, *made]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
