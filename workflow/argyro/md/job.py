"""A run, as all that takes part in it needs to know it."""

from dataclasses import dataclass, field

from ase import Atoms

from argyro.config.dynamics import Engine, KokkosConfig

from .lammps import PotentialFile
from .settings import RunSettings


@dataclass(frozen=True)
class Job:
    """A run, as all its segments need to know it.

    Attributes:
        atoms: Where it starts.
        potential: What drives it.
        settings: How.
        seed: Of all that is random.
        ranks: Processes.
        identity: Hash of all that determines the result.
        engine: What runs it.
        kokkos: Of the engine ``kokkos``: how.
    """

    atoms: Atoms
    potential: PotentialFile
    settings: RunSettings
    seed: int
    ranks: int
    identity: str
    engine: Engine = "lammps"
    kokkos: KokkosConfig = field(default_factory=KokkosConfig)
