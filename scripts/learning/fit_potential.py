"""Fit the potential that a round begins with."""

import shutil
from pathlib import Path

from argyro.common.extxyz import read_structures, write_structures
from argyro.common.files import read_json, write_json
from argyro.common.jobs import job
from argyro.config.labels import LabelsConfig
from argyro.config.learning import LearningConfig, Rung
from argyro.labels.backends import open_backend
from argyro.labels.collect import collect, require_enough, require_one_level
from argyro.labels.store import Store
from argyro.learning.exploration import read_snapshots
from argyro.learning.fitters import fit_round, with_active_set
from argyro.learning.potential_file import read_potential_file, write_potential
from argyro.learning.stopwatch import stopwatch
from argyro.learning.training import center_grades, errors_on, seeds_of_system, snapshot_grades, split_seeds

FAILURES_THAT_SAY_NOTHING = 3  # of the backend: a round may ask for no more labels than that, of its oddest cells

with job(snakemake.log[0]):
    params, before, output = snakemake.params, snakemake.input.get("before"), Path(snakemake.output.potential)
    rung, settings = Rung.model_validate(params.rung), LearningConfig.model_validate(params.learning)
    seeds = [atoms for file in snakemake.input.seeds for atoms in read_structures(Path(file))]
    snapshots = read_snapshots(map(Path, snakemake.input.get("snapshots", [])))
    training, holdout = split_seeds(
        seeds_of_system(seeds, params.species), settings.fit.holdout_fraction, params.holdout_seed
    )
    if before:
        training = read_structures(Path(snakemake.input.training))
    added = []
    if snakemake.input.get("outcomes"):
        candidates = read_structures(Path(snakemake.input.candidates))
        rows = [row for file in snakemake.input.outcomes for row in read_json(Path(file))]
        name = str(snakemake.input.candidates)
        require_enough(
            rows, settings.max_failed_fraction, name, section="learning", always_allowed=FAILURES_THAT_SAY_NOTHING
        )
        backend = open_backend(LabelsConfig.model_validate(params.labels))
        added = collect(candidates, rows, backend, Store(Path(params.store)))
        training += added
    require_one_level(training)
    with stopwatch() as watch:
        fitted, outcome = fit_round(
            settings,
            params.species,
            rung.level,
            read_potential_file(Path(before)) if before else None,
            training,
            len(added),
            first_of_level=int(snakemake.wildcards.round) == 0,
            seed=params.seed,
            folder=output.parent / "fit",
        )
        potential = with_active_set(fitted, training, params.species, settings.mode)
        report = {
            "reason": outcome.reason,
            "iterations": outcome.iterations,
            "training": errors_on(potential, training, params.species).as_dict(),
            "training_atoms": sum(map(len, training)),
            "holdout": errors_on(potential, holdout, params.species).as_dict(),
            "centers": center_grades(potential, added, params.species, rung).as_dict(),
            "snapshots": snapshot_grades(potential, snapshots, params.species),
        }
    write_structures(Path(snakemake.output.training), training)
    write_json(Path(snakemake.output.report), report | {"wall_s": watch.wall_s, "core_s": watch.core_s})
    write_potential(output, potential, params.species, level=rung.level, training=training)
    shutil.rmtree(output.parent / "fit")
