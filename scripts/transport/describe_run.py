"""Write what else is asked for of one run: radial distributions, a map of mobile ions, the trajectory as text."""

from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms

from argyro.common.extxyz import write_structures
from argyro.common.jobs import job
from argyro.common.tables import write_table
from argyro.config.materials import Material
from argyro.config.transport import TransportConfig
from argyro.md.run import read_run
from argyro.transport.distribution import density_map, radial_distribution, write_density_cube

with job(snakemake.log[0]):
    material = Material.model_validate(snakemake.params.material)
    settings = TransportConfig.model_validate(snakemake.params.transport)
    run = read_run(Path(snakemake.input[0]).parent)
    everything = run.trajectory("all")
    for output in map(Path, snakemake.output):
        if output.name == "rdf.parquet":
            parts = []
            for first, second in combinations_with_replacement(material.elements, 2):
                distance, g = radial_distribution(everything, first, second)
                parts.append(pd.DataFrame({"first": first, "second": second, "r_angstrom": distance, "g": g}))
            write_table(output, pd.concat(parts, ignore_index=True))
        elif output.name == "density.cube":
            density, cell = density_map(run.trajectory("mobile"), material.mobile)
            framework = run.final()
            framework = framework[~(framework.symbols == material.mobile)]
            framework.set_cell(cell)
            write_density_cube(output, framework, density)
        else:
            wanted = np.unique(np.linspace(0, len(everything.steps) - 1, settings.extxyz_frames).astype(int))
            positions, elements = everything.positions()[wanted], everything.metadata["elements"]
            frames = zip(positions, everything.cells[wanted], everything.times[wanted], strict=True)
            write_structures(
                output, [Atoms(elements, p, cell=c, pbc=True, info={"time_ps": float(t)}) for p, c, t in frames]
            )
