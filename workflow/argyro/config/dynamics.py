"""Settings of the stage `dynamics`."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import Field, model_validator

from .base import NonNegativeFloat, PositiveFloat, PositiveInt, Section

ROUNDING = 1e-6  # relative
type Engine = Literal["lammps", "gpu", "gpu-mixed", "kokkos"]
SIDE_BY_SIDE = ("gpu", "gpu-mixed")  # engines that take several runs at once


def _is_multiple(longer: float, shorter: float) -> bool:
    parts = longer / shorter
    return round(parts) >= 1 and abs(parts - round(parts)) < ROUNDING * parts


class RelaxationConfig(Section):
    """How bulk, bicrystals and polycrystals find their structure: minimised, warmed, annealed, cooled, minimised."""

    replicas: PositiveInt = 3
    """Independent anneals of each structure; intervals of boundary energies come from their scatter."""
    low_temperature_K: PositiveFloat = 20.0
    """Where warming begins and cooling ends."""
    anneal_temperature_K: PositiveFloat = 600.0
    """Of the anneal."""
    warm_ps: PositiveFloat = 5.0
    """Time of warming."""
    anneal_ps: PositiveFloat = 20.0
    """Time of the anneal."""
    cool_ps: PositiveFloat = 100.0
    """Time of cooling; published: 1000."""
    force_tolerance_eV_per_angstrom: PositiveFloat = 0.005
    """Largest component of a force that the last minimisation leaves."""
    keep: PositiveInt = 1
    """How many of a boundary's candidates go on to molecular dynamics: those of the lowest energy."""

    @model_validator(mode="after")
    def _temperatures_are_ordered(self) -> Self:
        if self.low_temperature_K >= self.anneal_temperature_K:
            raise ValueError(
                f"low_temperature_K {self.low_temperature_K:g} must be below anneal_temperature_K "
                f"{self.anneal_temperature_K:g}"
            )
        return self


class ChecksConfig(Section):
    """How far a sound run may go. A run that goes further is reported, and used all the same."""

    temperature_K: PositiveFloat = 10.0
    """Deviation of the mean temperature, besides three standard errors."""
    energy_drift_meV_per_atom_per_ns: PositiveFloat = 2.0
    """Drift of the conserved energy, besides three standard errors."""
    energy_change_meV_per_atom: PositiveFloat = 1.0
    """Drift over the whole run that does not matter, however fast."""
    break_frames: PositiveInt = 3
    """Frames in a row in which a bond of a rigid unit is too long, above which it is broken."""
    framework_msd_angstrom2: PositiveFloat = 4.0
    """Mean squared displacement, over half the run, of atoms that should stay where they are: above it, it melts."""


class KokkosConfig(Section):
    """A LAMMPS of your own with the pair styles of lammps-mtp-kokkos, for the engine kokkos, of explorers too.

    Its command lines and decks are tested, the program itself cannot be.
    """

    command: tuple[str, ...] = Field(default=("lmp",), min_length=1)
    """How it is started, such as [mpirun, -np, "1", /opt/lammps/bin/lmp]; what LAMMPS is told is added."""
    chunksize: PositiveInt = 32768
    """Most atoms that it works on at a time; fewer need less memory of the card."""
    small: bool = True
    """The pair styles that give an atom a block of threads, for some thousand atoms; false: those that give it one
    thread, for 50 000 and more."""


class DynamicsConfig(Section):
    """Molecular dynamics of bulk, bicrystals and polycrystals."""

    structures: tuple[str, ...] = ("*",)
    """Names of structures that are run, or patterns of them such as *-bulk-*; a bicrystal's end in -k0 for the
    candidate of the lowest energy, -k1 for the next."""
    temperatures_K: tuple[PositiveInt, ...] = Field(default=(400, 450, 500, 550, 600, 700), min_length=1)
    """Of the runs."""
    replicas: PositiveInt = 1
    """Independent runs of each structure at each temperature."""
    timestep_ps: PositiveFloat = 0.002
    """Of molecular dynamics."""
    cell: Literal["npt", "built"] = "npt"
    """Cell of the production: the mean of an equilibration at zero pressure (bulk and polycrystals change their volume,
    bicrystals their length along the normal), or that of the structure as it was built or relaxed."""
    equilibration_ps: PositiveFloat = 200.0
    """Length of the equilibration, of which the second half gives the cell."""
    ensemble: Literal["nvt", "nve"] = "nvt"
    """Of the production. Below 10 000 atoms an equilibration leaves the temperature of nve uncertain."""
    production_ps: PositiveFloat = 5000.0
    """Length of the production."""
    frame_ps: PositiveFloat = 0.1
    """Time between positions of mobile ions that are kept."""
    all_atoms_frame_ps: PositiveFloat = 1.0
    """Time between positions of all atoms that are kept, a multiple of frame_ps."""
    segment_ps: PositiveFloat = 50.0
    """Time between checkpoints, each followed by a fresh process; a multiple of all_atoms_frame_ps."""
    grade_every: PositiveInt = 10
    """Steps between gradings."""
    select_grade: float = Field(default=2.0, gt=1)
    """Structures with a higher extrapolation grade are kept: what the potential did not learn."""
    stop_grade: float = Field(default=20.0, gt=1)
    """A run ends where a grade exceeds this."""
    engine: Engine = "lammps"
    """What runs molecular dynamics: LAMMPS on processors; gpu, an NVIDIA GPU (`scripts/run --with gpu`), gpu-mixed with
    moments in single precision; or kokkos, a LAMMPS of your own on a GPU. Jobs of all but LAMMPS ask for the resource
    gpu: 1. Relaxations are always LAMMPS's on processors."""
    ranks: PositiveInt = 1
    """Processes of LAMMPS for each run; a run on a GPU takes one."""
    kokkos: KokkosConfig = KokkosConfig()
    """A LAMMPS of your own on a GPU."""
    boundary_width_angstrom: NonNegativeFloat = 25.0
    """Atoms within half of this of a boundary's plane are flagged as the boundary's."""
    relaxation: RelaxationConfig = RelaxationConfig()
    """How structures find their minimum."""
    checks: ChecksConfig = ChecksConfig()
    """How far a sound run may go."""

    @model_validator(mode="after")
    def _intervals_fit(self) -> Self:
        for longer, shorter in (("all_atoms_frame_ps", "frame_ps"), ("segment_ps", "all_atoms_frame_ps")):
            if not _is_multiple(getattr(self, longer), getattr(self, shorter)):
                raise ValueError(
                    f"{longer} {getattr(self, longer):g} is no multiple of {shorter} {getattr(self, shorter):g}"
                )
        if not _is_multiple(self.frame_ps, self.timestep_ps):
            raise ValueError(f"frame_ps {self.frame_ps:g} is no multiple of timestep_ps {self.timestep_ps:g}")
        if self.select_grade > self.stop_grade:
            raise ValueError(f"select_grade {self.select_grade:g} is above stop_grade {self.stop_grade:g}")
        return self

    @property
    def frame_steps(self) -> int:
        """Steps between frames of mobile ions."""
        return round(self.frame_ps / self.timestep_ps)

    def chosen(self, structures: Iterable[str]) -> list[str]:
        """Those of these structures that are run, in their order."""
        return [name for name in structures if any(fnmatchcase(name, pattern) for pattern in self.structures)]
