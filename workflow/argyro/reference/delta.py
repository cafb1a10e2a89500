"""A delta fit of one parameter: energies times a factor, so that forces are as strong as those by PBE.

Foundation models of the kind that label the large set are too soft: away from equilibrium, forces and barriers come out
too small by one common factor (B. Deng et al., npj Comput. Mater. 11, 9 (2025)), which a potential inherits. A moment
tensor potential is linear in its moments, so the factor can be put into it exactly.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from ase import Atoms

from argyro.common.errors import LabelError
from mtpcore import Potential
from mtpcore.ase import MTP

from .dataset import source_of
from .errors import Predictor, fractions_of, of_potential

type FloatArray = npt.NDArray[np.float64]

VISITED = ("bulk", "boundary", "carved", "hot")
"""Classes of what runs visit. What is rattled or broken has repulsion in it, which is not too soft."""


@dataclass(frozen=True)
class Delta:
    """What the energies of a potential are multiplied by.

    Attributes:
        factor: Of all energies.
        error: Its standard error, by leaving out one source of structures after the other.
        structures: How many it was fitted to.
    """

    factor: float
    error: float
    structures: int

    def table(self) -> dict[str, float]:
        """As JSON holds it."""
        return asdict(self)


def fit_delta(predict: Predictor, labelled: Sequence[Atoms]) -> Delta:
    """The factor by which predicted forces explain labelled ones best, by least squares.

    Args:
        predict: What is too soft.
        labelled: Labels, with ``class`` and ``source``; those of classes that no run visits are passed over.

    Raises:
        LabelError: fewer than two sources are left.
    """
    visited = [atoms for atoms in labelled if atoms.info["class"] in VISITED]
    sources = sorted({source_of(atoms) for atoms in visited})
    if len(sources) < 2:  # noqa: PLR2004  of one there is no error
        raise LabelError(
            f"a factor needs labels by PBE of two sources in {', '.join(VISITED)}, and there are {len(sources)}: "
            "label more, or set reference.teacher.delta to false"
        )
    sums = dict.fromkeys(sources, np.zeros(2))
    for atoms in visited:
        forces, labels = predict(atoms)[1], np.asarray(atoms.arrays["REF_forces"])
        sums[source_of(atoms)] = sums[source_of(atoms)] + [np.sum(forces * labels), np.sum(forces**2)]
    parts = np.array(list(sums.values()))
    upper, lower = parts.sum(axis=0)
    without = (upper - parts[:, 0]) / (lower - parts[:, 1])
    error = np.sqrt((len(parts) - 1) * np.var(without))  # jackknife
    return Delta(float(upper / lower), float(error), len(visited))


def corrected(potential: Potential, species: Sequence[str], labelled: Sequence[Atoms]) -> tuple[Potential, Delta]:
    """A potential whose forces are as strong as the labels', and by how much they were not.

    The mean energies of compositions stay what they were: a zero of energy has no strength.

    Args:
        potential: What is too soft.
        species: Elements in the order of the potential's species.
        labelled: As `fit_delta` takes them.

    Raises:
        LabelError: see `fit_delta`.
    """
    predict = of_potential(MTP(potential, species))
    delta = fit_delta(predict, labelled)
    energies = np.array([predict(atoms)[0] / len(atoms) for atoms in labelled])
    return _scaled(potential, delta.factor, energies, fractions_of(labelled, species)), delta


def _scaled(potential: Potential, factor: float, energies: FloatArray, fractions: FloatArray) -> Potential:
    """A copy with moments multiplied, and energies per atom, shape (M,), of those fractions (M, S) changed least."""
    copy = Potential(potential)
    copy.active_set = None  # of other coefficients
    copy.moment_coeffs = factor * potential.moment_coeffs
    of_moments = energies - fractions @ potential.species_coeffs
    copy.species_coeffs = potential.species_coeffs + np.linalg.lstsq(fractions, (1 - factor) * of_moments)[0]
    return copy
