"""Fits of the reference campaign: a ladder of levels on weighted labels."""

import logging
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms

import mtpcore
from argyro.common.files import sha256_of_file
from argyro.config.reference import TeacherConfig
from mtpcore.configuration import Configuration
from mtpcore.methods import MethodName
from mtpcore.progress import Progress

logger = logging.getLogger(__name__)

HALF_WEIGHT_FORCE = 5.5  # eV/angstrom: labels whose largest force is this count half
WEIGHT_POWER = 3  # with which weights fall beyond: of forces of hundreds, what is left is that they repel
CLASS_WEIGHTS: Final = {"broken": 0.3, "carved": 3.0, "rattled": 3.0}
"""Of classes that do not count 1. Broken: decomposed, or on the way there, and no run should get so far. Carved and
rattled: the hardest to fit."""
SEARCH_HOPS = 4  # of the cold start
LADDER_ITERATIONS = 35  # of each level of the ladder
LAST_ITERATIONS: Final = {4: 200, 1: 80}  # of the fits to every fourth label, then to all, by gradients


def usable(labelled: Sequence[Atoms], settings: TeacherConfig) -> list[Atoms]:
    """Labels without too large forces; the others are counted in the log."""
    kept = [atoms for atoms in labelled if largest_force(atoms) <= settings.max_force_eV_per_angstrom]
    logger.info(
        "%d of %d labels left out: forces above %g eV/angstrom",
        len(labelled) - len(kept),
        len(labelled),
        settings.max_force_eV_per_angstrom,
    )
    return kept


def largest_force(atoms: Atoms) -> float:
    """Of a label, eV/angstrom."""
    return float(np.linalg.norm(atoms.arrays["REF_forces"], axis=1).max())


def weight(atoms: Atoms) -> float:
    """How much a label counts in a fit: less, the farther it is from anything that a run visits."""
    own = CLASS_WEIGHTS.get(atoms.info["class"], 1.0)
    return float(own / (1 + (largest_force(atoms) / HALF_WEIGHT_FORCE) ** WEIGHT_POWER))


def configurations(labelled: Sequence[Atoms], species: Sequence[str]) -> list[Configuration]:
    """Labels as the fit takes them, with their weights."""
    found = []
    for atoms in labelled:
        configuration = Configuration.from_atoms(atoms, species)
        configuration.features["fit_weight"] = repr(weight(atoms))
        found.append(configuration)
    return found


def fit_ladder(
    labelled: Sequence[Atoms],
    species: Sequence[str],
    settings: TeacherConfig,
    *,
    levels: Sequence[int],
    seed: int,
    threads: int,
) -> mtpcore.Potential:
    """Fit one level after the other to a part of the labels, each starting from the one before; the last then to more.

    The ladder is climbed by variable projection, whose steps fall far. Along the valley that is left gradients are
    several times as fast; most of its length is gone where steps are cheap, on part of the labels.

    Args:
        labelled: Structures with labels.
        species: Elements in the order of the potential's species.
        settings: Cutoff, weights, which labels are left out, and how many the ladder is climbed on.
        levels: Ascending.
        seed: Of the cold start, and of what higher levels begin with.
        threads: Of the fits.
    """
    weights = mtpcore.FitWeights(settings.energy_weight, settings.force_weight_angstrom2, settings.stress_weight)

    def how(method: MethodName, iterations: int) -> mtpcore.FitSettings:
        return mtpcore.FitSettings(
            weights, method, seed=seed % 2**31, hops=SEARCH_HOPS, max_iterations=iterations, threads=threads
        )

    data = configurations(usable(labelled, settings), species)
    some = data[:: max(1, round(1 / settings.ladder_share))]
    potential = mtpcore.new_potential(
        levels[0],
        len(species),
        min_dist=settings.min_dist_angstrom,
        max_dist=settings.cutoff_angstrom,
        radial_basis_size=settings.radial_basis_size,
    )
    for level in levels:
        start = mtpcore.upconvert(potential, level) if potential.trained else potential
        potential = _fit(start, some, how("variable-projection", LADDER_ITERATIONS))
    for every, iterations in LAST_ITERATIONS.items():
        potential = _fit(potential, data[::every], how("bfgs", iterations))
    return potential


def _fit(start: mtpcore.Potential, data: Sequence[Configuration], settings: mtpcore.FitSettings) -> mtpcore.Potential:
    fit = mtpcore.fit(start, data, settings=settings, progress=Progress(enabled=False))
    logger.info(
        "%d parameters, %d labels, %s: %s after %d iterations, loss %.5f, energy %.2f meV/atom, force %.4f eV/angstrom",
        start.parameter_count,
        len(data),
        settings.method,
        fit.reason,
        len(fit.history["loss"]),
        fit.loss,
        1000 * fit.errors.energy_per_atom,
        fit.errors.force,
    )
    return fit.potential


def sidecar(
    settings: TeacherConfig, species: Sequence[str], level_of_theory: str, training_set: Path
) -> dict[str, Any]:
    """What a potential's file does not say of itself."""
    return {
        "species": list(species),
        "level": settings.levels[-1],
        "cutoff_angstrom": settings.cutoff_angstrom,
        "radial_basis_size": settings.radial_basis_size,
        "level_of_theory": level_of_theory,
        "training_set": training_set.name,
        "training_set_sha256": sha256_of_file(training_set),
        "units": "eV, angstrom",
        "mtpcore": version("mtpcore"),
    }
