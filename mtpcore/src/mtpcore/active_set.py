"""Extrapolation grades, and the choice of the configurations that a potential must be trained on.

An active set holds as many rows d(energy)/d(parameters) as the potential has parameters, chosen from the training
data so that their determinant is as large as can be (MaxVol). The extrapolation grade of a neighbourhood is the largest
coefficient of its own row in those of the active set: up to 1 the potential interpolates, above it extrapolates.

Source: E. V. Podryabinkin and A. V. Shapeev, Comput. Mater. Sci. 140, 171 (2017); Podryabinkin et al., J. Chem. Phys.
    159, 084112 (2023) (neighbourhoods).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .configuration import Configuration
from .errors import ActiveSetError
from .maxvol import DEFAULT_THRESHOLD
from .potential import Potential
from .rows import Mode, RowSource, configuration_of, naming, structure_of
from .selection import Selection, mode_of

if TYPE_CHECKING:
    from ase import Atoms

type FloatArray = npt.NDArray[np.float64]
type Structures = Sequence["Configuration | Atoms"]

MEAN = 2  # the weight scaling for which the row of a configuration is the mean of its atoms' rows


@dataclass(frozen=True, eq=False)
class SelectionResult:
    """What :func:`select_add` chose among C candidates.

    Attributes:
        selected: Indices of the candidates to add, ascending.
        atoms: For each of them, the atoms whose neighbourhoods are in the active set (all, in configuration mode).
        grades_before: Grades of each candidate by the active set of the training data, shape (N,) each ((1,) in
            configuration mode).
        grades_after: The same by the active set of training data and added candidates.
        potential: With the latter.
        condition: Bound of the condition number of its active set, on the space the data span.
    """

    selected: list[int]
    atoms: list[npt.NDArray[np.int64]]
    grades_before: list[FloatArray]
    grades_after: list[FloatArray]
    potential: Potential
    condition: float

    @property
    def table(self) -> dict[str, npt.NDArray[Any]]:
        """One row a candidate: index, whether it is selected, number of its selected atoms, highest grades."""
        count = len(self.grades_before)
        atoms = np.zeros(count, dtype=np.int64)
        atoms[self.selected] = [len(numbers) for numbers in self.atoms]
        return {
            "candidate": np.arange(count),
            "selected": np.isin(np.arange(count), self.selected),
            "selected_atoms": atoms,
            "grade_before": np.array([grades.max() for grades in self.grades_before]),
            "grade_after": np.array([grades.max() for grades in self.grades_after]),
        }


def grade(
    potential: Potential,
    configurations: Structures,
    *,
    species: Sequence[str] | None = None,
    threads: int | None = None,
) -> list[FloatArray]:
    """Extrapolation grades.

    Args:
        potential: With an active set.
        configurations: Configurations, or ASE's atoms.
        species: Element of each species of the potential; needed for ASE's atoms.
        threads: Threads over atoms.

    Returns:
        The grade of every atom of each configuration, shape (N,); by an active set of configurations, the grade of each
        configuration, shape (1,).

    Raises:
        ActiveSetError: the potential holds no active set.
        UnknownSpeciesError: a species the potential lacks; names the configuration.
        InvalidStructureError: a structure cannot be evaluated; names the configuration.
    """
    active_set = potential.active_set
    if active_set is None:
        raise ActiveSetError("the potential holds no active set: read one from an .almtp file or select one first")
    source = RowSource(potential, mode_of(active_set), active_set.weight_scaling, threads)
    source.set_inverse(active_set.inverse_transposed.T)
    return _grades(source, configurations, species)


def select(
    potential: Potential,
    configurations: Structures,
    *,
    mode: Mode = "neighborhood",
    weight_scaling: int = MEAN,
    threshold: float = DEFAULT_THRESHOLD,
    species: Sequence[str] | None = None,
    threads: int | None = None,
) -> Potential:
    """Choose an active set from scratch.

    Args:
        potential: With coefficients; an active set it has is dropped.
        configurations: The training data: configurations, or ASE's atoms.
        mode: Choose among the neighbourhoods of atoms, or among whole configurations.
        weight_scaling: p; the row of a configuration of N atoms is the sum over its atoms divided by N^(p / 2).
        threshold: Grade above which a row is taken in, above 1.
        species: Element of each species of the potential; needed for ASE's atoms.
        threads: Threads over atoms.

    Returns:
        A copy of the potential with the active set: no row of these configurations has a grade above the threshold.

    Raises:
        ActiveSetError: there are no configurations, or the threshold is 1 or below.
        UnknownSpeciesError: a species the potential lacks; names the configuration.
        InvalidStructureError: a structure cannot be evaluated; names the configuration.
    """
    items = _configurations(configurations, species)
    source = RowSource(potential, mode, weight_scaling, threads)
    return _with_active_set(_select(source, items, threshold))


def select_add(
    potential: Potential,
    training: Structures,
    candidates: Structures,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    limit: int | None = None,
    mode: Mode | None = None,
    species: Sequence[str] | None = None,
    threads: int | None = None,
) -> SelectionResult:
    """Choose the candidates to label and add to the training data.

    The active set is kept if the potential holds one, and chosen from the training data otherwise, as after a fit. Then
    rows of training data and candidates compete; candidates with a row in the active set at the end are chosen, so that
    all others are interpolations. A second call with these added chooses nothing.

    Args:
        potential: With coefficients, with or without an active set.
        training: What the potential was trained on: configurations, or ASE's atoms.
        candidates: What may be added.
        threshold: Grade above which a candidate is considered at all, at least 1.001.
        limit: Most candidates to choose: those of the highest grades.
        mode: Choose neighbourhoods or configurations; by default as the potential's active set does, else the former.
        species: Element of each species of the potential; needed for ASE's atoms.
        threads: Threads over atoms.

    Raises:
        ActiveSetError: the active set belongs to other coefficients or to the other mode, there are no training data,
            or a threshold or limit is out of range.
        UnknownSpeciesError: a species the potential lacks; names the configuration.
        InvalidStructureError: a structure cannot be evaluated; names the configuration.
    """
    if threshold < DEFAULT_THRESHOLD or (limit is not None and limit < 0):
        raise ActiveSetError(f"threshold {threshold} must be at least {DEFAULT_THRESHOLD}, limit {limit} at least 0")
    old, new = _configurations(training, species), _configurations(candidates, species)
    base = _base(potential, old, mode, threads)
    before = _grades_by(base, new)
    final, selected = _choose(base, old, new, before, threshold, limit)
    return SelectionResult(
        selected=selected,
        atoms=[_atoms(final, new[index]) for index in selected],
        grades_before=before,
        grades_after=_grades_by(final, new),
        potential=_with_active_set(final),
        condition=final.state.condition(),
    )


def _select(source: RowSource, configurations: Sequence[Configuration], threshold: float) -> Selection:
    if not configurations or threshold <= 1.0:
        raise ActiveSetError(f"an active set needs configurations and a threshold above 1, not {threshold}")
    selection = Selection.start(source, configurations)
    selection.dominate(configurations, threshold)
    return selection


def _base(potential: Potential, training: Sequence[Configuration], mode: Mode | None, threads: int | None) -> Selection:
    """The selection among the training data, which none of them is beyond."""
    if potential.active_set is None:
        source = RowSource(potential, mode or "neighborhood", MEAN, threads)
        return _select(source, training, DEFAULT_THRESHOLD)
    selection = Selection.resume(potential, threads)
    if mode not in {None, selection.source.mode}:
        raise ActiveSetError(f"the potential's active set is in {selection.source.mode} mode, not in {mode} mode")
    _grades_by(selection, training)
    selection.dominate(training)
    return selection


def _choose(  # noqa: PLR0917  the second half of select_add
    base: Selection,
    training: Sequence[Configuration],
    candidates: Sequence[Configuration],
    grades: Sequence[FloatArray],
    threshold: float,
    limit: int | None,
) -> tuple[Selection, list[int]]:
    """The selection with the candidates to add, and their indices; the highest grades where there is a limit."""
    order = sorted(range(len(candidates)), key=lambda index: -grades[index].max())
    eligible = [index for index in order if grades[index].max() > threshold]
    final, selected = _compete(base, training, candidates, eligible)
    if limit is None or len(selected) <= limit:
        return final, selected
    return _compete(base, training, candidates, [index for index in eligible if index in selected][:limit])


def _compete(
    base: Selection, training: Sequence[Configuration], candidates: Sequence[Configuration], eligible: Sequence[int]
) -> tuple[Selection, list[int]]:
    """The selection among training data and eligible candidates, and the candidates that have rows in it."""
    final = base.copy()
    if not eligible:
        return final, []
    everything = [*training, *(candidates[index] for index in sorted(eligible))]
    final.dominate(everything)
    selected = _present(final, training, candidates, eligible)
    # The size of the start rows is that of the data: without this it would be for good that of the first few.
    final.rescale([*training, *(candidates[index] for index in selected)])
    final.dominate(everything)
    return final, _present(final, training, candidates, eligible)


def _present(
    selection: Selection,
    training: Sequence[Configuration],
    candidates: Sequence[Configuration],
    eligible: Sequence[int],
) -> list[int]:
    """Eligible candidates that have rows in the active set and are not among the training data, each only once."""
    seen = {selection.place(configuration) for configuration in training}
    present = []
    for index in sorted(eligible):
        place = selection.place(candidates[index])
        if place not in seen and selection.equations(candidates[index]):
            present.append(index)
        seen.add(place)
    return present


def _atoms(selection: Selection, configuration: Configuration) -> npt.NDArray[np.int64]:
    """Atoms of a configuration whose rows are in the active set."""
    count = len(configuration.types)
    if selection.source.mode == "configuration":
        return np.arange(count)
    return np.array(selection.equations(configuration), dtype=np.int64) - selection.source.first_equation(count)


def _configurations(items: Structures, species: Sequence[str] | None) -> list[Configuration]:
    converted = []
    for index, item in enumerate(items):
        with naming(f"configuration {index}"):
            converted.append(configuration_of(item, species))
    return converted


def _grades_by(selection: Selection, configurations: Sequence[Configuration]) -> list[FloatArray]:
    selection.source.set_inverse(selection.state.inverse)
    return _grades(selection.source, configurations, None)


def _grades(source: RowSource, items: Structures, species: Sequence[str] | None) -> list[FloatArray]:
    grades = []
    for index, item in enumerate(items):
        with naming(f"configuration {index}"):
            grades.append(source.grades(structure_of(item, species)))
    return grades


def _with_active_set(selection: Selection) -> Potential:
    potential = Potential(selection.source.potential)
    potential.active_set = selection.active_set()
    return potential
