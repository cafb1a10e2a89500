"""Names and files of structures."""

from collections.abc import Sequence
from pathlib import Path

from ase import Atoms

from argyro.common.extxyz import write_structures
from argyro.common.files import write_json
from argyro.config.materials import Material

from .validator import Report


def bulk_name(material: Material, supercell: tuple[int, int, int], arrangement: int) -> str:
    """Name of a bulk cell, such as ``Li6PS5Cl-bulk-2x2x2-a0``."""
    return f"{material.id}-bulk-{'x'.join(map(str, supercell))}-a{arrangement}"


def seeds_name(material: Material) -> str:
    """Name of the seeds of a material."""
    return f"{material.id}-seeds"


def write_structure(path: Path, atoms: Atoms, report: Report) -> None:
    """Write a structure as extended XYZ and its report as JSON beside it, each in one step."""
    write_json(report_path(path), report.as_dict())
    write_structures(path, [atoms])


def write_seeds(path: Path, seeds: Sequence[Atoms], reports: Sequence[Report]) -> None:
    """Write seeds as the frames of one file, and their reports as ``{"seeds": [...]}`` beside it, each in one step."""
    write_json(report_path(path), {"seeds": [report.as_dict() for report in reports]})
    write_structures(path, seeds)


def report_path(path: Path) -> Path:
    """Where the report of a structure file is."""
    return path.with_suffix(".json")
