"""Both engines over the published pairs of bulk and boundary diffusivities, and what the campaign cost.

    scripts/run published_continuum
    python benchmarks/continuum_published.py results/published

Writes benchmarks/results/continuum_published.md.
"""

import sys
from itertools import pairwise
from pathlib import Path

import pandas as pd

RESULT = Path(__file__).parent / "results/continuum_published.md"
CASE = ["anion", "exchange_percent", "temperature_K", "grain_size_nm"]
ERRORS = ["discretization_error", "model_error"]
RATIOS = [1, 3, 10, 30, 100]


def cost(campaign: Path) -> list[str]:
    """Processor time and memory of every job of the stage."""
    lines = ["| job | processor, s | peak, MB |", "|---|---|---|"]
    total = 0.0
    for file in sorted((campaign / "benchmarks/continuum").glob("*.tsv")):
        row = pd.read_csv(file, sep="\t").iloc[0]
        total += row["cpu_time"]
        lines.append(f"| {file.stem} | {row['cpu_time']:.0f} | {row['max_rss']:.0f} |")
    return [*lines, "", f"In all {total:.0f} s of one core."]


def agreement(campaign: Path) -> list[str]:
    """Differences of the engines where both ran, by the ratio of boundary to bulk diffusivity."""
    table = pd.read_parquet(campaign / "continuum/engine_comparison.parquet")
    voxel, interface = (table[table["engine"] == engine].set_index(CASE) for engine in ("voxel", "interface"))
    difference = (interface["D_eff_cm2_per_s"] / voxel["D_eff_cm2_per_s"] - 1).abs().dropna()
    stated = (voxel[ERRORS].sum(axis=1) + interface[ERRORS].sum(axis=1)).loc[difference.index]
    ratio = (voxel["D_gb_par_cm2_per_s"] / voxel["D_bulk_cm2_per_s"]).loc[difference.index]
    lines = [
        "| D_GB / D_bulk | cases | median difference, % | largest, % | within the sum of stated errors |",
        "|---|---|---|---|---|",
    ]
    for low, high in pairwise(RATIOS):
        chosen = (ratio >= low) & (ratio < high)
        if chosen.any():
            own, within = 100 * difference[chosen], difference[chosen] <= stated[chosen]
            lines.append(f"| {low} to {high} | {len(own)} | {own.median():.2f} | {own.max():.2f} | {within.sum()} |")
    return [*lines, "", f"{len(difference)} cases in all, {(difference <= stated).sum()} within."]


def main() -> None:
    """Write the table."""
    campaign = Path(sys.argv[1])
    table = pd.read_parquet(campaign / "continuum/effective_diffusivity.parquet")
    counts = ", ".join(f"{count} by the {engine} engine" for engine, count in table["engine"].value_counts().items())
    head = ["# The published pairs in the published cell", "", "    scripts/run published_continuum"]
    head += [f"    python benchmarks/continuum_published.py {campaign}", "", f"{len(table)} rows: {counts}.", ""]
    lines = [*head, *cost(campaign), "", "Where both engines ran:", "", *agreement(campaign)]
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
