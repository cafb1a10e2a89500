"""Runs of molecular dynamics: equilibrated at zero pressure, then run at the mean cell of that."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms

import mtpcore
from argyro.common.files import read_json
from argyro.common.randomness import seed_for
from argyro.config.dynamics import ChecksConfig, DynamicsConfig
from argyro.config.materials import Material
from argyro.md.checks import CheckLimits, RunChecks, check_run
from argyro.md.equilibrate import at_mean_cell
from argyro.md.lammps import PotentialFile
from argyro.md.run import RUN_FILE, Run, RunResult, run_side_by_side
from argyro.md.settings import Coupling, Ensemble, Grading, RunSettings, Stream

EQUILIBRATION = "equilibration"
MOBILE, ALL = "mobile", "all"


def run_dynamics(
    atoms: Atoms,
    material: Material,
    potential: PotentialFile,
    settings: DynamicsConfig,
    folder: Path,
    *,
    temperature_K: float,
    coupling: Coupling,
    seed: int,
) -> RunResult:
    """Equilibrate a structure and run it; what was killed goes on where it was.

    Args:
        atoms: Bulk as it was built, bicrystals and polycrystals relaxed.
        material: What it is of.
        potential: What drives it; grades are computed if it has an active set of neighbourhoods.
        settings: How.
        folder: Of the production; the equilibration is in its folder ``equilibration``.
        temperature_K: Of both.
        coupling: What of the cell the equilibration changes.
        seed: Of velocities and thermostats.

    Returns:
        The production; the equilibration if that ended early.
    """
    cases = [Case(folder, temperature_K, seed)]
    return run_cases(atoms, material, potential, settings, cases, coupling=coupling)[0]


@dataclass(frozen=True)
class Case:
    """One run of a structure.

    Attributes:
        folder: Of the production.
        temperature_K: Of equilibration and production.
        seed: Of velocities and thermostats.
    """

    folder: Path
    temperature_K: float
    seed: int


def run_cases(
    atoms: Atoms,
    material: Material,
    potential: PotentialFile,
    settings: DynamicsConfig,
    cases: Sequence[Case],
    *,
    coupling: Coupling,
) -> list[RunResult]:
    """Several runs of a structure, on a GPU all at once; arguments and results as those of `run_dynamics`."""
    starts = {case.folder: atoms for case in cases}
    results: dict[Path, RunResult] = {}
    how: dict[str, Any] = {"ranks": settings.ranks, "engine": settings.engine, "kokkos": settings.kokkos}
    if settings.cell == "npt":
        runs = []
        for case in cases:
            barostat = Ensemble("npt", case.temperature_K, coupling=coupling)
            asked = run_settings(settings, barostat, settings.equilibration_ps, material, potential)
            seed = seed_for(case.seed, EQUILIBRATION)
            runs.append(Run(atoms, potential, asked, case.folder / EQUILIBRATION, seed))
        equilibrated = run_side_by_side(runs, **how)
        results = {result.folder.parent: result for result in equilibrated if not result.finished}
        starts = {result.folder.parent: at_mean_cell(result) for result in equilibrated if result.finished}
    runs = []
    for case in cases:
        if case.folder in starts:
            ensemble = Ensemble(settings.ensemble, case.temperature_K)
            asked = run_settings(settings, ensemble, settings.production_ps, material, potential)
            runs.append(Run(starts[case.folder], potential, asked, case.folder, seed_for(case.seed, "production")))
    produced = run_side_by_side(runs, **how)
    results |= {result.folder: result for result in produced}
    return [results[case.folder] for case in cases]


def run_settings(
    settings: DynamicsConfig, ensemble: Ensemble, length_ps: float, material: Material, potential: PotentialFile
) -> RunSettings:
    """Settings of a run, its length rounded up to whole frames of all atoms."""
    frame = settings.frame_steps
    all_frame = frame * round(settings.all_atoms_frame_ps / settings.frame_ps)
    is_graded = mtpcore.read_potential(potential.path).active_set is not None
    return RunSettings(
        ensemble,
        steps=all_frame * ceil(length_ps / settings.timestep_ps / all_frame - 1e-9),
        timestep=settings.timestep_ps,
        thermo_every=frame,
        streams=(Stream(MOBILE, frame, (material.mobile,)), Stream(ALL, all_frame)),
        grading=Grading(settings.grade_every, settings.select_grade, settings.stop_grade) if is_graded else None,
        segment_steps=all_frame * round(settings.segment_ps / settings.all_atoms_frame_ps),
        mobile=(material.mobile,),
    )


def checked(result: RunResult, material: Material, limits: ChecksConfig, temperature_K: float) -> RunChecks:
    """What may have gone wrong in a run."""
    return check_run(
        result,
        material.rigid_units,
        material.mobile,
        temperature_K=temperature_K,
        stream=ALL,
        limits=CheckLimits(**limits.model_dump()),
    )


def run_report(
    result: RunResult, checks: RunChecks, material: Material, *, structure: str, temperature_K: float
) -> dict[str, Any]:
    """A row of the table of runs, as JSON holds it: also of those that ended early or broke a limit."""
    record = read_json(result.folder / RUN_FILE)
    found = checks.as_dict()
    table = result.thermo()
    return {
        "structure": structure,
        "material": material.id,
        "anion": material.anion,
        "exchange_percent": material.exchange_percent,
        "temperature_K": temperature_K,
        "stage": EQUILIBRATION if result.folder.name == EQUILIBRATION else "production",
        "status": result.status,
        "reason": result.reason,
        "atoms": record["atoms"],
        "duration_ps": result.time,
        "mean_temperature_K": found["mean_temperature_K"]["value"],
        "mean_temperature_error_K": found["mean_temperature_K"]["error"],
        "energy_drift_meV_per_atom_per_ns": found["energy_drift_meV_per_atom_per_ns"]["value"],
        "energy_drift_error_meV_per_atom_per_ns": found["energy_drift_meV_per_atom_per_ns"]["error"],
        "mean_pressure_GPa": float(table["pressure_GPa"].mean()),
        "volume_per_atom_angstrom3": float(table["volume_angstrom3"].mean()) / record["atoms"],
        "broken_bonds": len(checks.breaks),
        "incomplete_units": len(checks.incomplete_units),
        "framework_msd_angstrom2": max(checks.framework_msd_angstrom2.values(), default=None),
        "largest_grade": result.largest_grade,
        "snapshots": result.snapshot_count,
        "violations": "; ".join(checks.violations),
        "ok": result.finished and checks.ok,
        "seconds": result.seconds,
        "seed": str(record["seed"]),
        "potential_sha256": record["potential_sha256"],
        **{f"version_{name}": version for name, version in record["software"].items()},
    }


def runs_table(reports: Sequence[Path]) -> pd.DataFrame:
    """The reports of all runs, a row each, without the details of checks: those of short runs have no columns."""
    rows = [{name: value for name, value in read_json(path).items() if name != "checks"} for path in reports]
    return pd.DataFrame(rows).replace({None: np.nan}) if rows else pd.DataFrame()
