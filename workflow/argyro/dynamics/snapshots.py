"""What runs met that their potential did not know, for learning to take up."""

from collections.abc import Sequence
from pathlib import Path

from ase import Atoms

from argyro.common.extxyz import read_structures
from argyro.common.files import read_json
from argyro.learning.explore import handed_on
from argyro.md.harvest import SNAPSHOTS_FILE

from .runs import EQUILIBRATION

MOST = 20  # of an equilibration or a production: what follows is much like what went before


def unknown_snapshots(reports: Sequence[Path]) -> list[Atoms]:
    """Structures whose extrapolation grade was above the select grade of their run.

    Args:
        reports: Of runs, beside their files.

    Returns:
        Evenly spread over each run, its last and its worst one included, with structure, material, temperature_K, step
        and largest_grade in ``info``.
    """
    found = []
    for report in reports:
        row = read_json(report)
        for folder in (report.parent / EQUILIBRATION, report.parent):
            if not (folder / SNAPSHOTS_FILE).exists():
                continue
            snapshots = read_structures(folder / SNAPSHOTS_FILE)
            for index in handed_on([snapshot.info["largest_grade"] for snapshot in snapshots], MOST):
                snapshots[index].info |= {name: row[name] for name in ("structure", "material", "temperature_K")}
                found.append(snapshots[index])
    return found
