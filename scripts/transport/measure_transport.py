"""Measure diffusivities of the replicas of one structure at one temperature."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from argyro.common.files import write_json
from argyro.common.jobs import job
from argyro.common.tables import write_table
from argyro.config.materials import Material
from argyro.config.transport import TransportConfig
from argyro.microstructure.model import read_microstructure
from argyro.microstructure.tessellation import tessellate
from argyro.transport.measure import measure, measure_hops, read_runs

with job(snakemake.log[0]):
    params = snakemake.params
    material, settings = Material.model_validate(params.material), TransportConfig.model_validate(params.transport)
    grains = read_microstructure(Path(snakemake.input.grains[0])) if snakemake.input.grains else None
    runs = read_runs([Path(file) for file in snakemake.input.reports], grains)
    rows = pd.DataFrame(measure(runs, material, settings, params.seed)).assign(boundary=params.boundary)
    if grains is not None:
        rows["boundary_area_per_volume_per_angstrom"] = tessellate(grains).boundary_area / grains.volume
    write_table(Path(snakemake.output.table), rows)
    hops = measure_hops(runs, material)
    write_json(Path(snakemake.output.hops), None if hops is None else asdict(hops))
