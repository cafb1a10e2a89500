"""How much work the jobs of a campaign are, from its configuration alone: what their times are proportional to."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from math import ceil, exp, log, log10

import numpy as np

from argyro.common.errors import ArgyroError
from argyro.config.dynamics import SIDE_BY_SIDE
from argyro.config.model import Config
from argyro.learning.samplers import Sampler, samplers
from argyro.structures.boundary import boundary_geometry
from argyro.structures.crystal import crystal_of

type Wildcards = Mapping[str, str]

CELL_ATOMS = 52  # of the cubic cell of an argyrodite
CELL_FORMULA_UNITS = 4
ATOM_VOLUME = 20.5  # cubic angstrom
MOBILE_FRACTION = 24 / 52
BYTES_PER_POSITION = 7.5  # of a trajectory, measured
MICROSECONDS_PER_ATOM = {8: 0.62, 12: 1.08, 16: 2.2, 18: 3.4}  # and step, of a level: benchmarks/results/mtp_speed.md
GPU_MICROSECONDS_PER_ATOM = {
    8: 0.0106,
    12: 0.0098,
    16: 0.0181,
    18: 0.0273,
    20: 0.0549,
}  # results/gpu_md.md, with grades
GPU_START = 15.0  # seconds until a GPU's job begins to move atoms: its kernels are compiled first
GPU_MICROSECONDS = (100.0, 10.0)  # of a step and of each system in it, which no card shortens: gpu_against_lammps.py
GIVEN_LEVEL = 10  # of potentials that were not learned here
SECONDS_PER_LABEL = {  # of 52 atoms, and the power by which it grows with the number of atoms
    "mtp": (0.001, 1.0),
    "tblite": (3.0, 2.4),
    "gpaw": (95.0, 2.5),
    "sevennet": (0.4, 1.0),
    "cp2k": (700.0, 2.5),
    "espresso": (95.0, 2.5),  # not measured: taken for GPAW's
    "vasp": (95.0, 2.5),  # not measured: taken for GPAW's
}
RANKED = {"relax_structure", "run_dynamics"}  # rules whose threads are MPI ranks
LABEL_RULES = {"label", "label_candidates", "check_backend", "sample_seeds"}


class Work:
    """Work of the jobs of a campaign.

    Args:
        config: Its configuration.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known_samplers: dict[tuple[str, int], list[Sampler]] = {}
        self._known_atoms: dict[str, float] = {}
        self._of_rule: dict[str, Callable[[Wildcards], float]] = {
            "relax_structure": self._relaxation,
            "run_dynamics": self._run,
            "explore": self._exploration,
            "fit_potential": self._fit,
            "select_environments": self._selection,
            "label": lambda w: self._labels(self._new_seeds_in_chunk(w)),
            "sample_seeds": lambda _: self._seed_dynamics,
            "label_candidates": self._candidates,
            "measure_transport": self._measurement,
            "build_polycrystal": lambda w: self.atoms(f"{w['material']}-{w['polycrystal']}"),
            "solve_voxels": lambda _: self._voxels,
            "map_contrasts": lambda _: float(self._config.continuum.max_voxels**3),
        }

    def of(self, rule: str, wildcards: Wildcards) -> float:
        """Work of a job; 1 where jobs of a rule are alike."""
        return self._of_rule[rule](wildcards) if rule in self._of_rule else 1.0

    def key(self, rule: str) -> str:
        """Where the costs of a rule stand: labels are as dear as their backend, runs as what makes them."""
        engines = {"run_dynamics": self._config.dynamics.engine, "explore": self._config.learning.exploration.engine}
        if engines.get(rule) in SIDE_BY_SIDE:
            return f"{rule}:gpu"
        return f"{rule}:{self._config.labels.backend}" if rule in LABEL_RULES else rule

    def seconds_on_gpu(self, rule: str, wildcards: Wildcards) -> float | None:
        """Of a job on a GPU, which no earlier campaign may have had; None of others."""
        return GPU_START + self.of(rule, wildcards) / 1e6 if self.key(rule).endswith(":gpu") else None

    def bytes_written(self, rule: str, wildcards: Wildcards) -> float:
        """Bytes of what a run leaves besides its declared files: its trajectory."""
        if rule != "run_dynamics":
            return 0.0
        settings = self._config.dynamics
        positions = MOBILE_FRACTION / settings.frame_ps + 1 / settings.all_atoms_frame_ps
        written = BYTES_PER_POSITION * positions * settings.production_ps * self.atoms(wildcards["run"])
        return written * self._runs_of_job

    # --- sizes ---

    def atoms(self, name: str) -> float:
        """About how many atoms a target structure has."""
        if name not in self._known_atoms:
            self._known_atoms[name] = self._count_atoms(name)
        return self._known_atoms[name]

    def _count_atoms(self, name: str) -> float:
        material = max((m.id for m in self._config.materials if name.startswith(f"{m.id}-")), key=len, default="")
        rest = name.removeprefix(f"{material}-")
        for polycrystal in self._config.structures.polycrystals:
            if rest == polycrystal.name:
                return (polycrystal.edge_angstrom or 400.0) ** 3 / ATOM_VOLUME
        for boundary, atoms in self._bicrystal_atoms.items():
            if rest.startswith(f"{boundary}-"):
                return atoms
        return float(np.prod(self._config.structures.bulk.supercell)) * CELL_ATOMS

    @cached_property
    def _bicrystal_atoms(self) -> dict[str, float]:
        """Of each boundary, built of the first material."""
        structures = self._config.structures
        asked = structures.bicrystals
        crystal = crystal_of(self._config.materials[0], structures.bulk.lithium_sites, structures.limits)
        found = {}
        for boundary in asked.chosen:
            try:
                geometry = boundary_geometry(crystal, boundary)
            except ArgyroError:  # the rule that builds it says why
                continue
            repeats = [max(1, ceil(asked.min_width_angstrom / np.linalg.norm(edge) - 1e-9)) for edge in geometry.cell]
            volume = geometry.area * repeats[0] * repeats[1] * 2 * asked.min_grain_angstrom
            found[boundary.name] = float(volume) / ATOM_VOLUME
        return found

    def structures_of(self, system: str) -> dict[str, str]:
        """Target structures of a chemical system, and their materials."""
        structures = self._config.structures
        rest = [
            f"bulk-{'x'.join(map(str, structures.bulk.supercell))}-a{a}" for a in range(structures.bulk.arrangements)
        ]
        rest += [
            f"{b.name}-c{c}" for b in structures.bicrystals.chosen for c in range(structures.bicrystals.candidates)
        ]
        rest += [polycrystal.name for polycrystal in structures.polycrystals]
        return {
            f"{material.id}-{name}": material.id
            for material in self._config.materials
            if material.chemical_system == system
            for name in rest
        }

    def _samplers(self, system: str, level: int) -> list[Sampler]:
        """All samplers of a round; the same in all rounds of a level."""
        if (system, level) not in self._known_samplers:
            found = samplers(self._config.learning.rung(level), self.structures_of(system))
            self._known_samplers[system, level] = found
        return self._known_samplers[system, level]

    def samplers_of(self, system: str, level: int) -> int:
        """How many samplers a round has."""
        return len(self._samplers(system, level))

    def parts_of(self, system: str, level: int) -> int:
        """How many jobs explore in a round."""
        return -(-self.samplers_of(system, level) // self._config.learning.exploration.samplers_per_job)

    def seeds_in_chunk(self, wildcards: Wildcards) -> int:
        """How many structures a job labels."""
        size = self._config.seeds_per_label_job
        return min(size, self._config.structures.seeds.total - size * int(wildcards.get("chunk", 0)))

    def _new_seeds_in_chunk(self, wildcards: Wildcards) -> int:
        """How many of them have no label yet: frames of molecular dynamics have theirs."""
        seeds, first = self._config.structures.seeds, self._config.seeds_per_label_job * int(wildcards.get("chunk", 0))
        last, known = first + self.seeds_in_chunk(wildcards), seeds.md.count if seeds.kind == "md" else 0
        return last - min(max(first, known), last)

    # --- work ---

    def _md(self, atoms: float, picoseconds: float, timestep_ps: float, level: int) -> float:
        """Of molecular dynamics: microseconds of one core."""
        return atoms * picoseconds / timestep_ps * cost_of_level(level)

    def _md_on_gpu(self, atoms: Sequence[float], picoseconds: float, timestep_ps: float, level: int) -> float:
        """Of molecular dynamics of systems of so many atoms, side by side: microseconds of a GPU."""
        step, system = GPU_MICROSECONDS
        card = sum(atoms) * cost_of_level(level, GPU_MICROSECONDS_PER_ATOM)
        return picoseconds / timestep_ps * (step + len(atoms) * system + card)

    @property
    def _last_level(self) -> int:
        learning = self._config.learning
        return GIVEN_LEVEL if learning.mode == "given" else learning.levels[-1]

    def _relaxation(self, wildcards: Wildcards) -> float:
        settings = self._config.dynamics
        duration = settings.relaxation.warm_ps + settings.relaxation.anneal_ps + settings.relaxation.cool_ps
        atoms = self.atoms(wildcards["structure"])
        return self._md(atoms, duration, settings.timestep_ps, self._last_level) / settings.ranks

    def _run(self, wildcards: Wildcards) -> float:
        settings = self._config.dynamics
        duration = settings.production_ps + (settings.equilibration_ps if settings.cell == "npt" else 0)
        atoms, level = self.atoms(wildcards["run"]), self._last_level
        if settings.engine in SIDE_BY_SIDE:
            return self._md_on_gpu([atoms] * self._runs_of_job, duration, settings.timestep_ps, level)
        work = self._md(atoms, duration, settings.timestep_ps, level)
        return work / (settings.ranks if settings.engine == "lammps" else 1)

    @property
    def _runs_of_job(self) -> int:
        """How many runs a job of molecular dynamics makes: on a GPU all of a structure, side by side."""
        settings = self._config.dynamics
        return len(settings.temperatures_K) * settings.replicas if settings.engine in SIDE_BY_SIDE else 1

    def _exploration(self, wildcards: Wildcards) -> float:
        level = int(wildcards["level"])
        rung = self._config.learning.rung(level)
        settings = self._config.learning.exploration
        first = int(wildcards["part"]) * settings.samplers_per_job
        chosen = self._samplers(wildcards["system"], level)[first : first + settings.samplers_per_job]
        atoms = [self.atoms(sampler.structure) for sampler in chosen]
        if settings.engine in SIDE_BY_SIDE:
            return self._md_on_gpu(atoms, rung.duration_ps, settings.timestep_ps, level)
        return self._md(sum(atoms), rung.duration_ps, settings.timestep_ps, level)

    def _fit(self, wildcards: Wildcards) -> float:
        """Of a fit: labels it sees times iterations."""
        learning, level = self._config.learning, int(wildcards["level"])
        materials = sum(m.chemical_system == wildcards["system"] for m in self._config.materials)
        before = [rung for rung in learning.ladder if rung.level < level]
        labels = materials * self._config.structures.seeds.total
        labels += sum(rung.max_labels for rung in before) + int(wildcards["round"]) * learning.rung(level).max_labels
        first = int(wildcards["round"]) == 0
        fit = learning.fit
        iterations = fit.max_iterations if first else fit.refit_iterations or fit.max_iterations
        start = fit.hops if first and not before else 0
        return labels * (iterations + start) * cost_of_level(level)

    def _selection(self, wildcards: Wildcards) -> float:
        count = self.samplers_of(wildcards["system"], int(wildcards["level"]))
        return count * self._config.learning.exploration.max_snapshots

    def _candidates(self, wildcards: Wildcards) -> float:
        most = self._config.learning.rung(int(wildcards["level"])).max_labels
        return self._labels(min(self._config.labels.chunk_size, most))

    def _labels(self, count: int) -> float:
        """Seconds of labels, of about the size that is carved."""
        carving = self._config.learning.carving
        return count * self._seconds_per_label(max(carving.min_atoms, carving.edge_angstrom**3 / ATOM_VOLUME))

    def _seconds_per_label(self, atoms: float) -> float:
        seconds, power = SECONDS_PER_LABEL[self._config.labels.backend]
        return float(seconds * (max(CELL_ATOMS, atoms) / CELL_ATOMS) ** power)

    @property
    def _seed_dynamics(self) -> float:
        """Seconds of molecular dynamics with a label at every step."""
        seeds = self._config.structures.seeds
        return seeds.md.steps * self._seconds_per_label(float(np.prod(seeds.supercell)) * CELL_ATOMS)

    def _measurement(self, wildcards: Wildcards) -> float:
        settings = self._config.dynamics
        return self.atoms(wildcards["run"]) * settings.production_ps / settings.frame_ps * settings.replicas

    @property
    def _voxels(self) -> float:
        settings = self._config.continuum
        decades = log10(settings.size_max_nm / settings.size_min_nm)
        sizes = max(1, round(decades * settings.sizes_per_decade) + 1)
        return float(settings.max_voxels**3 * len(settings.temperatures_K) * sizes)


def cost_of_level(level: int, measured: Mapping[int, float] = MICROSECONDS_PER_ATOM) -> float:
    """Microseconds per atom and step of a potential of a level: measured ones, interpolated in the logarithm."""
    levels = sorted(measured)
    low = max((one for one in levels[:-1] if one <= level), default=levels[0])
    high = levels[levels.index(low) + 1]
    slope = log(measured[high] / measured[low]) / (high - low)
    return measured[low] * exp(slope * (level - low))
