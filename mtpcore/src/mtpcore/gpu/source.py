"""Source text of a potential's kernels: constants and unrolled arithmetic in front of the files of the package."""

from functools import cache
from importlib.resources import files

import numpy as np

from .tables import Schedule, Tables

TILES = (4, 2, 1)  # atoms of a block; the first whose shared memory leaves room for several blocks is taken
ROOM = 112 * 1024  # of shared memory for a block, that another may run beside it
MOST = 226 * 1024  # what a block can have at all (compute capability 9.0)
WORKERS = 32


@cache
def device_text() -> str:
    """What kernels are written in."""
    return _text("device.cuh")


def common_source() -> str:
    """Kernels that depend on no potential: neighbour lists and motion."""
    return _joined("", ["lists.cuh", "motion.cuh"])


def sites_source(tables: Tables, tile: int) -> str:
    """Kernels of a potential's energies, forces and grades.

    Args:
        tables: Its contraction tables.
        tile: Atoms a block works on.
    """
    return _joined(_constants(tables, tile), ["sites.cuh"])


def shared_bytes(tables: Tables, tile: int, capacity: int, *, rows: bool = False) -> int:
    """Shared memory of a block, as `Shared` of sites.cuh lays it out.

    Args:
        tables: Of the potential.
        tile: Atoms a block works on.
        capacity: Of a neighbour list.
        rows: Of the kernel for rows of derivatives; else of that for forces.
    """
    degree = len(tables.degree_radial) - 1
    record = max(2 * tables.radial + 2 + 3 * degree, tables.radial + tables.radial_size + 1, 6) | 1
    moments = 2 * tables.moments + (tables.leaves if rows else 0)
    doubles = tile * (moments + max(scratch_places(tables), WORKERS) + record * WORKERS)
    return 8 * doubles + 4 * (tile * capacity + tile + 1 + tile * -(-capacity // 32))


def scratch_places(tables: Tables) -> int:
    """Places for rows that are split between workers."""
    return max(s.scratch for s in (tables.forward, tables.leaf_values, tables.leaf_energy, tables.backward))


def default_tile(tables: Tables, capacity: int) -> int:
    """Atoms a block works on."""
    return next((t for t in TILES if shared_bytes(tables, t, capacity) <= ROOM), 1)


def _text(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


def _joined(head: str, names: list[str]) -> str:
    body = [device_text(), head, *map(_text, names)]
    lines = "\n".join(body).splitlines()
    return "\n".join(line for line in lines if not line.startswith(('#include "', "#pragma once"))) + "\n"


def _constants(tables: Tables, tile: int) -> str:
    whole = {
        "kTile": tile,
        "kSpecies": tables.species,
        "kRadialSize": tables.radial_size,
        "kRadial": tables.radial,
        "kDegree": len(tables.degree_radial) - 1,
        "kMonomials": len(tables.monomials),
        "kBasics": tables.basics,
        "kMoments": tables.moments,
        "kLeaves": tables.leaves,
        "kDepth": tables.depth,
        "kScratch": scratch_places(tables),
        "kForwardStages": len(tables.forward.stages),
        "kLeafStages": len(tables.leaf_energy.stages),
        "kBackwardStages": len(tables.backward.stages),
        "kLeafValueStages": len(tables.leaf_values.stages),
    }
    lines = [f"constexpr int {name} = {value};" for name, value in whole.items()]
    lines += [
        _table("unsigned char", "kMonomialPowers", tables.monomials.ravel()),
        _table("int", "kMonomialBasic", tables.monomial_basic),
        "struct Stage {\n  int first_step, steps, pieces, first_fix, fixes;\n};",
        _stages("kForward", tables.forward),
        _stages("kLeaf", tables.leaf_energy),
        _stages("kBackward", tables.backward),
        _stages("kLeafValues", tables.leaf_values),
        "#define PULL_BACK \\\n" + " \\\n".join(_pull_back(tables)),
    ]
    return "\n".join(lines)


def _table(kind: str, name: str, values: np.ndarray) -> str:
    return f"TABLE {kind} {name}[] = {{{', '.join(map(str, values.tolist()))}}};"


def _stages(name: str, schedule: Schedule) -> str:
    rows = schedule.stages.tolist() or [[0] * 5]
    return f"TABLE Stage {name}[] = {{{', '.join('{' + ', '.join(map(str, row)) + '}' for row in rows)}}};"


def _pull_back(tables: Tables) -> list[str]:
    """Statements that add dE/df to pull and dE/d(unit vector) to gx, gy, gz.

    For each power x^a y^b and radial function, Horner's scheme gives the polynomial in z and its derivative.
    """
    places = {tuple(m[:3]): int(k) for m, k in zip(tables.monomials.tolist(), tables.monomial_basic, strict=True)}
    degree = len(tables.degree_radial) - 1
    lines = []
    for a in range(degree + 1):
        for b in range(degree + 1 - a):
            lines += _column(tables, places, a, b)
    return lines


def _column(tables: Tables, places: dict[tuple[int, ...], int], a: int, b: int) -> list[str]:
    degrees = len(tables.degree_radial)
    lines = [f"{{ const double xy = px[{a}] * py[{b}]; double s = 0.0, ds = 0.0, q, dq;"]
    for mu in range(tables.radial):
        powers = [c for c in range(degrees - a - b) if mu < tables.degree_radial[a + b + c]]
        if not powers:
            continue
        at = {c: f"adjoint[{places[a, b, c] + mu} * kTile]" for c in powers}
        lines.append(f"q = {at[powers[-1]]}; dq = 0.0;")
        lower = range(powers[-1] - 1, -1, -1)
        lines += [f"dq = dq * z + q; q = q * z{' + ' + at[c] if c in at else ''};" for c in lower]
        lines.append(f"s += f[{mu}] * q; ds += f[{mu}] * dq; pull[{mu}] += xy * q;")
    slope_x = f"gx += {a}.0 * px[{a - 1}] * py[{b}] * s; " if a else ""
    slope_y = f"gy += {b}.0 * px[{a}] * py[{b - 1}] * s; " if b else ""
    lines.append(f"{slope_x}{slope_y}gz += xy * ds; }}")
    return lines
