"""Files of structures: extended XYZ, with the report of the validator beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ase import Atoms

from argyro.common.extxyz import write_structures
from argyro.common.files import write_json

from .validator import Report


def write_structure(path: Path, atoms: Atoms, report: Report, details: Mapping[str, Any] | None = None) -> None:
    """Write a structure as extended XYZ and its report as JSON beside it, each in one step.

    Args:
        path: Of the structure.
        atoms: The structure.
        report: Of the validator.
        details: What else the report is to say of the structure, under the key ``details``.
    """
    write_json(report_path(path), report.as_dict() | ({"details": dict(details)} if details else {}))
    write_structures(path, [atoms])


def write_seeds(path: Path, seeds: Sequence[Atoms], reports: Sequence[Report]) -> None:
    """Write seeds as the frames of one file, and their reports as ``{"seeds": [...]}`` beside it, each in one step."""
    write_json(report_path(path), {"seeds": [report.as_dict() for report in reports]})
    write_structures(path, seeds)


def report_path(path: Path) -> Path:
    """Where the report of a structure file is."""
    return path.with_suffix(".json")
