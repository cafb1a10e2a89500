"""Molecular dynamics that a teacher has to stand: bulk and a bicrystal, cold and hot."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms
from ase.units import kB

from argyro.common.errors import DynamicsError
from argyro.common.randomness import seed_for
from argyro.config.materials import Material
from argyro.config.reference import TrialConfig
from argyro.config.structures import Boundary, DistanceLimits
from argyro.md.checks import CheckLimits, check_run, first_frame
from argyro.md.equilibrate import at_mean_cell
from argyro.md.lammps import PotentialFile
from argyro.md.relax import RelaxSettings, relax
from argyro.md.run import Run, RunResult, run_side_by_side
from argyro.md.settings import Coupling, Ensemble, RunSettings, Stream
from argyro.structures.bicrystal import build_bicrystal
from argyro.structures.bulk import build_bulk
from argyro.transport.arrhenius import Measurement, fit_arrhenius
from argyro.transport.diffusivity import NotDiffusive, tracer_diffusivity
from argyro.transport.displacements import ion_displacements

BICRYSTAL = Boundary(name="S3-112", sigma=3, plane=(1, -1, 2), angle_degrees=70.53)
GRAIN_ANGSTROM = 36.0  # 450 to 500 atoms
SUPERCELL = (2, 2, 2)
THERMO_EVERY, MOBILE_EVERY, ALL_EVERY = 50, 50, 500  # steps
SEGMENT_STEPS = 25_000
RELAXATION_ROUNDS = 2  # takes the worst out of the start, no more
FOLDERS = re.compile(r"(?<![^\s(])(?:/[^\s/()]+)+/")  # of files in warnings: a table is the same wherever it is made
EQUILIBRATION, PRODUCTION = "equilibration", "production"


@dataclass(frozen=True)
class Trial:
    """What is run.

    Attributes:
        material: Of the structure.
        kind: ``bulk`` or ``bicrystal``.
        temperature_K: Of the run.
    """

    material: Material
    kind: str
    temperature_K: float

    @property
    def coupling(self) -> Coupling:
        """What the barostat changes."""
        return "isotropic" if self.kind == "bulk" else "normal"

    def structure(self, limits: DistanceLimits, seed: int) -> Atoms:
        """The start."""
        if self.kind == "bulk":
            return build_bulk(self.material, SUPERCELL, lithium_sites="48h", limits=limits, seed=seed)
        return build_bicrystal(
            self.material,
            BICRYSTAL,
            min_grain_angstrom=GRAIN_ANGSTROM,
            min_width_angstrom=6.0,
            limits=limits,
            seed=seed,
        )


def run_trial(
    trial: Trial, potential: PotentialFile, settings: TrialConfig, limits: DistanceLimits, folder: Path, *, seed: int
) -> RunResult:
    """Equilibrate at zero pressure, then run at the mean cell of that; a killed trial goes on where it was.

    Args:
        trial: What.
        potential: The teacher.
        settings: How long.
        limits: How close atoms of the start may come.
        folder: Of both runs.
        seed: Of structure and velocities.
    """
    start = relaxed_start(trial, potential, limits, folder, seed=seed)
    first = equilibration(trial, start, potential, settings, folder, seed=seed)
    (equilibrated,) = run_side_by_side([first], engine=settings.engine)
    if not equilibrated.finished:
        return equilibrated
    second = production(trial, equilibrated, potential, settings, folder, seed=seed)
    return run_side_by_side([second], engine=settings.engine)[0]


def relaxed_start(trial: Trial, potential: PotentialFile, limits: DistanceLimits, folder: Path, *, seed: int) -> Atoms:
    """The structure of a trial with its worst forces taken out, by LAMMPS; arguments as of `run_trial`."""
    settling = RelaxSettings(cell=trial.coupling, max_rounds=RELAXATION_ROUNDS)
    built = trial.structure(limits, seed_for(seed, "structure"))
    return relax(built, potential, folder / "relaxation", settling).atoms


def equilibration(
    trial: Trial, start: Atoms, potential: PotentialFile, settings: TrialConfig, folder: Path, *, seed: int
) -> Run:
    """The first run of a trial, from a relaxed start; other arguments as of `run_trial`."""
    barostat = Ensemble("npt", trial.temperature_K, coupling=trial.coupling)
    how = _settings(barostat, settings.equilibration_ps, settings.time_step_ps)
    return Run(start, potential, how, folder / EQUILIBRATION, seed_for(seed, EQUILIBRATION))


def production(
    trial: Trial, equilibrated: RunResult, potential: PotentialFile, settings: TrialConfig, folder: Path, *, seed: int
) -> Run:
    """The second run of a trial, at the mean cell of the first; other arguments as of `run_trial`."""
    thermostat = Ensemble("nvt", trial.temperature_K)
    how = _settings(thermostat, settings.production_ps, settings.time_step_ps)
    return Run(at_mean_cell(equilibrated), potential, how, folder / PRODUCTION, seed_for(seed, PRODUCTION))


def _settings(ensemble: Ensemble, length_ps: float, time_step_ps: float) -> RunSettings:
    return RunSettings(
        ensemble,
        steps=round(length_ps / time_step_ps / ALL_EVERY) * ALL_EVERY,
        timestep=time_step_ps,
        thermo_every=THERMO_EVERY,
        streams=(Stream("mobile", MOBILE_EVERY, ("Li",)), Stream("all", ALL_EVERY)),
        segment_steps=SEGMENT_STEPS,
    )


def trial_report(trial: Trial, result: RunResult, published: Path) -> dict[str, Any]:
    """What a trial found, as JSON holds it.

    Args:
        trial: What was run.
        result: Of the production, or of the equilibration if that ended early; lithium's diffusion is told of a
            finished run only.
        published: Table of published diffusivities.
    """
    checks = check_run(
        result,
        trial.material.rigid_units,
        trial.material.mobile,
        temperature_K=trial.temperature_K,
        limits=CheckLimits(),
    )
    atoms = first_frame(result.trajectory("all"))  # of a system that flew apart there may be no other
    return {
        "material": trial.material.id,
        "anion": trial.material.anion,
        "exchange_percent": trial.material.exchange_percent,
        "kind": trial.kind,
        "temperature_K": trial.temperature_K,
        "atoms": len(atoms),
        "length_ps": result.time,
        "status": result.status,
        "volume_per_atom_angstrom3": float(atoms.get_volume()) / len(atoms),
        "diffusion": diffusion([result], trial.material.mobile)
        if result.finished
        else {"diffusive": "the run ended early"},
        "published_D_cm2_per_s": published_diffusivity(
            trial.material.anion, trial.material.exchange_percent, trial.temperature_K, published
        )
        if trial.kind == "bulk"
        else None,
    } | checks.as_dict()


def diffusion(results: Sequence[RunResult], mobile: str) -> dict[str, float | str | None]:
    """Tracer diffusivity of runs of one cell with its 68 % interval, or an upper bound, as JSON holds it."""
    found = tracer_diffusivity([ion_displacements(result.trajectory("mobile"), [mobile]) for result in results])
    if isinstance(found, NotDiffusive):
        return {"diffusive": found.reason, "D_upper95_cm2_per_s": found.upper95_cm2_per_s}
    low, high = found.interval68_cm2_per_s
    return {
        "diffusive": "yes",
        "D_cm2_per_s": found.D_cm2_per_s,
        "D_cm2_per_s_lo68": low,
        "D_cm2_per_s_hi68": high,
        "exponent": found.exponent,
    }


def published_diffusivity(anion: str, exchange_percent: float, temperature_K: float, file: Path) -> float | None:
    """Published bulk diffusivity from its Arrhenius pair, cm^2/s; None if there is none. Source: see the file."""
    pair = _published(anion, exchange_percent, file)
    if pair is None:
        return None
    return float(pair["D0_1e-7_cm2_per_s"] * 1e-7 * np.exp(-pair["Ea_eV"] / (kB * temperature_K)))


def _published(anion: str, exchange_percent: float, file: Path) -> dict[str, Any] | None:
    """The row of a bulk."""
    table = pd.read_csv(file, comment="#")
    mine = (table["anion"] == anion) & (table["exchange_percent"] == exchange_percent) & (table["region"] == "bulk")
    rows: list[dict[str, Any]] = table[mine].to_dict("records")
    return rows[0] if rows else None


def barrier_table(reports: Sequence[dict[str, Any]], published: Path, seed: int) -> pd.DataFrame:
    """One row a bulk: the activation energy of lithium's diffusion with its 68 % interval, beside the published one.

    Args:
        reports: Of trials.
        published: Table of published diffusivities.
        seed: Of the fit's samples.
    """
    materials = dict.fromkeys(report["material"] for report in reports if report["kind"] == "bulk")
    rows = []
    for material in materials:
        mine = [r for r in reports if (r["material"], r["kind"]) == (material, "bulk")]
        pair = _published(mine[0]["anion"], mine[0]["exchange_percent"], published)
        rows.append({"material": material} | _barrier(mine, seed) | {"published_Ea_eV": pair and pair["Ea_eV"]})
    return pd.DataFrame(rows)


def _barrier(reports: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    resolved = sorted(
        (r for r in reports if r["diffusion"]["diffusive"] == "yes"), key=lambda report: float(report["temperature_K"])
    )
    found: dict[str, Any] = {"temperatures_K": " ".join(f"{r['temperature_K']:g}" for r in resolved)}
    try:
        fit = fit_arrhenius([_measurement(report) for report in resolved], seed)
    except DynamicsError as error:
        return found | {"Ea_eV": None, "Ea_eV_lo68": None, "Ea_eV_hi68": None, "not_resolved": str(error)}
    low, high = fit.activation_energy_interval68_eV
    return found | {"Ea_eV": fit.activation_energy_eV, "Ea_eV_lo68": low, "Ea_eV_hi68": high, "not_resolved": None}


def _measurement(report: dict[str, Any]) -> Measurement:
    found = report["diffusion"]
    error = (found["D_cm2_per_s_hi68"] - found["D_cm2_per_s_lo68"]) / 2
    return Measurement(report["mean_temperature_K"]["value"], found["D_cm2_per_s"], error)


def trial_table(reports: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One row a trial: what it was, whether it held, and the diffusivity beside the published one."""
    rows = []
    for report in reports:
        drift = report["energy_drift_meV_per_atom_per_ns"]
        rows.append(
            {name: report[name] for name in ("material", "kind", "temperature_K", "atoms", "length_ps", "status")}
            | {
                "mean_temperature_K": report["mean_temperature_K"]["value"],
                "drift_meV_per_atom_per_ns": drift["value"],
                "drift_error_meV_per_atom_per_ns": drift["error"],
                "broken_bonds": len(report["breaks"]),
                "violations": FOLDERS.sub("", "; ".join(report["violations"])),
                "volume_per_atom_angstrom3": report["volume_per_atom_angstrom3"],
            }
            | report["diffusion"]
            | {"published_D_cm2_per_s": report["published_D_cm2_per_s"]}
        )
    return pd.DataFrame(rows)
