"""Run molecular dynamics that a teacher has to stand."""

from pathlib import Path

from argyro.common.files import write_json
from argyro.common.jobs import job
from argyro.config.materials import Material
from argyro.config.reference import TrialConfig
from argyro.config.structures import DistanceLimits
from argyro.md.lammps import PotentialFile
from argyro.reference.dynamics import Trial, run_trial, trial_report

with job(snakemake.log[0]):
    params, report = snakemake.params, Path(snakemake.output[0])
    trial = Trial(
        Material.model_validate(params.material), snakemake.wildcards.kind, float(snakemake.wildcards.temperature)
    )
    result = run_trial(
        trial,
        PotentialFile(Path(snakemake.input.potential), tuple(params.species)),
        TrialConfig.model_validate(params.trial),
        DistanceLimits.model_validate(params.limits),
        report.with_suffix(""),
        seed=params.seed,
    )
    write_json(report, trial_report(trial, result, Path(snakemake.input.published)))
