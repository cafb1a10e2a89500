"""What may have gone wrong in a run: temperature, energy drift, broken rigid units, melting."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from ase import Atoms
from matscipy.neighbours import neighbour_list

from argyro.config.materials import RigidUnit

from .run import RunResult
from .trajectory import Frames, Trajectory

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int64]

BLOCKS = 10  # of time, whose means are taken as independent
LARGE_SAMPLE = 3.0  # standard errors that make a deviation significant
FEWEST_ROWS = 2 * BLOCKS
NAMED = 5  # breaks named in a message
PS_PER_NS = 1000.0


@dataclass(frozen=True)
class CheckLimits:
    """How far a sound run may go.

    Attributes:
        temperature_K: Deviation of the mean temperature, besides three standard errors.
        energy_drift_meV_per_atom_per_ns: Drift of the conserved energy, besides three standard errors.
        energy_change_meV_per_atom: Below which a drift over the whole run does not matter, however fast.
        break_frames: Frames in a row in which a bond is too long, above which it is broken.
        framework_msd_angstrom2: Mean squared displacement over half the run of atoms that should stay where they are;
            ligands of rigid units, which turn, are not held against it.
    """

    temperature_K: float = 10.0
    energy_drift_meV_per_atom_per_ns: float = 2.0
    energy_change_meV_per_atom: float = 1.0
    break_frames: int = 3
    framework_msd_angstrom2: float = 4.0


@dataclass(frozen=True)
class Break:
    """A bond of a rigid unit that broke.

    Attributes:
        time_ps: Of the first frame in which it was too long.
        center: Index of the atom in the middle.
        ligand: Index of the other one.
        unit: Name, such as PS4.
    """

    time_ps: float
    center: int
    ligand: int
    unit: str


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error, from means over blocks of time; NaN where there are too few rows."""

    value: float
    error: float


@dataclass(frozen=True)
class RunChecks:
    """What was found.

    Attributes:
        duration_ps: Of what was examined.
        mean_temperature_K: Of it.
        energy_drift_meV_per_atom_per_ns: Of the conserved energy.
        breaks: The first of every bond, in the order of time.
        incomplete_units: Centers that had too few or too many ligands at the start.
        framework_msd_angstrom2: Over half the run, by kind of atom: an element, ``S (PS4)`` for ligands of a unit.
        largest_grade: Of the run.
        violations: What is wrong, a sentence each; empty if the run is sound.
    """

    duration_ps: float
    mean_temperature_K: Estimate
    energy_drift_meV_per_atom_per_ns: Estimate
    breaks: list[Break]
    incomplete_units: list[int]
    framework_msd_angstrom2: dict[str, float]
    largest_grade: float | None
    violations: list[str]

    @property
    def ok(self) -> bool:
        """Whether the run is sound."""
        return not self.violations

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON holds it: null where there were too few rows."""
        return asdict(self) | {
            name: {key: value if np.isfinite(value) else None for key, value in asdict(getattr(self, name)).items()}
            for name in ("mean_temperature_K", "energy_drift_meV_per_atom_per_ns")
        }


def check_run(
    result: RunResult,
    rigid_units: Sequence[RigidUnit],
    mobile: str,
    *,
    temperature_K: float,
    stream: str = "all",
    skip_ps: float = 0.0,
    limits: CheckLimits | None = None,
) -> RunChecks:
    """Examine a run.

    Args:
        result: The run.
        rigid_units: What should stay whole.
        mobile: The ion that may diffuse.
        temperature_K: Asked for.
        stream: A trajectory of all atoms.
        skip_ps: Time at the start that temperature and drift leave out.
        limits: How far a sound run may go.

    Raises:
        FileError: the trajectory is missing or damaged.
    """
    limits = limits or CheckLimits()
    trajectory, table = result.trajectory(stream), result.thermo()
    table = table[table["time_ps"] >= skip_ps]
    bonds = [find_bonds(first_frame(trajectory), unit) for unit in rigid_units]
    found = RunChecks(
        duration_ps=float(table["time_ps"].max() - table["time_ps"].min()) if len(table) else 0.0,
        mean_temperature_K=block_mean(table["temperature_K"].to_numpy()),
        energy_drift_meV_per_atom_per_ns=energy_drift(table, trajectory.atom_count),
        breaks=find_breaks(trajectory, bonds, limits.break_frames),
        incomplete_units=sorted({center for each in bonds for center in each.incomplete}),
        framework_msd_angstrom2=framework_displacements(trajectory, bonds, mobile),
        largest_grade=result.largest_grade,
        violations=[] if result.finished else [f"the run ended early: {result.reason}"],
    )
    found.violations.extend(_violations(found, bonds, temperature_K, limits))
    found.violations.extend(result.warnings)
    return found


def _violations(found: RunChecks, bonds: Sequence["Bonds"], target: float, limits: CheckLimits) -> list[str]:
    messages = []
    temperature, drift = found.mean_temperature_K, found.energy_drift_meV_per_atom_per_ns
    if abs(temperature.value - target) > limits.temperature_K + LARGE_SAMPLE * temperature.error:
        messages.append(f"the mean temperature is {temperature.value:.0f} K, not {target:.0f} K")
    is_fast = abs(drift.value) > limits.energy_drift_meV_per_atom_per_ns + LARGE_SAMPLE * drift.error
    if is_fast and abs(drift.value) * found.duration_ps / PS_PER_NS > limits.energy_change_meV_per_atom:
        messages.append(f"the conserved energy drifts by {drift.value:.2g} meV per atom and ns")
    if found.incomplete_units:
        messages.append(f"{len(found.incomplete_units)} rigid units were not whole at the start")
    for unit, count in Counter(each.unit for each in found.breaks).items():
        named = [f"atoms {b.center} and {b.ligand} at {b.time_ps:.1f} ps" for b in found.breaks if b.unit == unit]
        more = ", ..." if count > NAMED else ""
        messages.append(f"{count} bonds of {unit} broke: {', '.join(named[:NAMED])}{more}")
    turning = {bond.kind for bond in bonds}
    for kind, msd in found.framework_msd_angstrom2.items():
        if kind not in turning and msd > limits.framework_msd_angstrom2:
            messages.append(f"{kind} moved {msd:.1f} square angstrom in half the run: molten, or not a framework")
    return messages


def block_mean(values: FloatArray) -> Estimate:
    """Mean of a correlated series, with the standard error of the means of ten blocks."""
    if len(values) < FEWEST_ROWS:
        return Estimate(float(np.mean(values)) if len(values) else np.nan, np.nan)
    means = np.array([block.mean() for block in np.array_split(values, BLOCKS)])
    return Estimate(float(values.mean()), float(means.std(ddof=1) / np.sqrt(BLOCKS)))


def energy_drift(table: pd.DataFrame, atom_count: int) -> Estimate:
    """Slope of the conserved energy over time, meV per atom and ns, by a straight line through block means."""
    if len(table) < FEWEST_ROWS:
        return Estimate(np.nan, np.nan)
    columns = table[["time_ps", "conserved_energy_eV"]].to_numpy()
    times, energies = np.array([block.mean(axis=0) for block in np.array_split(columns, BLOCKS)]).T
    (slope, _), covariance = np.polyfit(times, energies, 1, cov=True)
    scale = 1000 * PS_PER_NS / atom_count  # meV per atom
    return Estimate(float(slope * scale), float(np.sqrt(covariance[0, 0]) * scale))


class Bonds(NamedTuple):
    """Bonds of one kind of rigid unit, B of them.

    Attributes:
        unit: Name of the unit, such as PS4.
        limit: Length above which a bond is too long, angstrom.
        kind: Name of its ligands as a kind of atom.
        centers: Atoms in the middle, shape (B,).
        ligands: Atoms bound to them, shape (B,).
        shifts: Cells to add to the vector from center to ligand, shape (B, 3).
        incomplete: Centers with too few or too many ligands.
    """

    unit: str
    limit: float
    kind: str
    centers: IntArray
    ligands: IntArray
    shifts: IntArray
    incomplete: list[int]


def first_frame(trajectory: Trajectory) -> Atoms:
    """The first frame of a trajectory of all atoms, not wrapped."""
    frames = next(trajectory.spans())
    return Atoms(trajectory.metadata["elements"], frames.positions[0], cell=frames.cells[0], pbc=True)


def find_bonds(atoms: Atoms, unit: RigidUnit) -> Bonds:
    """Bonds of a structure: every ligand is bound to the nearest center, if that is near enough."""
    name = f"{unit.center}{unit.ligand}{unit.count}"
    reach = {(unit.ligand, unit.center): unit.max_bond_angstrom}
    first, second, distance, shift = neighbour_list("ijdS", atoms, reach)
    mine = np.flatnonzero(atoms.symbols[first] == unit.ligand)
    order = mine[np.lexsort((distance[mine], first[mine]))]
    ligands, nearest = np.unique(first[order], return_index=True)
    chosen = order[nearest]
    counts = np.bincount(second[chosen], minlength=len(atoms))
    wrong = (atoms.symbols == unit.center) & (counts != unit.count)
    return Bonds(
        unit=name,
        limit=unit.max_bond_angstrom,
        kind=f"{unit.ligand} ({name})",
        centers=second[chosen].astype(np.int64),
        ligands=ligands.astype(np.int64),
        shifts=-shift[chosen].astype(np.int64),
        incomplete=np.flatnonzero(wrong).tolist(),
    )


def find_breaks(trajectory: Trajectory, bonds: Sequence[Bonds], break_frames: int) -> list[Break]:
    """The first break of every bond, in the order of time; a block of time is in memory at once."""
    found = []
    streaks = [np.zeros(len(each.centers), dtype=np.int64) for each in bonds]
    broken = [np.zeros(len(each.centers), dtype=bool) for each in bonds]
    times, frame = trajectory.times, 0
    for span in trajectory.spans():
        too_long = [bond_lengths(span, each) > each.limit for each in bonds]
        for k in range(len(span.steps)):
            for each, long, streak, gone in zip(bonds, too_long, streaks, broken, strict=True):
                streak[:] = np.where(long[k], streak + 1, 0)
                for b in np.flatnonzero((streak > break_frames) & ~gone):
                    gone[b] = True
                    begin = float(times[frame - break_frames])
                    found.append(Break(begin, int(each.centers[b]), int(each.ligands[b]), each.unit))
            frame += 1
    return found


def bond_lengths(frames: Frames, bonds: Bonds) -> FloatArray:
    """Lengths in all frames, shape (F, B), angstrom."""
    vectors = frames.positions[:, bonds.ligands] - frames.positions[:, bonds.centers]
    vectors += np.einsum("bi,fij->fbj", bonds.shifts, frames.cells)
    lengths: FloatArray = np.linalg.norm(vectors, axis=-1)
    return lengths


def framework_displacements(trajectory: Trajectory, bonds: Sequence[Bonds], mobile: str) -> dict[str, float]:
    """Mean squared displacement over half the run, averaged over its start, of each kind of atom but the mobile ion.

    The drift of the framework is taken away. Square angstrom; empty for fewer than two frames.
    """
    kinds = np.array(trajectory.metadata["elements"], dtype=object)
    for each in bonds:
        kinds[each.ligands] = each.kind
    half = len(trajectory.steps) // 2
    if half == 0:
        return {}
    sums: dict[str, list[FloatArray]] = {}
    for atoms, positions in trajectory.blocks():
        relative = positions - trajectory.framework[:, None]
        squared = ((relative[half:] - relative[:-half]) ** 2).sum(axis=-1).mean(axis=0)
        for kind in set(kinds[atoms]) - {mobile}:
            sums.setdefault(kind, []).append(squared[kinds[atoms] == kind])
    return {kind: float(np.concatenate(values).mean()) for kind, values in sorted(sums.items())}
