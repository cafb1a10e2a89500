"""Run some samplers of a round, one after the other or side by side."""

import shutil
from pathlib import Path

from argyro.common.extxyz import read_structure, write_structures
from argyro.common.files import write_json
from argyro.common.jobs import job
from argyro.common.randomness import seed_for
from argyro.config.dynamics import KokkosConfig
from argyro.config.learning import ExplorationConfig, Rung
from argyro.learning.explore import Start, explore
from argyro.learning.samplers import samplers
from argyro.learning.stopwatch import stopwatch
from argyro.md.lammps import PotentialFile

with job(snakemake.log[0]):
    params, output = snakemake.params, Path(snakemake.output.record)
    rung, settings = Rung.model_validate(params.rung), ExplorationConfig.model_validate(params.exploration)
    first = int(snakemake.wildcards.part) * settings.samplers_per_job
    chosen = samplers(rung, params.structures)[first : first + settings.samplers_per_job]
    kokkos = KokkosConfig.model_validate(params.kokkos)
    starts = [
        Start(
            sampler,
            read_structure(Path(f"structures/{sampler.structure}.extxyz")),
            output.parent / f"run-{sampler.number}",
            seed_for(params.seed, sampler.number),
        )
        for sampler in chosen
    ]
    potential = PotentialFile(Path(snakemake.input.potential), tuple(params.species))
    with stopwatch() as watch:
        explored = explore(starts, potential, rung, settings, mode=params.mode, mobile=params.mobile, kokkos=kokkos)
    write_structures(Path(snakemake.output.snapshots), [snapshot for _, found in explored for snapshot in found])
    records = [record.as_dict() for record, _ in explored]
    write_json(output, {"explorations": records, "wall_s": watch.wall_s, "core_s": watch.core_s})
    for start in starts:
        shutil.rmtree(start.folder)
