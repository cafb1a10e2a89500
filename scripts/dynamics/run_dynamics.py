"""Run molecular dynamics of one structure at one temperature."""

from pathlib import Path

from argyro.common.extxyz import read_structure
from argyro.common.files import write_json
from argyro.common.jobs import job
from argyro.config.dynamics import DynamicsConfig
from argyro.config.materials import Material
from argyro.dynamics.relaxation import coupling_of
from argyro.dynamics.runs import checked, run_dynamics, run_report
from argyro.md.lammps import PotentialFile

with job(snakemake.log[0]):
    params, names = snakemake.params, snakemake.wildcards
    material, settings = Material.model_validate(params.material), DynamicsConfig.model_validate(params.dynamics)
    atoms, temperature = read_structure(Path(snakemake.input.structure)), float(names.temperature)
    result = run_dynamics(
        atoms,
        material,
        PotentialFile(Path(snakemake.input.potential), tuple(params.species)),
        settings,
        Path(snakemake.output.report).parent,
        temperature_K=temperature,
        coupling=coupling_of(atoms, material),
        seed=params.seed,
    )
    checks = checked(result, material, settings.checks, temperature)
    report = run_report(result, checks, material, structure=names.run, temperature_K=temperature)
    numbers = {"repeat": int(names.repeat), "replica": int(names.replica)}
    write_json(Path(snakemake.output.report), report | numbers | {"checks": checks.as_dict()})
