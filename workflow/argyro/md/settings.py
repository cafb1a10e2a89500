"""What a run of molecular dynamics is asked to do."""

from dataclasses import dataclass
from typing import Literal

from argyro.common.errors import DynamicsError

type EnsembleName = Literal["nve", "nvt", "npt"]
type Coupling = Literal["isotropic", "normal", "anisotropic"]


@dataclass(frozen=True)
class Ensemble:
    """What is held constant.

    The thermostat rescales all velocities by a common random factor (Bussi, Donadio and Parrinello, J. Chem. Phys. 126,
    014101 (2007)): canonical, conserves momentum, and leaves diffusion alone where its time is 0.5 ps or more.

    Attributes:
        name: ``nve``, ``nvt`` or ``npt``.
        temperature: At the start, K; with ``nve`` that of the velocities drawn.
        end_temperature: Reached linearly over the whole run, K; None: as at the start.
        thermostat_time: Time constant, ps.
        pressure: GPa; of ``npt``.
        coupling: What the barostat changes: the volume; the extent normal to the first two cell vectors, as of a
            bicrystal's boundary; or all three lengths.
        barostat_time: Time constant, ps.
    """

    name: EnsembleName
    temperature: float
    end_temperature: float | None = None
    thermostat_time: float = 0.5
    pressure: float = 0.0
    coupling: Coupling = "isotropic"
    barostat_time: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if min(self.temperature, self.last_temperature, self.thermostat_time, self.barostat_time) <= 0:
            raise DynamicsError(f"temperatures and time constants must be above 0: {self}")
        if self.name == "nve" and self.end_temperature not in (None, self.temperature):
            raise DynamicsError("nve has no thermostat that could change the temperature; use nvt or npt")

    @property
    def last_temperature(self) -> float:
        """At the end of the run, K."""
        return self.temperature if self.end_temperature is None else self.end_temperature


@dataclass(frozen=True)
class Stream:
    """Which atoms' positions are kept, and how often.

    Attributes:
        name: Of the file.
        every: Steps between frames, a multiple of ``thermo_every``.
        elements: Whose; None: all atoms.
    """

    name: str
    every: int
    elements: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Grading:
    """What is done about structures the potential does not know.

    Attributes:
        every: Steps between gradings.
        select: Structures with a grade above this are kept; None: none are.
        stop: The run ends where a grade exceeds this; None: it does not.
        enough: The run ends after the segment in which the number of kept structures reaches this.
    """

    every: int = 10
    select: float | None = 1.4
    stop: float | None = 5.0
    enough: int = 1000


@dataclass(frozen=True)
class RunSettings:
    """How a run goes, and what it writes.

    Attributes:
        ensemble: What is held constant.
        steps: Length of the run.
        timestep: ps.
        thermo_every: Steps between rows of the table of temperature, energies, pressure and cell.
        streams: Trajectories.
        grading: None: grades are not computed.
        segment_steps: Steps between checkpoints, each followed by a fresh process; a multiple of all ``every``.
        mobile: The ions that diffuse; the drift is that of all others.
        create_velocities: Draw velocities at the start; otherwise the structure's are used.
        temperature_limit: The run ends above it, K; None: three times the highest temperature asked for, plus 300.
    """

    ensemble: Ensemble
    steps: int
    timestep: float = 0.002
    thermo_every: int = 50
    streams: tuple[Stream, ...] = ()
    grading: Grading | None = None
    segment_steps: int = 10_000
    mobile: tuple[str, ...] = ("Li",)
    create_velocities: bool = True
    temperature_limit: float | None = None

    def __post_init__(self) -> None:
        """Refuse intervals that do not fit together."""
        if min(self.steps, self.thermo_every, self.segment_steps, self.timestep) <= 0:
            raise DynamicsError("steps, thermo_every, segment_steps and timestep must be above 0")
        for stream in self.streams:
            if stream.every % self.thermo_every:
                raise DynamicsError(
                    f"frames of '{stream.name}' every {stream.every} steps are no multiple of thermo_every, "
                    f"{self.thermo_every}"
                )
        for every in (self.thermo_every, *(stream.every for stream in self.streams)):
            if self.segment_steps % every:
                raise DynamicsError(
                    f"segment_steps {self.segment_steps} is no multiple of {every}, an interval of output"
                )

    @property
    def duration(self) -> float:
        """Length of the run, ps."""
        return self.steps * self.timestep

    @property
    def hottest(self) -> float:
        """Temperature above which the run ends, K."""
        if self.temperature_limit is not None:
            return self.temperature_limit
        return 3 * max(self.ensemble.temperature, self.ensemble.last_temperature) + 300
