"""The loss of a potential on a training set as separable least squares."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .potential import Potential
from .training_set import TrainingSet

type FloatArray = npt.NDArray[np.float64]

# Off-diagonal virial components stand for two entries of the matrix each.
VOIGT_MULTIPLICITY = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
VOIGT_ROWS, VOIGT_COLUMNS = [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]


@dataclass(frozen=True)
class FitWeights:
    """Weights of the loss, with MLIP's conventions.

    loss = sum_c w_c l_c / sum_c w_c
    l_c = energy dE_c^2 / N_c^p + force sum_i |dF_i|^2 / N_c^q + stress sum_ab dW_c,ab^2 / N_c^p

    over configurations of N_c atoms; W is the virial (-dE/d strain), eV; w_c is 1, or a configuration's ``fit_weight``.

    Attributes:
        energy: Weight of the energy.
        force: Weight of the forces, angstrom^2.
        stress: Weight of the virial; configurations without a stress label count as unweighted.
        energy_scaling: p, MLIP's weight_scaling: 1 keeps the balance of energy and forces for any cell size.
        force_scaling: q.
    """

    energy: float = 1.0
    force: float = 0.01
    stress: float = 0.0
    energy_scaling: float = 1.0
    force_scaling: float = 0.0

    def __post_init__(self) -> None:
        """Refuse weights that leave nothing to fit to."""
        weights = (self.energy, self.force, self.stress)
        if min(weights) < 0.0 or max(weights) == 0.0 or not np.isfinite(weights).all():
            raise ValueError(f"weights must be finite, not negative and not all zero: {self}")


@dataclass(frozen=True)
class Errors:
    """Root-mean-square errors of energy per atom (eV), force components (eV/angstrom) and virial per atom (eV)."""

    energy_per_atom: float
    force: float
    virial_per_atom: float


@dataclass(frozen=True, eq=False)
class _Residuals:
    energy: FloatArray  # (C,)
    force: FloatArray  # (N, 3)
    virial: FloatArray  # (C, 6)


class FittingProblem:
    """Residuals and Jacobian of a training set; parameters in MLIP-3's order (radial, species, moment).

    Energies are taken relative to ``reference_energies`` of the species, so that species coefficients stay small.

    Args:
        potential: Gives the tables.
        training_set: This process's share of it.
        weights: Weights of the loss.
        reference_energies: Energy per atom of every species, shape (S,), eV.
        threads: Threads over configurations.
        regularization: Weight, in units of the loss itself, of the sum of squares of the radial coefficients.
        communicator: An mpi4py communicator whose ranks hold shares of the set, or None.
    """

    def __init__(
        self,
        potential: Potential,
        training_set: TrainingSet,
        weights: FitWeights,
        reference_energies: FloatArray,
        *,
        threads: int,
        regularization: float = 0.0,
        communicator: Any = None,
    ) -> None:
        self._regularization = regularization
        self._ridge = 0.0
        self.nonlinear_count = potential.radial_coeffs.size
        self.linear_count = potential.parameter_count - self.nonlinear_count
        self._set = training_set
        self._threads = threads
        self._communicator = communicator
        self._energies = training_set.energies - training_set.counts @ reference_energies
        self._engine = _core.Engine(potential)
        atoms = training_set.atom_counts
        share = training_set.weights / self._sum(np.array([training_set.weights.sum()]))[0]
        self._energy_factor = np.sqrt(weights.energy / atoms**weights.energy_scaling * share)
        per_configuration = np.sqrt(weights.force / atoms**weights.force_scaling * share)
        self._force_factor = np.repeat(per_configuration, atoms.astype(int))[:, None]
        virial = np.sqrt(weights.stress * training_set.has_virial / atoms**weights.energy_scaling * share)
        self._virial_factor = virial[:, None] * np.sqrt(VOIGT_MULTIPLICITY)
        self._with_virial = weights.stress > 0.0
        self._key: tuple[bytes, bool] = (b"", False)
        self._known: _Residuals

    def errors(self, x: FloatArray, *, virial: bool = True) -> Errors:
        """Unweighted errors; those of the virial are NaN if they are unlabelled, or neither wanted nor in the loss."""
        virial |= self._with_virial
        r = self._differences(x, virial=virial)
        atoms = self._set.atom_counts
        virials = (r.virial / atoms[:, None])[self._set.has_virial & virial]
        samples = (r.energy / atoms, r.force, virials)
        sums = self._sum(np.array([[(sample**2).sum(), sample.size] for sample in samples]))
        mean = np.sqrt(sums[:, 0] / np.maximum(sums[:, 1], 1.0))
        return Errors(float(mean[0]), float(mean[1]), float(mean[2]) if sums[2, 1] else float("nan"))

    def prepare(self, data_loss: float) -> None:
        """Set the ridge in proportion to the loss: a prior counts for less the better the data are explained."""
        self._ridge = self._regularization * data_loss

    def data_loss(self, x: FloatArray) -> float:
        """The weighted loss of :class:`FitWeights`."""
        return self._loss(self._residuals(x))

    def loss(self, x: FloatArray) -> float:
        """The weighted loss and the ridge."""
        return self.data_loss(x) + self._penalty(x)

    def loss_and_gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        """The loss and its gradient by one directional derivative, without any Jacobian."""
        r = self._residuals(x)
        virial = 2.0 * r.virial * self._virial_factor / VOIGT_MULTIPLICITY
        matrix = np.zeros((len(r.energy), 3, 3))
        matrix[:, VOIGT_ROWS, VOIGT_COLUMNS] = virial
        matrix[:, VOIGT_COLUMNS, VOIGT_ROWS] = virial
        gradient = self._set.dataset.gradient(
            self._engine, 2.0 * r.energy * self._energy_factor, 2.0 * r.force * self._force_factor, matrix,
            self._threads,
        )  # fmt: skip
        gradient = self._sum(gradient)
        gradient[: self.nonlinear_count] += 2.0 * self._ridge * x[: self.nonlinear_count]
        return self._loss(r) + self._penalty(x), gradient

    def normal_equations(self, x: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """|r|^2, J^T r and J^T J."""
        r = self._residuals(x)
        gradient, normal = self._normal(r, linear_only=False)
        count = self.nonlinear_count
        gradient[:count] += self._ridge * x[:count]
        normal[np.arange(count), np.arange(count)] += self._ridge
        return self._loss(r) + self._penalty(x), gradient, normal

    def linear_normal_equations(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """J^T r and J^T J of the species and moment coefficients."""
        return self._normal(self._residuals(x), linear_only=True)

    def _normal(self, r: _Residuals, *, linear_only: bool) -> tuple[FloatArray, FloatArray]:
        packed = self._set.dataset.normal_equations(
            self._engine,
            self._energy_factor,
            r.energy,
            self._force_factor[self._set.offsets[:-1], 0],
            r.force,
            self._virial_factor if self._with_virial else None,
            r.virial if self._with_virial else None,
            linear_only,
            self._threads,
        )
        packed = self._sum(packed)
        return packed[-1, :-1].copy(), packed[:-1, :-1].copy()

    def _differences(self, x: FloatArray, *, virial: bool) -> _Residuals:
        """Predictions minus labels; kept for the next call, which often is for the same parameters."""
        key = (x.tobytes(), virial)
        if key != self._key:
            self._engine.set_parameters(np.ascontiguousarray(x))
            energies, forces, virials = self._set.dataset.predict(self._engine, virial, self._threads)
            voigt = virials[:, VOIGT_ROWS, VOIGT_COLUMNS]
            self._known = _Residuals(energies - self._energies, forces - self._set.forces, voigt - self._set.virials)
            self._key = key
        return self._known

    def _residuals(self, x: FloatArray) -> _Residuals:
        """Differences times the square roots of their weights."""
        d = self._differences(x, virial=self._with_virial)
        return _Residuals(d.energy * self._energy_factor, d.force * self._force_factor, d.virial * self._virial_factor)

    def _loss(self, r: _Residuals) -> float:
        local = (r.energy**2).sum() + (r.force**2).sum() + (r.virial**2).sum()
        return float(self._sum(np.array([local]))[0])

    def _penalty(self, x: FloatArray) -> float:
        return self._ridge * float((x[: self.nonlinear_count] ** 2).sum())

    def _sum(self, values: FloatArray) -> FloatArray:
        """Sum over ranks."""
        if self._communicator is None:
            return values
        total = np.empty_like(values)
        self._communicator.Allreduce(np.ascontiguousarray(values), total)
        return total
