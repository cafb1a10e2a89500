"""From outcomes to a training set: labels that passed, and a stop where too much failed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from argyro.common.errors import FileError, LabelError
from argyro.common.extxyz import read_structures

from .backends.base import Backend
from .label import Outcome
from .store import Store, labelled, provenance

MAX_SHOWN = 20  # failures listed in an error; the rest is counted
REQUIRED = ("REF_energy", "REF_stress", "level_of_theory")


def outcome_rows(structures: Sequence[Atoms], outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Outcomes as rows of the table, with what each structure is."""
    return [
        asdict(outcome)
        | {"formula": atoms.get_chemical_formula(), "atoms": len(atoms), "material": atoms.info.get("material")}
        for atoms, outcome in zip(structures, outcomes, strict=True)
    ]


def collect(
    structures: Sequence[Atoms], rows: Sequence[Mapping[str, Any]], backend: Backend, store: Store
) -> list[Atoms]:
    """Structures whose labels passed, with their labels.

    Args:
        structures: All of the set.
        rows: Their outcomes, in the same order.
        backend: That labelled them.
        store: Where the labels are.

    Raises:
        LabelError: a label that is ok is not in the store any more.
    """
    passed = []
    for atoms, row in zip(structures, rows, strict=True):
        if row["status"] != "ok":
            continue
        finished = store.load(row["label_sha256"], atoms)
        if finished is None:
            raise LabelError(
                f"the label {store.path(row['label_sha256'])} is gone or damaged; run the rule label again, for "
                "example with --forcerun label"
            )
        passed.append(labelled(atoms, finished.calculation, provenance(atoms, backend)))
    return passed


def require_enough(
    rows: Sequence[Mapping[str, Any]],
    max_failed_fraction: float,
    name: str,
    *,
    section: str = "labels",
    always_allowed: int = 0,
) -> None:
    """Stop where too many structures have no usable label.

    Args:
        rows: Outcomes of all structures.
        max_failed_fraction: Part that may fail.
        name: Of the structures, for the error.
        section: Of the configuration that says so, for the error.
        always_allowed: So many may fail whatever part of all they are: of one or two, all may be odd.

    Raises:
        LabelError: with a table of what failed and why.
    """
    failed = [(index, row) for index, row in enumerate(rows) if row["status"] != "ok"]
    if len(failed) <= max(always_allowed, max_failed_fraction * len(rows)):
        return
    lines = [
        f"{index:>6}  {row['status']:<11}  {row['formula']:<16}  {row['message']}" for index, row in failed[:MAX_SHOWN]
    ]
    more = [f"and {len(failed) - MAX_SHOWN} more"] if len(failed) > MAX_SHOWN else []
    raise LabelError(
        f"{len(failed)} of {len(rows)} structures of {name} have no usable label; {section}.max_failed_fraction allows "
        f"{max_failed_fraction:g}:\n" + "\n".join([" index  status       formula           reason", *lines, *more])
    )


def read_labelled(path: Path) -> list[Atoms]:
    """Structures of a file of ready labels.

    Raises:
        FileError: the file cannot be read, or a structure lacks labels, or they are not finite or of the wrong shape.
    """
    structures = read_structures(path)
    for index, atoms in enumerate(structures):
        missing = [key for key in REQUIRED if key not in atoms.info]
        if missing or "REF_forces" not in atoms.arrays:
            raise FileError(f"{path}: structure {index} lacks {', '.join(missing or ['REF_forces'])}")
        labels = [atoms.info["REF_energy"], atoms.info["REF_stress"], atoms.arrays["REF_forces"]]
        if [np.size(value) for value in labels] != [1, 6, 3 * len(atoms)]:
            raise FileError(f"{path}: structure {index} has labels of the wrong shape")
        if not all(np.isfinite(value).all() for value in labels):
            raise FileError(f"{path}: structure {index} has labels that are not finite")
    return structures


def require_one_level(structures: Iterable[Atoms]) -> None:
    """Refuse labels that cannot be fitted together: absolute energies differ by thousands of eV between codes.

    Raises:
        LabelError: several levels of theory; they are named.
    """
    levels = sorted({str(atoms.info["level_of_theory"]) for atoms in structures})
    if len(levels) > 1:
        raise LabelError(f"labels of several levels of theory cannot be mixed: {', '.join(levels)}; keep one of them")
