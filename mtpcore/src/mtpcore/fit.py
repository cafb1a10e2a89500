"""Fitting potentials to labelled configurations."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from . import least_squares, search
from .checkpoint import Checkpoint, problem_key, read_checkpoint, write_checkpoint
from .configuration import Configuration
from .fitting_problem import Errors, FittingProblem, FitWeights
from .methods import METHODS, MethodName
from .potential import Potential, get_parameters, set_parameters
from .progress import Progress
from .training_set import TrainingSet, make_training_set

type FloatArray = npt.NDArray[np.float64]
type Reason = Literal["converged", "stagnation", "budget", "segment"]

HISTORY = (
    "stage",
    "iteration",
    "loss",
    "energy_rmse_eV_per_atom",
    "force_rmse_eV_per_angstrom",
    "virial_rmse_eV_per_atom",
    "gradient_norm",
    "damping",
)
MAX_SEARCH = 4  # times the hops without success that end a search


@dataclass(frozen=True, eq=False)
class FitResult:
    """Outcome of a fit.

    Attributes:
        potential: The fitted potential; never worse on the training set than the one given.
        reason: Why the fit ended: ``converged`` (the loss falls by less than the tolerance over the method's window),
            ``stagnation`` (no step lowers the loss), ``budget`` (max_iterations), or ``segment`` (more to do: call
            again with the same checkpoint).
        loss: Final weighted loss of the data.
        errors: Final root-mean-square errors on the training set.
        history: One entry an iteration, arrays of equal length: stage (0 the search of a cold start, 1 the minimisation
            proper), iteration, loss, energy_rmse_eV_per_atom, force_rmse_eV_per_angstrom, virial_rmse_eV_per_atom (NaN
            unless stresses have a weight), gradient_norm, damping (NaN with BFGS).
    """

    potential: Potential
    reason: Reason
    loss: float
    errors: Errors
    history: dict[str, FloatArray]

    @property
    def success(self) -> bool:
        """Whether the fit ended by itself."""
        return self.reason in {"converged", "stagnation"}


@dataclass(frozen=True)
class FitSettings:
    """What a fit may be told besides its data.

    Attributes:
        weights: Weights of the loss.
        method: ``variable-projection`` (:mod:`mtpcore.least_squares`): tens of iterations, each a Jacobian and two
            linear solves; ``bfgs`` (:mod:`mtpcore.bfgs`): thousands of iterations, each hardly more than one loss with
            its gradient. The search of a cold start is by variable projection in any case.
        max_iterations: Budget of accepted steps; by default 300, or 5000 of BFGS.
        tolerance: Relative fall of the loss over ten iterations, or 200 of BFGS, below which the fit has converged.
        seed: Of the random radial coefficients of a cold start.
        hops: A cold start's search for a good basin (see :mod:`mtpcore.search`) ends when so many hops in a row find
            nothing better, at the latest after four times as many; a warm start does none.
        regularization: Weight of the radial coefficients' squares, in units of their typical size and of the loss that
            is left. It keeps the radial functions of pairs that are rarely seen from growing without bound for next to
            nothing, which would ruin the potential outside its training set.
        threads: Threads over configurations; by default the processors this process may use, at most 16.
    """

    weights: FitWeights = field(default_factory=FitWeights)
    method: MethodName = "variable-projection"
    max_iterations: int | None = None
    tolerance: float = 1e-3
    seed: int = 0
    hops: int = 20
    regularization: float = 1e-5
    threads: int | None = None


def fit(
    potential: Potential,
    training_set: Sequence[Configuration],
    weights: FitWeights | None = None,
    *,
    settings: FitSettings | None = None,
    reference_energies: FloatArray | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    segment_iterations: int | None = None,
    communicator: Any = None,
    progress: Progress | None = None,
) -> FitResult:
    """Fit a potential to energies, forces and stresses.

    An untrained potential starts cold: radial functions from Chebyshev polynomials with seeded noise, the linear
    coefficients by least squares, then a search for a good basin (see :mod:`mtpcore.search`). A trained one (such as
    :func:`mtpcore.upconvert` of a lower level) starts from its coefficients.

    Args:
        potential: Tables, distances and, for a warm start, coefficients.
        training_set: Configurations with energies, forces and, where known, stresses.
        weights: Weights of the loss; short for ``settings.weights``.
        settings: Budget, tolerance, seed, threads.
        reference_energies: Energy per atom of every species, eV, shape (S,); by default those that explain the labels
            best. They change numerics only: the result holds them in its species coefficients.
        checkpoint: File that holds the state of the fit after every segment. If it exists the fit goes on from there;
            a fit that was killed repeats at most one segment.
        segment_iterations: Iterations of one segment. With it, a call ends after one segment with reason ``segment``
            unless the fit is done; every segment starts from the file, so that a fit in one process after another,
            killed or not, ends bit-identical.
        communicator: mpi4py communicator: ranks share the configurations; every rank gets the result.
        progress: Shows a line per iteration; by default on a terminal only.

    Raises:
        TrainingSetError, UnknownSpeciesError, InvalidStructureError: the data cannot be fitted to.
        CheckpointError: the checkpoint belongs to another fit or is damaged.
        ValueError: ``segment_iterations`` without a checkpoint, reference energies of the wrong shape, or an unknown
            method.
    """
    settings = settings or FitSettings()
    if weights is not None:
        settings = replace(settings, weights=weights)
    if segment_iterations is not None and checkpoint is None:
        raise ValueError("segment_iterations needs a checkpoint to carry the state from one segment to the next")
    if settings.method not in METHODS:
        raise ValueError(f"no method is called {settings.method!r}; there are {', '.join(METHODS)}")
    run = _Fit(potential, training_set, settings, reference_energies, communicator, progress or Progress())
    path = None if checkpoint is None else Path(checkpoint)
    state = run.resume(path) if path is not None and path.exists() else run.start()
    return run.advance(state, path, segment_iterations)


class _Fit:
    """One fit: the problem, and the loop over iterations."""

    def __init__(  # noqa: PLR0917  what fit() was given, in its order
        self,
        potential: Potential,
        configurations: Sequence[Configuration],
        settings: FitSettings,
        reference_energies: FloatArray | None,
        communicator: Any,
        progress: Progress,
    ) -> None:
        self.potential = potential
        self.settings = settings
        self.method = METHODS[settings.method]
        self.progress = progress
        self.communicator = communicator
        self.root = communicator is None or communicator.rank == 0
        self.configurations = configurations
        whole = make_training_set(configurations, potential)
        self.reference = _reference_energies(whole, reference_energies)
        self.subset = search.search_subset(whole.atom_counts, potential.parameter_count)
        share = whole if communicator is None else self._share(range(len(configurations)))
        self.problem = self._problem(share)
        self.key = problem_key(potential, whole.fingerprint, settings, self.reference)

    def _problem(self, training_set: TrainingSet) -> FittingProblem:
        return FittingProblem(
            _with_zero_coefficients(self.potential),
            training_set,
            self.settings.weights,
            self.reference,
            threads=self.settings.threads or min(16, len(os.sched_getaffinity(0))),
            regularization=self.settings.regularization / _typical_size(self.potential) ** 2,
            communicator=self.communicator,
        )

    def _share(self, indices: Sequence[int]) -> TrainingSet:
        """This rank's part of some configurations."""
        rank, size = (0, 1) if self.communicator is None else (self.communicator.rank, self.communicator.size)
        if size > len(indices):
            raise ValueError(f"{size} ranks for {len(indices)} configurations: start fewer")
        return make_training_set([self.configurations[i] for i in indices[rank::size]], self.potential)

    @cached_property
    def search_problem(self) -> FittingProblem:
        """The loss of the configurations a cold start's search looks at."""
        return self._problem(self._share(self.subset))

    # -- starting

    def start(self) -> Checkpoint:
        """Initial state, cold or warm."""
        if self.potential.trained:
            x = self._given()
            checkpoint = Checkpoint(self.method.start(x), {name: [] for name in HISTORY})
            self._record(checkpoint, self.problem.data_loss(x), float("nan"))
            return checkpoint
        shape = self.potential.radial_coeffs.shape
        x = search.cold_start(self.search_problem, shape, np.random.default_rng([self.settings.seed, 0]))
        x, _ = search.descend(self.search_problem, x)
        x = least_squares.solve_linear(self.problem, x)
        history: dict[str, list[float]] = {name: [] for name in HISTORY}
        checkpoint = Checkpoint(self.method.start(x), history, hops_left=self.settings.hops)
        self._record(checkpoint, self.problem.data_loss(x), float("nan"))
        return checkpoint

    def _given(self) -> FloatArray:
        """Parameters of the potential, relative to the reference energies."""
        x = get_parameters(self.potential)
        x[self._species] -= self.reference
        return x

    def resume(self, path: Path) -> Checkpoint:
        """State from a checkpoint of this very fit."""
        return read_checkpoint(path, self.key, self.method.state)

    # -- iterating

    def advance(self, checkpoint: Checkpoint, path: Path | None, segment: int | None) -> FitResult:
        """Iterate to the end, or for one segment."""
        began, done = time.monotonic(), 0
        while not checkpoint.reason and (segment is None or done < segment):
            if checkpoint.hops_left:
                self._hop(checkpoint)
            else:
                self._iterate(checkpoint)
            done += 1
            if self.root:
                self.progress("search" if checkpoint.hops_left else "fit", checkpoint.last(), time.monotonic() - began)
        if path is not None and self.root:
            write_checkpoint(path, self.key, checkpoint)
        return self._result(checkpoint)

    def _hop(self, checkpoint: Checkpoint) -> None:
        state, shape = checkpoint.state, self.potential.radial_coeffs.shape
        rng = np.random.default_rng([self.settings.seed, 1 + state.iteration])
        state.x, loss = search.hop(self.search_problem, self.problem, state.x, checkpoint.loss, shape, rng)
        state.iteration += 1
        better = loss < checkpoint.loss
        checkpoint.hops_left = self.settings.hops if better else checkpoint.hops_left - 1
        if state.iteration >= MAX_SEARCH * self.settings.hops:
            checkpoint.hops_left = 0
        self._record(checkpoint, loss, float("nan"))
        if checkpoint.hops_left == 0:
            checkpoint.state = self.method.start(state.x)

    def _iterate(self, checkpoint: Checkpoint) -> None:
        step = self.method.iterate(self.problem, checkpoint.state)
        if not step.accepted:
            checkpoint.reason = "stagnation"
            return
        self._record(checkpoint, self.problem.data_loss(checkpoint.state.x), step.gradient_norm)
        if self._has_converged(checkpoint.history):
            checkpoint.reason = "converged"
        elif checkpoint.state.iteration >= (self.settings.max_iterations or self.method.max_iterations):
            checkpoint.reason = "budget"

    def _has_converged(self, history: dict[str, list[float]]) -> bool:
        window = self.method.window
        losses, stages = history["loss"], history["stage"]
        if losses[-1] == 0.0:
            return True
        if len(losses) <= window or stages[-1 - window] != 1.0:
            return False
        return losses[-1 - window] - losses[-1] < self.settings.tolerance * losses[-1]

    def _record(self, checkpoint: Checkpoint, loss: float, gradient_norm: float) -> None:
        state, errors = checkpoint.state, self.problem.errors(checkpoint.state.x, virial=False)
        rmse = (errors.energy_per_atom, errors.force, errors.virial_per_atom)
        stage = 0 if checkpoint.hops_left else 1
        values = (stage, state.iteration, loss, *rmse, gradient_norm, state.damping)
        for name, value in zip(HISTORY, values, strict=True):
            checkpoint.history[name].append(float(value))

    def _result(self, checkpoint: Checkpoint) -> FitResult:
        x, loss = checkpoint.state.x.copy(), checkpoint.loss
        first = checkpoint.history["loss"][0]
        if self.potential.trained and loss > first:  # lower with regularization, but not without
            x, loss = self._given(), first
        errors = self.problem.errors(x)
        x[self._species] += self.reference
        reason: Any = checkpoint.reason or "segment"
        return FitResult(
            potential=set_parameters(self.potential, x),
            reason=reason,
            loss=loss,
            errors=errors,
            history={name: np.array(values) for name, values in checkpoint.history.items()},
        )

    @property
    def _species(self) -> slice:
        first = self.potential.radial_coeffs.size
        return slice(first, first + self.potential.species_count)


def _reference_energies(training_set: TrainingSet, given: FloatArray | None) -> FloatArray:
    """The given energies, or the smallest ones that explain the labels in the least-squares sense."""
    species = training_set.counts.shape[1]
    if given is not None:
        energies = np.asarray(given, dtype=np.float64)
        if energies.shape != (species,) or not np.isfinite(energies).all():
            raise ValueError(f"reference_energies must be {species} finite numbers, not {given}")
        return energies
    solution: FloatArray = np.linalg.lstsq(training_set.counts, training_set.energies, rcond=None)[0]
    return solution


def _typical_size(potential: Potential) -> float:
    """Median size of the radial coefficients over species pairs."""
    if not potential.trained:
        return search.START_SIZE
    sizes = (potential.radial_coeffs**2).mean(axis=(2, 3))
    return float(np.sqrt(np.median(sizes))) or search.START_SIZE


def _with_zero_coefficients(potential: Potential) -> Potential:
    return set_parameters(potential, np.zeros(potential.parameter_count))
