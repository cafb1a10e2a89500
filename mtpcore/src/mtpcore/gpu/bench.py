"""Speed of whole steps of molecular dynamics on a GPU, and of the kernel beside the least time it can take."""

import time
from dataclasses import dataclass

import numpy as np

from mtpcore._core import ActiveSet, Potential
from mtpcore.samples import Crystal, lithium_argyrodite, sample_potential, solid_potential

from .backend import Backend
from .bound import H100, Card, work_per_atom
from .motion import Motion, MotionSettings, MovingSystem, thermal_velocities
from .sites import Precision, SiteResults, Sites
from .systems import Batch, NeighborLists, System, common_kernels

MASSES = np.array([6.94, 30.97, 32.06, 35.45])
TEMPERATURE = 600.0
OUTPUT_EVERY, GRADE_EVERY = 50, 10  # steps
MANY_BODY = 1e-7  # of the coefficients of a sample potential: pairs make a solid, the rest does not destroy it
WARM_UP, SKIN = 50, 1.0


@dataclass(frozen=True)
class Speed:
    """Microseconds per atom and step.

    Attributes:
        level: Of the potential.
        atoms: Of each system.
        systems: Side by side.
        step: A whole step: neighbours, forces, motion, thermostat, output every 50 steps.
        graded: The same with grades of all atoms every 10 steps.
        kernel: The kernel for energies and forces alone.
        bound: The least it can take, and why.
        limit: What the bound comes from.
        memory: Bytes per atom on the card; None where it is not known.
        precision: Of the forces.
    """

    level: int
    atoms: int
    systems: int
    step: float
    graded: float
    kernel: float
    bound: float
    limit: str
    memory: float | None
    precision: Precision


HEADER = (
    "| level | atoms | step | with grades | kernel | bound | of bound | limit | bytes/atom |\n|" + "---|" * 9 + "\n"
)


def row(speed: Speed) -> str:
    """A line of the table."""
    atoms = f"{speed.atoms}" if speed.systems == 1 else f"{speed.systems} x {speed.atoms}"
    memory = "-" if speed.memory is None else f"{speed.memory:.0f}"
    level = f"{speed.level}" if speed.precision == "double" else f"{speed.level}, {speed.precision}"
    return (
        f"| {level} | {atoms} | {speed.step:.4f} | {speed.graded:.4f} | {speed.kernel:.4f} | {speed.bound:.4f} | "
        f"{speed.bound / speed.kernel:.0%} | {speed.limit} | {memory} |"
    )


def measure(
    backend: Backend,
    level: int,
    repeat: tuple[int, int, int],
    *,
    systems: int = 1,
    seconds: float = 1.0,
    precision: Precision = "double",
    card: Card = H100,
) -> Speed:
    """Speed of a level for cells of Li6PS5Cl.

    Args:
        backend: The device.
        level: Even, 2 to 28.
        repeat: Cubic cells of 52 atoms along each axis.
        systems: Side by side.
        seconds: About how long each measurement takes.
        precision: See `Sites`; the bound is of double precision in either case.
        card: What the bound is of.
    """
    potential, crystal = solid(level), lithium_argyrodite(repeat)
    free, _ = backend.memory()
    sites = Sites(backend, potential, precision=precision)
    motion = Motion(sites, backend, _systems(crystal, systems), MotionSettings(0.001, 10**9, 0.1, skin=SKIN), 0)
    atoms = systems * len(crystal.types)
    step = _time_of_steps(backend, motion, seconds, is_graded=False) / atoms
    graded = _time_of_steps(backend, motion, seconds, is_graded=True) / atoms
    used = free - backend.memory()[0]
    kernel, neighbors, listed = _time_of_kernel(backend, sites, crystal, systems, seconds)
    limit, bound = work_per_atom(sites.tables, sites.tile, neighbors=neighbors, listed=listed).bound(card)
    micro = 1e6
    return Speed(
        level=level,
        atoms=len(crystal.types),
        systems=systems,
        step=step * micro,
        graded=graded * micro,
        kernel=kernel / atoms * micro,
        bound=bound * micro,
        limit=limit,
        memory=used / atoms if used > 0 else None,
        precision=precision,
    )


def solid(level: int) -> Potential:
    """A potential under which atoms vibrate as in a crystal, with an active set that has never seen one."""
    potential = solid_potential(sample_potential(level), MANY_BODY)
    active_set, count = ActiveSet(), potential.parameter_count
    active_set.matrix = active_set.inverse_transposed = np.eye(count)
    active_set.configuration_index = active_set.equation_index = np.full(count, -1, np.int32)
    potential.active_set = active_set
    return potential


def _systems(crystal: Crystal, count: int) -> list[MovingSystem]:
    masses = MASSES[crystal.types]
    system = System(crystal.types, crystal.positions, crystal.cell)
    images = np.zeros((len(masses), 3), np.int32)
    return [
        MovingSystem(
            *(system, masses, thermal_velocities(masses, TEMPERATURE, seed), images, crystal.types != 0),
            *((TEMPERATURE, TEMPERATURE), seed),
        )
        for seed in range(count)
    ]


def _time_of_steps(backend: Backend, motion: Motion, seconds: float, *, is_graded: bool) -> float:
    """Seconds of a step: the least of three runs."""
    _advance(motion, WARM_UP, is_graded=is_graded)
    backend.synchronize()
    once = _timed(backend, motion, WARM_UP, is_graded=is_graded)
    steps = OUTPUT_EVERY * max(1, round(seconds / 3 / once / OUTPUT_EVERY))
    return min(_timed(backend, motion, steps, is_graded=is_graded) for _ in range(3))


def _timed(backend: Backend, motion: Motion, steps: int, *, is_graded: bool) -> float:
    begin = time.perf_counter()
    _advance(motion, steps, is_graded=is_graded)
    backend.synchronize()
    return (time.perf_counter() - begin) / steps


def _advance(motion: Motion, steps: int, *, is_graded: bool) -> None:
    """Steps as a run makes them: grades and output come to the processor."""
    for done in range(GRADE_EVERY, steps + 1, GRADE_EVERY):
        motion.advance(GRADE_EVERY)
        motion.temperatures()
        if is_graded:
            motion.grades()
        if done % OUTPUT_EVERY == 0:
            motion.observe()
            motion.positions()


def _time_of_kernel(
    backend: Backend, sites: Sites, crystal: Crystal, systems: int, seconds: float
) -> tuple[float, float, float]:
    """Seconds of a call, and mean numbers of neighbours within the cutoff and in the lists."""
    batch = Batch(backend, [System(crystal.types, crystal.positions, crystal.cell)] * systems, sites.tables.species)
    counts = []
    for skin in (0.0, SKIN):
        cutoff = sites.potential.max_dist
        lists = NeighborLists(backend, common_kernels(backend), batch, cutoff=cutoff, skin=skin)
        lists.build()
        counts.append(float(backend.to_host(lists.counts).mean()))
    results = SiteResults(backend, batch)
    for calls in (1, 10, 100):  # many, so that the first one's start weighs little
        begin = time.perf_counter()
        for _ in range(calls):
            sites.add_forces(batch, lists, results, virial=False)
        backend.synchronize()
        once = (time.perf_counter() - begin) / calls
        if once * calls > seconds:
            break
    return once, counts[0], counts[1]


def best_tile(backend: Backend, level: int, repeat: tuple[int, int, int]) -> dict[int, float]:
    """Time of the kernel, microseconds per atom, by the number of atoms a block works on."""
    potential, crystal = solid(level), lithium_argyrodite(repeat)
    found = {}
    for tile in (1, 2, 4, 8):
        sites = Sites(backend, potential, tile=tile)
        found[tile] = _time_of_kernel(backend, sites, crystal, 1, 0.2)[0] / len(crystal.types) * 1e6
    return found
