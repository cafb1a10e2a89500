"""Labelling structures one by one, each stored as soon as it is done."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ase import Atoms

from argyro.common.errors import LabelError
from argyro.config.labels import GatesConfig

from .backends.base import Backend, NotConvergedError
from .gates import flags, is_finite, structure_violations, violations
from .store import Finished, Store, label_hash, structure_hash

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
        rung: Of the ladder, the last one tried.
        scf_steps: Steps to self-consistency, where the code tells.
        seconds: Time the calculation took, whenever that was.
        reused: Whether the store had it.
    """

    structure_sha256: str
    label_sha256: str
    status: Status
    message: str = ""
    rung: int | None = None
    scf_steps: int | None = None
    seconds: float = 0.0
    reused: bool = False


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
    own_hash, name = structure_hash(atoms), label_hash(atoms, backend)
    if unfit := structure_violations(atoms, gates):
        return Outcome(own_hash, name, "rejected", "; ".join(unfit))
    began = time.perf_counter()
    try:
        finished, reused = obtain(atoms, backend, store)
    except NotConvergedError as error:
        spent = time.perf_counter() - began
        return Outcome(own_hash, name, "unconverged", str(error), backend.rungs - 1, None, spent)
    except LabelError as error:
        return Outcome(own_hash, name, "failed", str(error), None, None, time.perf_counter() - began)
    wrong = violations(finished.calculation, gates)
    return Outcome(
        own_hash,
        name,
        "rejected" if wrong else "ok",
        "; ".join(wrong or flags(atoms, finished.calculation, gates)),
        finished.rung,
        finished.calculation.scf_steps,
        finished.seconds,
        reused=reused,
    )


def obtain(atoms: Atoms, backend: Backend, store: Store) -> tuple[Finished, bool]:
    """The calculation of a structure, and whether the store had it already.

    Raises:
        NotConvergedError: no rung converges.
        LabelError: something else went wrong.
    """
    name = label_hash(atoms, backend)
    stored = store.load(name, atoms)
    if stored is not None:
        return stored, True
    finished = climb(atoms, backend)
    if is_finite(finished.calculation):
        store.save(name, atoms, finished, backend)
    return finished, False


def climb(atoms: Atoms, backend: Backend) -> Finished:
    """Try the rungs of the ladder in turn.

    Raises:
        NotConvergedError: none converges.
        LabelError: something else went wrong.
    """
    reasons, began = [], time.perf_counter()
    for rung in range(backend.rungs):
        try:
            return Finished(backend.calculate(atoms, rung), rung, time.perf_counter() - began)
        except NotConvergedError as error:
            logger.info("rung %d did not converge: %s", rung, error)
            reasons.append(str(error))
    raise NotConvergedError(f"none of {backend.rungs} ways to self-consistency converged; the last: {reasons[-1]}")
