"""Identity of the scalars of a contraction table, whatever the order of its moments.

A scalar is a polynomial of the basic moments M(mu, x, y, z). Its value modulo a large prime at fixed pseudo-random
basic moments, which depend on (mu, x, y, z) only, tells it from all others: two different polynomials of degree d agree
at a random point with a probability of d / prime (J. T. Schwartz, J. ACM 27, 701 (1980)).
"""

import random
from collections import Counter
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .errors import LevelError
from .levels import HIGHEST_LEVEL, contraction_tables

type IntArray = npt.NDArray[np.int32]
type Factors = tuple[tuple[int, int], ...]

PRIME = 2**127 - 1


class Tables(Protocol):
    """Contraction tables: a potential, or those generated from a level."""

    @property
    def alpha_index_basic(self) -> IntArray:
        """Rows (mu, x, y, z)."""

    @property
    def alpha_index_times(self) -> IntArray:
        """Rows (left, right, multiplicity, target)."""

    @property
    def alpha_moment_mapping(self) -> IntArray:
        """Moment number of each scalar."""


@cache
def _residue(basic: tuple[int, int, int, int]) -> int:
    """The pseudo-random value of one basic moment."""
    return random.Random(f"basic moment {basic}").randrange(1, PRIME)  # noqa: S311  no secret


def scalar_fingerprints(tables: Tables) -> list[int]:
    """Value of every scalar at fixed pseudo-random basic moments modulo ``PRIME``.

    Args:
        tables: Contraction tables with A scalars.

    Returns:
        A integers; equal ones belong to equal polynomials.
    """
    values = Counter({i: _residue((m, x, y, z)) for i, (m, x, y, z) in enumerate(tables.alpha_index_basic.tolist())})
    for left, right, multiplicity, target in sorted(tables.alpha_index_times.tolist(), key=lambda row: row[3]):
        values[target] = (values[target] + multiplicity * values[left] * values[right]) % PRIME
    return [values[moment] for moment in tables.alpha_moment_mapping.tolist()]


def scalar_factors(tables: Tables) -> list[Factors]:
    """The moments (mu, nu) every scalar is a product of, with repetition and sorted.

    Raises:
        LevelError: a scalar adds products of different moments, so that it has no level.
    """
    factors: dict[int, Factors] = {
        i: ((mu, x + y + z),) for i, (mu, x, y, z) in enumerate(tables.alpha_index_basic.tolist())
    }
    for left, right, _, target in sorted(tables.alpha_index_times.tolist(), key=lambda row: row[3]):
        product = tuple(sorted(factors[left] + factors[right]))
        if factors.setdefault(target, product) != product:
            raise LevelError(f"moment {target} of the tables adds products of different moments: it has no level")
    return [factors[moment] for moment in tables.alpha_moment_mapping.tolist()]


def table_level(tables: Tables) -> int:
    """The level of contraction tables: the highest sum of 2 + 4 mu + nu over the factors of a scalar.

    Source: I. S. Novikov et al., Mach. Learn. Sci. Technol. 2, 025002 (2021).

    Raises:
        LevelError: as :func:`scalar_factors`, or a level no tables exist for.
    """
    level = max(sum(2 + 4 * mu + nu for mu, nu in factors) for factors in scalar_factors(tables))
    level += level % 2
    if level > HIGHEST_LEVEL:
        raise LevelError(f"the tables are of level {level}, above {HIGHEST_LEVEL}, the highest known")
    return level


@cache
def level_fingerprints(level: int) -> dict[int, int]:
    """Place of every scalar of a level in MLIP's order, by its fingerprint."""
    fingerprints = scalar_fingerprints(contraction_tables(level))
    return {fingerprint: place for place, fingerprint in enumerate(fingerprints)}
