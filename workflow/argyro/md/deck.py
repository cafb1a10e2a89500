"""LAMMPS's commands of a run's segments."""

from collections.abc import Callable
from dataclasses import dataclass

from argyro.common.errors import DynamicsError

from .lammps import DATA, PotentialFile
from .settings import Ensemble, Grading, RunSettings, Stream

SNAPSHOTS, RESTART, FINAL = "snapshots.cfg", "restart", "final.bin"
BAR_PER_GPA = 1e4
LAMMPS_SEEDS = 900_000_000  # its random number generators take positive seeds below 9e8
WATCH_EVERY = 10  # steps between looks at the temperature
ORIGIN = "fixedpoint 0 0 0"  # stays where it is as the cell changes, so that fractions of the cell keep their meaning
COUPLINGS = {"isotropic": "iso", "anisotropic": "aniso", "normal": "z"}
THERMO = (
    *("step", "temp", "pe", "ke", "econserve"),
    *("pxx", "pyy", "pzz", "pyz", "pxz", "pxy"),
    *("lx", "ly", "lz", "yz", "xz", "xy"),
    *(f"c_framework[{axis}]" for axis in (1, 2, 3)),
)
GRADES = ("c_grade[1]", "c_grade[3]")  # the last grading's largest, and the largest so far

HEAD = """units metal
boundary p p p
atom_style atomic
box tilt large
"""


@dataclass(frozen=True)
class Dialect:
    """What kinds of LAMMPS are told each in words of its own.

    Attributes:
        pair: The commands that choose the potential.
        grading: Those that define the variable ``grade``, the largest of the last grading, and keep structures.
        grades: Columns of the table that LAMMPS prints, besides `THERMO`, where grades are computed.
    """

    pair: Callable[[PotentialFile, Grading | None], str]
    grading: Callable[[Grading], str]
    grades: tuple[str, ...]


def lammps_seed(seed: int) -> int:
    """A seed as LAMMPS takes it."""
    return 1 + seed % LAMMPS_SEEDS


def segment_deck(
    potential: PotentialFile,
    settings: RunSettings,
    *,
    first_step: int,
    velocity_seed: int,
    thermostat_seed: int,
    dialect: Dialect | None = None,
) -> str:
    """One segment, from the data file at step 0 or from a restart file, over to the next restart file.

    Args:
        potential: What drives it.
        settings: How.
        first_step: Where the segment begins.
        velocity_seed: Of the velocities at step 0.
        thermostat_seed: Of the thermostat at step 0; later its state comes from the restart file.
        dialect: Of the LAMMPS that reads it; None: of one with mtpcore's plug-in.
    """
    dialect = dialect or PLUGIN
    steps = min(settings.segment_steps, settings.steps - first_step)
    return "\n".join(
        [
            HEAD + (f"read_data {DATA}" if first_step == 0 else f"read_restart {RESTART}.in"),
            dialect.pair(potential, settings.grading),
            "neighbor 1.0 bin\nneigh_modify every 1 delay 0 check yes",
            f"timestep {settings.timestep}",
            _velocities(settings, velocity_seed) if first_step == 0 else "",
            _motion(settings.ensemble, thermostat_seed),
            _framework(potential, settings),
            *(_dump(stream, potential) for stream in settings.streams),
            _watch(settings, dialect),
            f"thermo {settings.thermo_every}",
            f"thermo_style custom {' '.join(THERMO + (dialect.grades if settings.grading else ()))}",
            "thermo_modify line one format float %.17g lost error flush yes",
            f"run {steps} start 0 stop {settings.steps}",
            _end(),
        ]
    )


def thermo_keywords(settings: RunSettings) -> tuple[str, ...]:
    """Columns of the table that LAMMPS leaves."""
    return THERMO + (GRADES if settings.grading else ())


def _pair(potential: PotentialFile, grading: Grading | None) -> str:
    if grading is None:
        return potential.pair_style()
    select = "" if grading.select is None else f" select {grading.select} {SNAPSHOTS}"
    return potential.pair_style("mtp/extrapolation", f"every {grading.every}{select}")


def _grading(_grading: Grading) -> str:
    return "compute grade all pair mtp/extrapolation\nvariable grade equal c_grade[1]"


PLUGIN = Dialect(_pair, _grading, GRADES)


def _velocities(settings: RunSettings, seed: int) -> str:
    if not settings.create_velocities:
        return "velocity all zero linear"
    return f"velocity all create {settings.ensemble.temperature} {seed} mom yes rot no dist gaussian"


def _motion(ensemble: Ensemble, seed: int) -> str:
    lines = ["fix motion all nve"]
    if ensemble.name == "npt":
        pressure = ensemble.pressure * BAR_PER_GPA
        coupling = COUPLINGS[ensemble.coupling]
        lines = [f"fix motion all nph {coupling} {pressure} {pressure} {ensemble.barostat_time} {ORIGIN}"]
    if ensemble.name != "nve":
        temperatures = f"{ensemble.temperature} {ensemble.last_temperature}"
        lines.append(f"fix thermostat all temp/csvr {temperatures} {ensemble.thermostat_time} {seed}")
    return "\n".join(lines)


def _framework(potential: PotentialFile, settings: RunSettings) -> str:
    """Where the centre of mass of all that does not diffuse is; of everything, if there is nothing else."""
    types = _types(potential, tuple(s for s in potential.species if s not in settings.mobile))
    return f"group framework type {types or '*'}\ncompute framework framework com"


def _types(potential: PotentialFile, elements: tuple[str, ...]) -> str:
    return " ".join(str(1 + k) for k, element in enumerate(potential.species) if element in elements)


def _dump(stream: Stream, potential: PotentialFile) -> str:
    group, lines = "all", []
    if stream.elements is not None:
        if not (types := _types(potential, stream.elements)):
            raise DynamicsError(
                f"the stream '{stream.name}' keeps {', '.join(stream.elements)}; the potential knows "
                f"{', '.join(potential.species)}"
            )
        group = f"kept_{stream.name}"
        lines = [f"group {group} type {types}"]
    lines += [
        f"dump {stream.name} {group} custom {stream.every} {dump_name(stream)} xu yu zu",
        f"dump_modify {stream.name} sort id",
    ]
    return "\n".join(lines)


def dump_name(stream: Stream) -> str:
    """File of a stream's frames; LAMMPS writes it in its binary format for the sake of the suffix."""
    return f"{stream.name}.bin"


def _watch(settings: RunSettings, dialect: Dialect) -> str:
    """Ends the run softly, so that what was written so far is complete."""
    lines = [
        "variable temperature equal temp",
        f"fix hot all halt {WATCH_EVERY} v_temperature > {settings.hottest} error soft",
    ]
    if settings.grading is not None:
        lines.append(dialect.grading(settings.grading))
        if settings.grading.stop is not None:
            lines.append(f"fix unknown all halt {settings.grading.every} v_grade > {settings.grading.stop} error soft")
    return "\n".join(lines)


def _end() -> str:
    """State at the end: a restart file, and all positions and velocities with the cell."""
    return f"""write_restart {RESTART}
write_dump all custom {FINAL} xu yu zu vx vy vz modify sort id
"""
