"""Molecular dynamics by the teachers that ship with the project: whether they hold, and how fast lithium moves.

Three calls, which need not be on one machine; the folder goes along:

    python benchmarks/teacher_runs.py start
    python benchmarks/teacher_runs.py run --engine gpu
    python benchmarks/teacher_runs.py table

All trials of the preset `reference` (bulk of 416 atoms at 0 and 50 % exchange and a bicrystal, at 300, 700 and
1000 K) and further bulk runs at 700 and 1000 K, each 200 ps at constant volume after 20 ps at zero pressure; on a GPU
all of one halide side by side. Writes benchmarks/results/teacher_runs.md and config/reference/teacher/trials.csv.
"""

import argparse
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from argyro.common.extxyz import read_structure, write_structures
from argyro.common.files import read_json, replacing, write_json
from argyro.common.randomness import seed_for
from argyro.config.materials import Material
from argyro.config.reference import TrialConfig
from argyro.config.structures import DistanceLimits
from argyro.md.lammps import PotentialFile
from argyro.md.run import Run, RunResult, run_side_by_side
from argyro.reference.dynamics import (
    Trial,
    diffusion,
    equilibration,
    production,
    published_diffusivity,
    relaxed_start,
    trial_report,
    trial_table,
)

if TYPE_CHECKING:
    from argyro.config.dynamics import Engine

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks/results/teacher_runs.md"
TEACHERS = ROOT / "config/reference/teacher"
PUBLISHED = ROOT / "config/reference/published_diffusivity.csv"
ANIONS, MOVING_K, REPLICAS = ("Cl", "Br", "I"), (700, 1000), 2


def potential(anion: str) -> PotentialFile:
    """The teacher."""
    return PotentialFile(TEACHERS / f"{anion}.mtp", ("Li", "P", "S", anion))


def trials(anion: str, settings: TrialConfig) -> dict[str, Trial]:
    """All runs of a halide; names of those for diffusivities alone end with their number."""
    materials = [
        Material(id=f"Li6PS5{anion}-{percent:g}", formula=f"Li6PS5{anion}", anion=anion, exchange_percent=percent)
        for percent in settings.exchange_percent
    ]
    found = {f"{m.id}-{kind}-{k}K": Trial(m, kind, float(k)) for m, kind, k in settings.runs(materials)}
    more = [(material, k, replica) for material in materials for k in MOVING_K for replica in range(REPLICAS)]
    return found | {f"{m.id}-bulk-{k}K-{replica}": Trial(m, "bulk", float(k)) for m, k, replica in more}


def prepare(folder: Path, anion: str, settings: TrialConfig) -> None:
    """Relax the structures, by LAMMPS."""
    for name, trial in trials(anion, settings).items():
        own = folder / anion / name
        start = relaxed_start(trial, potential(anion), DistanceLimits(), own, seed=seed_for(1, name))
        write_structures(own / "start.extxyz", [start])


def run(folder: Path, anion: str, settings: TrialConfig) -> None:
    """Run all of a halide, and measure."""
    asked, teacher = trials(anion, settings), potential(anion)

    def first(name: str) -> Run:
        own = folder / anion / name
        start = read_structure(own / "start.extxyz")
        return equilibration(asked[name], start, teacher, settings, own, seed=seed_for(1, name))

    def second(name: str) -> Run:
        return production(asked[name], results[name], teacher, settings, folder / anion / name, seed=seed_for(1, name))

    results = side_by_side(asked, first, settings)
    results |= side_by_side([name for name, result in results.items() if result.finished], second, settings)
    reports = {name: trial_report(asked[name], result, PUBLISHED) for name, result in results.items()}
    write_json(folder / f"{anion}.json", {"reports": reports, "diffusion": moving(asked, results)})


def side_by_side(names: Collection[str], of: Callable[[str], Run], settings: TrialConfig) -> dict[str, RunResult]:
    """Results of these runs, by name."""
    return dict(zip(names, run_side_by_side([of(name) for name in names], engine=settings.engine), strict=True))


def moving(asked: dict[str, Trial], results: dict[str, RunResult]) -> list[dict[str, Any]]:
    """Diffusivities of all runs of one material at one temperature."""
    rows = []
    for material in {trial.material.id: trial.material for trial in asked.values()}.values():
        for temperature in MOVING_K:
            same = [
                results[name]
                for name, trial in asked.items()
                if (trial.material, trial.kind, trial.temperature_K) == (material, "bulk", temperature)
                and results[name].finished
            ]
            published = published_diffusivity(material.anion, material.exchange_percent, temperature, PUBLISHED)
            row = {"material": material.id, "temperature_K": temperature, "runs": len(same)}
            found = diffusion(same, material.mobile) if same else {"diffusive": "no run is left"}
            rows.append(row | found | {"published_D_cm2_per_s": published})
    return rows


def table(folder: Path) -> None:
    """Write what was found."""
    found = {anion: read_json(folder / f"{anion}.json") for anion in ANIONS if (folder / f"{anion}.json").exists()}
    held = trial_table([r for content in found.values() for r in content["reports"].values()])
    names = [name for content in found.values() for name in content["reports"]]
    with replacing(TEACHERS / "trials.csv") as part:
        held[[name.endswith("K") for name in names]].to_csv(part, index=False, float_format="%.5g")
    diffusivities = pd.DataFrame([row for content in found.values() for row in content["diffusion"]])
    named = ["material", "temperature_K", "runs", "diffusive", "D_cm2_per_s", "D_cm2_per_s_lo68", "D_cm2_per_s_hi68",
             "D_upper95_cm2_per_s", "published_D_cm2_per_s"]  # fmt: skip
    diffusivities = diffusivities.reindex(columns=named)
    drift = ["drift_meV_per_atom_per_ns", "drift_error_meV_per_atom_per_ns"]
    columns = ["material", "kind", "temperature_K", "status", "length_ps", *drift, "broken_bonds", "violations"]
    text = [
        "# Molecular dynamics by the teachers",
        f"`benchmarks/teacher_runs.py`: {(__doc__ or '').split(chr(10) * 2)[3]}".replace("\n", " "),
        "## Lithium in bulk, all runs of a cell together, cm^2/s; intervals of 68 %",
        markdown(diffusivities),
        "## Runs",
        markdown(held[columns]),
    ]
    with replacing(RESULT) as part:
        part.write_text("\n\n".join(text) + "\n", encoding="utf-8")
    print(RESULT.read_text("utf-8"))


def markdown(frame: pd.DataFrame) -> str:
    """A table."""
    rows = [["" if pd.isna(x) else f"{x:.4g}" if isinstance(x, float) else str(x) for x in row]
            for row in frame.itertuples(index=False)]  # fmt: skip
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(frame), ["---"] * frame.shape[1], *rows])


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("start", "run", "table"))
    parser.add_argument("--engine", default="lammps", choices=("lammps", "gpu"))
    parser.add_argument("--anions", nargs="+", default=ANIONS, choices=ANIONS)
    parser.add_argument("--folder", type=Path, default=ROOT / "results/teacher_runs")
    options = parser.parse_args()
    engine: Engine = options.engine
    settings = TrialConfig(engine=engine)
    if options.what == "table":
        table(options.folder)
    for anion in options.anions if options.what != "table" else ():
        {"start": prepare, "run": run}[options.what](options.folder, anion, settings)


if __name__ == "__main__":
    main()
