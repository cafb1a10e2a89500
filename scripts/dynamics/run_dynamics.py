"""Run molecular dynamics of one structure at one temperature, or on a GPU at several side by side."""

from pathlib import Path

from argyro.common.extxyz import read_structure
from argyro.common.files import write_json
from argyro.common.jobs import job
from argyro.config.dynamics import DynamicsConfig
from argyro.config.materials import Material
from argyro.dynamics.relaxation import coupling_of
from argyro.dynamics.runs import Case, checked, run_cases, run_report
from argyro.md.lammps import PotentialFile

with job(snakemake.log[0]):
    params, names = snakemake.params, snakemake.wildcards
    material, settings = Material.model_validate(params.material), DynamicsConfig.model_validate(params.dynamics)
    atoms, reports = read_structure(Path(snakemake.input.structure)), [Path(file) for file in snakemake.output.reports]
    cases = [
        Case(report.parent, float(case["temperature"]), case["seed"])
        for report, case in zip(reports, params.cases, strict=True)
    ]
    results = run_cases(
        atoms,
        material,
        PotentialFile(Path(snakemake.input.potential), tuple(params.species)),
        settings,
        cases,
        coupling=coupling_of(atoms, material),
    )
    for report, case, result in zip(reports, params.cases, results, strict=True):
        temperature = float(case["temperature"])
        checks = checked(result, material, settings.checks, temperature)
        row = run_report(result, checks, material, structure=names.run, temperature_K=temperature)
        numbers = {"repeat": int(names.repeat), "replica": case["replica"]}
        write_json(report, row | numbers | {"checks": checks.as_dict()})
