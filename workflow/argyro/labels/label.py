"""Labelling structures one by one, each stored as soon as it is done."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ase import Atoms

from argyro.common.errors import LabelError
from argyro.config.labels import GatesConfig

from .backends.base import Backend, Calculation, NotConvergedError
from .gates import flags, is_finite, violations
from .store import Store, label_hash, settings_hash, structure_hash

logger = logging.getLogger(__name__)
type Status = Literal["ok", "rejected", "unconverged", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of one structure.

    Attributes:
        structure_sha256: Hash of the structure.
        label_sha256: Name of its label in the store.
        status: ``ok``; ``rejected`` by the gates; ``unconverged`` on all rungs; or ``failed``.
        message: Why it is not ok, or what is unusual.
        rung: Of the ladder, the last one tried; None if the store had it.
        scf_steps: Steps to self-consistency, where the code tells.
        seconds: Time it took; zero if the store had it.
    """

    structure_sha256: str
    label_sha256: str
    status: Status
    message: str = ""
    rung: int | None = None
    scf_steps: int | None = None
    seconds: float = 0.0


def label_structures(structures: Sequence[Atoms], backend: Backend, store: Store, gates: GatesConfig) -> list[Outcome]:
    """Label structures; what the store has is not computed again.

    A kill loses the calculation that is running and nothing else.

    Args:
        structures: What to label.
        backend: How.
        store: Where finished calculations are and go.
        gates: What a label must pass.

    Returns:
        One outcome per structure, in their order.
    """
    outcomes = []
    for index, atoms in enumerate(structures):
        outcome = label_one(atoms, backend, store, gates)
        outcomes.append(outcome)
        logger.info("%d of %d: %s %s", index + 1, len(structures), outcome.status, outcome.message)
    return outcomes


def label_one(atoms: Atoms, backend: Backend, store: Store, gates: GatesConfig) -> Outcome:
    """Label one structure, or take its label from the store."""
    name, own_hash = label_hash(atoms, backend), structure_hash(atoms)
    began = time.perf_counter()
    calculation, rung = store.load(name, atoms), None
    if calculation is None:
        try:
            calculation, rung = climb(atoms, backend)
        except NotConvergedError as error:
            spent = time.perf_counter() - began
            return Outcome(own_hash, name, "unconverged", str(error), backend.rungs - 1, None, spent)
        except LabelError as error:
            return Outcome(own_hash, name, "failed", str(error), None, None, time.perf_counter() - began)
        if is_finite(calculation):
            store.save(name, atoms, calculation, provenance(atoms, backend))
    wrong = violations(atoms, calculation, gates)
    return Outcome(
        own_hash,
        name,
        "rejected" if wrong else "ok",
        "; ".join(wrong or flags(atoms, calculation, gates)),
        rung,
        calculation.scf_steps,
        time.perf_counter() - began if rung is not None else 0.0,
    )


def climb(atoms: Atoms, backend: Backend) -> tuple[Calculation, int]:
    """Try the rungs of the ladder in turn; the calculation and the rung that gave it.

    Raises:
        NotConvergedError: none converges.
        LabelError: something else went wrong.
    """
    reasons = []
    for rung in range(backend.rungs):
        try:
            return backend.calculate(atoms, rung), rung
        except NotConvergedError as error:
            logger.info("rung %d did not converge: %s", rung, error)
            reasons.append(str(error))
    raise NotConvergedError(f"none of {backend.rungs} ways to self-consistency converged; the last: {reasons[-1]}")


def provenance(atoms: Atoms, backend: Backend) -> dict[str, str]:
    """What a label says of its origin."""
    return {
        "level_of_theory": backend.level_of_theory,
        "settings_sha256": settings_hash(backend, set(atoms.get_chemical_symbols())),
        "code_version": backend.code_version,
    }
