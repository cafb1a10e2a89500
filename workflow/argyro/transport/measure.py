"""All that is measured of the replicas of one structure at one temperature, as rows of the table of diffusivities."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from argyro.common.errors import DynamicsError, FileError
from argyro.common.files import read_json
from argyro.common.statistics import student_interval
from argyro.config.materials import Material
from argyro.config.transport import TransportConfig
from argyro.md.run import RunResult, read_run
from argyro.md.trajectory import Trajectory
from argyro.microstructure.model import Microstructure, strained
from argyro.microstructure.regions import Regions
from argyro.microstructure.tessellation import Tessellation, tessellate

from .collective import (
    NotResolved,
    Resolved,
    collective_diffusivity,
    collective_displacements,
    conductivity,
    haven_ratio,
)
from .diffusivity import Diffusivity, NotDiffusive, tracer_diffusivity
from .displacements import SquaredDisplacements, frame_interval, ion_displacements, mobile_blocks
from .hops import HopCounts, HopStatistics, cage_centers, hop_counts, join_hops, places_of
from .kinisi_estimate import KinisiDiffusivity, kinisi_diffusivity
from .published import single_origin_diffusivity
from .regions import (
    RegionDiffusivity,
    Visits,
    lag_range,
    parallel_diffusivities,
    perpendicular_diffusivities,
)
from .tensor import COMPONENTS, DIRECTIONS, diffusivity_tensor

logger = logging.getLogger(__name__)
STREAM = "mobile"
REGIONS = ("grain", "boundary")
FRAMES_PER_LAG = 8  # between the frames of regions, the shortest lag has at least as many
type Row = dict[str, Any]
type AnyDiffusivity = Diffusivity | RegionDiffusivity | KinisiDiffusivity


@dataclass(frozen=True, eq=False)
class Runs:
    """Replicas of one structure at one temperature.

    Attributes:
        reports: Of all of them, as `dynamics` wrote them.
        productions: Those whose production was finished.
        microstructure: Grains of the relaxed structure; None for bulk.
    """

    reports: Sequence[Row]
    productions: Sequence[RunResult]
    microstructure: Microstructure | None

    def trajectories(self) -> list[Trajectory]:
        """Of the mobile ions."""
        return [run.trajectory(STREAM) for run in self.productions]


def read_runs(reports: Sequence[Path], microstructure: Microstructure | None) -> Runs:
    """Runs from their reports.

    Raises:
        FileError: a file of a run is missing or damaged; its report is removed, so that the campaign repeats the run.
    """
    contents, productions = [], []
    for path in reports:
        content = read_json(path)
        contents.append(content)
        if content["stage"] == "production" and content["status"] == "finished":
            run = read_run(path.parent)
            try:
                run.trajectory(STREAM).verify()
            except FileError as error:
                path.unlink()
                raise FileError(f"{error} The run is repeated when the campaign goes on: start it again") from None
            productions.append(run)
    return Runs(contents, productions, microstructure)


def measure(runs: Runs, material: Material, settings: TransportConfig, seed: int) -> list[Row]:
    """Rows of the table, one for every region, direction and method.

    Args:
        runs: Replicas.
        material: What they are of.
        settings: Of the stage.
        seed: Of the samples that intervals of ratios come from.
    """
    common = _common(runs, material)
    if not runs.productions:
        reasons = sorted({f"{report['stage']} {report['status']}: {report['reason']}" for report in runs.reports})
        return [common | _row("tracer", "cell", "mean") | {"status": f"no finished run; {'; '.join(reasons)}"}]
    ions = [ion_displacements(trajectory, [material.mobile], DIRECTIONS) for trajectory in runs.trajectories()]
    found = tracer_diffusivity(ions, hop_length=settings.hop_length_angstrom)
    rows = [_row("tracer", "cell", "mean") | _tracer_columns(found)]
    rows += _directions(ions, runs, settings)
    if isinstance(found, Diffusivity):
        rows += _tensor(ions, found)
        rows += _collective(runs, material, found, seed)
        rows += _by_kinisi(runs, material, found, seed) if settings.kinisi else []
        rows += _regions(runs, material, found, settings)
    if settings.published_protocol:
        values = [single_origin_diffusivity(t, [material.mobile]) for t in runs.trajectories()]
        rows.append(
            _row("single origin", "cell", "mean") | {"status": "no interval", "D_cm2_per_s": float(np.mean(values))}
        )
    return [common | row | _conductivity_columns(row, common, material) for row in rows]


def _common(runs: Runs, material: Material) -> Row:
    """What all rows of some runs have in common."""
    first = runs.reports[0]
    temperatures = [r["mean_temperature_K"] for r in runs.reports if r["mean_temperature_K"] is not None]
    volume = float(np.mean([r["volume_per_atom_angstrom3"] for r in runs.reports]))
    share = float(material.composition[material.mobile] / sum(material.composition.values()))
    return {
        **{name: first[name] for name in ("structure", "material", "anion", "exchange_percent", "repeat", "atoms")},
        "kind": _kind(runs),
        "temperature_K": first["temperature_K"],
        "mean_temperature_K": float(np.mean(temperatures)) if temperatures else None,
        "replicas": len(runs.productions),
        "replicas_lost": len(runs.reports) - len(runs.productions),
        "replicas_with_violations": sum(bool(r["violations"]) for r in runs.reports),
        "violations": "; ".join(sorted({r["violations"] for r in runs.reports if r["violations"]})),
        "duration_ps": float(np.mean([r["duration_ps"] for r in runs.reports])),
        "ions_per_angstrom3": share / volume,
        "potential_sha256": first["potential_sha256"],
        "seed": " ".join(r["seed"] for r in runs.reports),
        **{name: first[name] for name in first if name.startswith("version_")},
    }


def _kind(runs: Runs) -> str:
    if runs.microstructure is None:
        return "bulk"
    return "bicrystal" if _is_bicrystal(runs.microstructure) else "polycrystal"


def _is_bicrystal(microstructure: Microstructure) -> bool:
    return microstructure.grains == 2 and len(microstructure.column_axes) == 2  # noqa: PLR2004


def _row(method: str, region: str, direction: str) -> Row:
    return {"method": method, "region": region, "direction": direction}


def _tracer_columns(found: Diffusivity | NotDiffusive) -> Row:
    if isinstance(found, NotDiffusive):
        return {
            "status": f"not diffusive: {found.reason}",
            "D_cm2_per_s_upper95": found.upper95_cm2_per_s,
            "msd_angstrom2": found.msd_angstrom2,
            "exponent": found.exponent,
            "exponent_error": found.exponent_error,
        }
    return _interval_columns(found) | {
        "status": "diffusive",
        "exponent": found.exponent,
        "exponent_error": found.exponent_error,
        "offset_angstrom2": found.offset_angstrom2,
        "window_begin_ps": found.window_ps[0],
        "window_end_ps": found.window_ps[1],
        "ions": found.ions,
        "scatter": found.scatter,
    }


def _interval_columns(found: AnyDiffusivity) -> Row:
    return {
        "D_cm2_per_s": found.D_cm2_per_s,
        "D_error_cm2_per_s": found.error_cm2_per_s,
        "D_cm2_per_s_lo68": found.interval68_cm2_per_s[0],
        "D_cm2_per_s_hi68": found.interval68_cm2_per_s[1],
        "D_cm2_per_s_lo95": found.interval95_cm2_per_s[0],
        "D_cm2_per_s_hi95": found.interval95_cm2_per_s[1],
    }


def _directions(ions: Sequence[SquaredDisplacements], runs: Runs, settings: TransportConfig) -> Iterator[Row]:
    """Of bicrystals along the boundaries and across them."""
    if _kind(runs) == "bicrystal":
        for direction, axes in (("parallel", (0, 1)), ("perpendicular", (2,))):
            found = tracer_diffusivity(ions, hop_length=settings.hop_length_angstrom, axes=axes)
            yield _row("tracer", "cell", direction) | _tracer_columns(found)


def _tensor(ions: Sequence[SquaredDisplacements], found: Diffusivity) -> Iterator[Row]:
    tensor = diffusivity_tensor(ions, found.window_ps[0])
    columns = (tensor.components_cm2_per_s, tensor.errors_cm2_per_s, tensor.freedom)
    for name, value, error, freedom in zip(COMPONENTS, *map(np.ndarray.tolist, columns), strict=True):
        row: Row = {"status": "diffusive", "D_cm2_per_s": value, "D_error_cm2_per_s": error}
        for percent in (68, 95):
            low, high = student_interval(value, error, freedom, percent / 100)
            row |= {f"D_cm2_per_s_lo{percent}": low, f"D_cm2_per_s_hi{percent}": high}
        yield _row("tensor", "cell", name) | row


def _collective(runs: Runs, material: Material, tracer: Diffusivity, seed: int) -> Iterator[Row]:
    moved = [collective_displacements(trajectory, [material.mobile]) for trajectory in runs.trajectories()]
    found = collective_diffusivity(moved, begin_ps=tracer.window_ps[0])
    row = _row("collective", "cell", "mean") | {"windows": found.windows}
    if isinstance(found, NotResolved):
        yield row | {"status": f"not resolved: {found.reason}"}
        return
    ratio = haven_ratio(tracer, found, seed)
    yield (
        row | {"status": "resolved"} | _resolved_columns("D_cm2_per_s", found) | _resolved_columns("haven_ratio", ratio)
    )


def _by_kinisi(runs: Runs, material: Material, tracer: Diffusivity, seed: int) -> Iterator[Row]:
    trajectories = runs.trajectories()
    positions = [np.concatenate(list(mobile_blocks(each, [material.mobile])), axis=1) for each in trajectories]
    found = kinisi_diffusivity(positions, frame_interval(trajectories[0]), tracer.window_ps[0], seed)
    yield _row("kinisi", "cell", "mean") | {"status": "independent estimate"} | _interval_columns(found)


def _resolved_columns(name: str, found: Resolved) -> Row:
    columns = {name: found.value}
    for percent, (low, high) in ((68, found.interval68), (95, found.interval95)):
        columns |= {f"{name}_lo{percent}": low, f"{name}_hi{percent}": high}
    return columns


def _conductivity_columns(row: Row, common: Row, material: Material) -> Row:
    """Of a tracer diffusivity that of Nernst and Einstein, of a collective one the conductivity itself."""
    if row["method"] not in {"tracer", "collective"} or row["direction"] != "mean" or "D_cm2_per_s" not in row:
        return {}
    return {
        name.replace("D_cm2_per_s", "conductivity_mS_per_cm"): conductivity(
            row[name],
            ions_per_angstrom3=common["ions_per_angstrom3"],
            charge_number=material.states[material.mobile],
            temperature_K=common["mean_temperature_K"],
        )
        for name in row
        if name.startswith("D_cm2_per_s")
    }


def boundary_spacing(tessellation: Tessellation) -> float:
    """Least distance of boundaries: twice the smallest height of a seed over a facet, angstrom."""
    facets = tessellation.facets
    offsets = facets.offset[facets.is_boundary]
    return 2 * float(offsets.min())


def _regions(runs: Runs, material: Material, found: Diffusivity, settings: TransportConfig) -> list[Row]:
    """Inside and outside of boundaries, along and across them; of bicrystals layer by layer as well."""
    if runs.microstructure is None:
        return []
    cell = runs.trajectories()[0].cells[0]
    tessellation = tessellate(strained(runs.microstructure, cell))
    width, spacing = settings.boundary_width_angstrom, boundary_spacing(tessellation)
    empty = [_row("regions", region, direction) for region in REGIONS for direction in ("parallel", "perpendicular")]
    if spacing < 2 * width:
        reason = f"not resolved: boundaries {spacing:.1f} angstrom apart, less than twice {width:g}"
        return [row | {"status": reason, "width_angstrom": width} for row in empty]
    first = runs.trajectories()[0]
    # Lags begin at several frames of this stride: more of them would tell little more
    interval = frame_interval(first)
    stride = max(1, int(found.window_ps[0] / (FRAMES_PER_LAG * interval)))
    try:
        frames = -(-len(first.steps) // stride)
        lags = lag_range(frames, stride * interval, found.window_ps[0], found.D_cm2_per_s, width)
    except DynamicsError as error:
        return [row | {"status": f"not resolved: {error}", "width_angstrom": width} for row in empty]
    regions = Regions(tessellation)
    rows = [
        _row("regions", region, direction) | {"width_angstrom": width} | _region_columns(each)
        for direction, estimate in (
            ("parallel", parallel_diffusivities),
            ("perpendicular", perpendicular_diffusivities),
        )
        for region, each in zip(
            REGIONS, estimate(_visits(runs, material, regions, width, stride), lags, len(REGIONS)), strict=True
        )
    ]
    if not _is_bicrystal(runs.microstructure):
        return rows
    return rows + _profile(_visits(runs, material, regions, width, stride), cell, lags, settings)


def _region_columns(found: RegionDiffusivity | None) -> Row:
    if found is None:
        return {"status": "not resolved: no ion was there"}
    low, _ = found.interval95_cm2_per_s
    status = "resolved" if low > 0 else "not resolved: the 95 % interval reaches 0"
    ends = {"window_begin_ps": found.lags_ps[0], "window_end_ps": found.lags_ps[1], "share": found.share}
    return _interval_columns(found) | ends | {"status": status}


def _visits(runs: Runs, material: Material, regions: Regions, width: float, stride: int) -> Iterator[Visits]:
    """Where ions are, block by block: 0 in a grain, 1 in a boundary."""
    for trajectory in runs.trajectories():
        for block in mobile_blocks(trajectory, [material.mobile]):
            positions = block[::stride] + trajectory.framework[0]  # as in the first frame, whatever the drift since
            place = regions.find(positions.reshape(-1, 3))
            shape = positions.shape[:2]
            yield Visits(
                positions=positions,
                region=place.is_boundary(width).reshape(shape).astype(np.int64),
                depth=np.abs(place.distance.reshape(shape) - width / 2),
                normal=regions.tessellation.facets.normal[place.facet].reshape(*shape, 3),
                interval=stride * frame_interval(trajectory),
            )


def _profile(visits: Iterator[Visits], cell: Any, lags: Any, settings: TransportConfig) -> list[Row]:
    """Diffusivity along the boundaries in layers of a bicrystal."""
    height = float(cell[2, 2])
    count = max(1, round(height / settings.profile_bin_angstrom))
    layered = (
        Visits(
            run.positions,
            (np.floor((run.positions[..., 2] / height) % 1 * count).astype(np.int64)).clip(0, count - 1),
            run.depth,
            np.array([0.0, 0.0, 1.0]),
            run.interval,
        )
        for run in visits
    )
    return [
        _row("profile", f"layer {k}", "parallel")
        | {"z_angstrom": (k + 0.5) * height / count, "width_angstrom": height / count}
        | _region_columns(found)
        for k, found in enumerate(parallel_diffusivities(layered, lags, count))
    ]


def measure_hops(runs: Runs, material: Material) -> HopStatistics | None:
    """Hops within and between cages, of bulk argyrodites; None for others."""
    if runs.microstructure is not None or material.cif is not None or not runs.productions:
        return None
    return join_hops([block for run in runs.productions for block in _hops(run, material)])


def _hops(run: RunResult, material: Material) -> Iterator[HopCounts]:
    """Hops of one run, block by block of ions."""
    atoms, everything = run.final(), run.trajectory("all")
    # Cubic, four formula units to a cell: from the volume, whatever the supercell
    units = float(len(atoms) / sum(material.composition.values()))
    lattice_constant = float((4 * atoms.get_volume() / units) ** (1 / 3))
    centers = cage_centers(atoms, material.rigid_units, material.mobile, lattice_constant)
    means = [(block - everything.framework[:, None]).mean(axis=0) for _, block in everything.blocks()]
    middles, trajectory = np.concatenate(means)[centers], run.trajectory(STREAM)
    for block in mobile_blocks(trajectory, [material.mobile]):
        places = places_of(block, middles, everything.cells[0])
        yield hop_counts(places, frame_interval(trajectory))
