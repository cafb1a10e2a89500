"""Transforms of a potential's coefficients that leave every energy as it is.

The model sees the radial functions only through contractions of all moments up to a level, and the level of a moment,
2 + 4 mu + nu, grows with mu. Adding to f_mu a multiple of a *lower* function f_mu' therefore turns each scalar into
scalars of the same table, and suitable moment coefficients give back the same energy: with f = L q, L lower triangular,
B(f) = R(L) B(q). Scaling a function is the diagonal case. A higher function mixed into a lower one would raise the
level and leave the model. So a potential with K radial functions has K (K + 1) / 2 directions in which its energies do
not change, and rows d(site energy)/d(parameters) never span the space of parameters.

In the *canonical gauge* the functions are orthonormal, made so one after the other from the lowest: it is the same for
all potentials that a transform connects (up to signs).
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .errors import LevelError, MtpcoreError
from .levels import relabelled, scalar_graphs
from .potential import Potential
from .scalars import level_fingerprints, scalar_factors, scalar_fingerprints, table_level

type FloatArray = npt.NDArray[np.float64]

# A function closer than this (relative) to the span of the lower ones is not made orthogonal to them: what is left of
# it would be so small that rounding shows in products of up to four of them.
INDEPENDENCE = 1e-3


@dataclass(frozen=True)
class RowTransform:
    """How rows of derivatives by the parameters change with the gauge, f' = G f.

    Attributes:
        mixing: G, shape (K, K).
        inverse_mixing: Inverse of G.
        scalars: R(G) with B(f') = R B(f), shape (A, A).
        inverse_scalars: R of the inverse of G.
        radial_shape: Shape of the radial coefficients.
    """

    mixing: FloatArray
    inverse_mixing: FloatArray
    scalars: FloatArray
    inverse_scalars: FloatArray
    radial_shape: tuple[int, ...]

    def forward(self, rows: FloatArray) -> FloatArray:
        """Rows in the new gauge, shape (m, parameter_count), from those in the old one."""
        return _times_blocks(rows, self.inverse_mixing, self.scalars, self.radial_shape)

    def backward(self, rows: FloatArray) -> FloatArray:
        """Rows in the old gauge from those in the new one."""
        return _times_blocks(rows, self.mixing, self.inverse_scalars, self.radial_shape)

    def forward_dual(self, rows: FloatArray) -> FloatArray:
        """Rows of a transposed inverse in the new gauge: those of the old one times the inverse transposed."""
        return _times_blocks(rows, self.mixing.T, self.inverse_scalars.T, self.radial_shape)


def _times_blocks(
    rows: FloatArray, radial: FloatArray, scalars: FloatArray, radial_shape: tuple[int, ...]
) -> FloatArray:
    """Apply ``radial``, shape (K, K), to the radial part of rows, the transpose of ``scalars`` to the scalar part."""
    out = rows.copy()
    count, first = math.prod(radial_shape), rows.shape[1] - len(scalars)
    blocks = rows[:, :count].reshape(-1, *radial_shape)
    out[:, :count] = np.einsum("nabmk,mp->nabpk", blocks, radial, optimize=True).reshape(-1, count)
    out[:, first:] = rows[:, first:] @ scalars.T
    return out


def row_transform(potential: Potential, mixing: npt.ArrayLike) -> RowTransform:
    """How rows change when the radial functions do, f' = G f.

    Args:
        potential: The potential before.
        mixing: G, shape (K, K) with K radial functions, lower triangular with a diagonal free of zeros.

    Raises:
        MtpcoreError: G has another form.
        LevelError: G is not diagonal and the tables are not those of a level.
    """
    count = potential.radial_funcs_count
    matrix = np.array(mixing, dtype=np.float64)
    if matrix.shape != (count, count) or not np.isfinite(matrix).all() or not np.diag(matrix).all():
        raise MtpcoreError(f"the mixing of {count} radial functions needs shape {(count, count)} and a full diagonal")
    if np.triu(matrix, 1).any():
        raise MtpcoreError("a radial function cannot take up a higher one: the moments would leave the level")
    inverse = np.tril(np.linalg.inv(matrix))
    return RowTransform(
        matrix, inverse, _scalar_mixing(potential, matrix), _scalar_mixing(potential, inverse),
        potential.radial_coeffs.shape,
    )  # fmt: skip


def change_gauge(potential: Potential, mixing: npt.ArrayLike) -> Potential:
    """The same potential, energy for energy, with the radial functions f' = G f.

    Its active set, if any, is transformed too: grades stay as they are.

    Args:
        potential: With coefficients.
        mixing: G, shape (K, K) with K radial functions, lower triangular with a diagonal free of zeros.

    Raises:
        MtpcoreError: G has another form.
        LevelError: G is not diagonal and the tables are not those of a level.
    """
    transform = row_transform(potential, mixing)
    result = Potential(potential)
    result.radial_coeffs = np.einsum("pm,abmk->abpk", transform.mixing, potential.radial_coeffs)
    result.moment_coeffs = transform.inverse_scalars.T @ potential.moment_coeffs
    active_set = result.active_set
    if active_set is not None:
        active_set.matrix = transform.forward(active_set.matrix)
        active_set.inverse_transposed = transform.forward_dual(active_set.inverse_transposed)
        result.active_set = active_set
    return result


def canonical_mixing(potential: Potential) -> FloatArray:
    """G of the canonical gauge: G f are orthonormal radial functions, shape (K, K).

    The product of two functions is the sum over species pairs and basis functions of the products of coefficients.
    Functions that vanish, or nearly depend on lower ones, are left as they are but for their size; so is everything in
    tables that are not those of a level, where only scaling is known to leave the model as it is.
    """
    functions = np.moveaxis(potential.radial_coeffs, 2, 0).reshape(potential.radial_funcs_count, -1)
    mixing = np.eye(len(functions))
    lower: list[tuple[FloatArray, FloatArray]] = []  # orthonormal functions and their rows of the mixing
    mixable = _is_standard(potential)
    for mu, function in enumerate(functions):
        size = float(np.linalg.norm(function))
        row, rest = mixing[mu].copy(), function.copy()
        for q, mixed in lower if mixable else []:
            component = q @ function
            row, rest = row - component * mixed, rest - component * q
        length = float(np.linalg.norm(rest))
        if length > INDEPENDENCE * size:
            mixing[mu] = row / length
            lower.append((rest / length, mixing[mu]))
        elif size > 0.0:
            mixing[mu, mu] = 1.0 / size
    return mixing


def _is_standard(potential: Potential) -> bool:
    """Whether the scalars are all those of a level, so that functions may be mixed."""
    try:
        known = level_fingerprints(table_level(potential))
    except LevelError:
        return False
    return sorted(known) == sorted(scalar_fingerprints(potential))


def _scalar_mixing(potential: Potential, mixing: FloatArray) -> FloatArray:
    """R with B(L q) = R B(q), shape (A, A)."""
    if not np.tril(mixing, -1).any():
        scales = np.diag(mixing)
        return np.diag([np.prod([scales[mu] for mu, _ in factors]) for factors in scalar_factors(potential)])
    if not _is_standard(potential):
        raise LevelError("radial functions can be mixed only in tables that hold all scalars of a level")
    level = table_level(potential)
    graphs = scalar_graphs(level)
    place = {graph: number for number, graph in enumerate(graphs)}
    matrix = np.zeros((len(graphs), len(graphs)))
    for row, graph in enumerate(graphs):
        for mus in itertools.product(*(range(mu + 1) for mu in graph.mus)):
            weight = np.prod([mixing[mu, lower] for mu, lower in zip(graph.mus, mus, strict=True)])
            matrix[row, place[relabelled(graph, mus)]] += weight
    known = level_fingerprints(level)
    order = [known[fingerprint] for fingerprint in scalar_fingerprints(potential)]
    return matrix[np.ix_(order, order)]
