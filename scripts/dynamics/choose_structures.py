"""Compare the relaxed candidates of a boundary, and keep those of the lowest energy; likewise of a polycrystal."""

from pathlib import Path

import pandas as pd

from argyro.common.errors import DynamicsError
from argyro.common.extxyz import read_structure, write_structures
from argyro.common.files import read_json
from argyro.common.jobs import job
from argyro.common.tables import write_table
from argyro.config.materials import Material
from argyro.dynamics.boundaries import boundary_area, boundary_fractions, boundary_row, flagged
from argyro.dynamics.environment import lattice_of
from argyro.microstructure.model import read_microstructure, strained, write_microstructure

with job(snakemake.log[0]):
    inputs, params, output = snakemake.input, snakemake.params, snakemake.output
    material = Material.model_validate(params.material)
    bulk = [read_json(Path(file)) for file in inputs.bulk]
    lattice = lattice_of(read_structure(Path(inputs.perfect)), material)
    records = [read_json(Path(file)) for file in inputs.records]
    rows, lowest = [], []
    for structure, microstructure in zip(inputs.structures, inputs.microstructures, strict=True):
        mine = [k for k, record in enumerate(records) if record["structure"] == Path(structure).stem]
        sound = [k for k in mine if records[k]["energy_eV"] is not None]
        best = min(sound, key=lambda k: records[k]["energy_eV"], default=mine[0])
        relaxed, built = read_structure(Path(inputs.relaxed[best])), read_microstructure(Path(microstructure))
        area = boundary_area(strained(built, relaxed.cell.array))
        row = boundary_row(read_structure(Path(structure)), [records[k] for k in mine], bulk, material, area)
        marked, now = flagged(relaxed, built, lattice, params.width)
        rows.append(row | boundary_fractions(marked))
        lowest.append((row["lowest_energy_meV_per_angstrom2"], marked, now))
    order = sorted(range(len(rows)), key=lambda k: lowest[k][0])
    for rank, k in enumerate(order):
        rows[k] |= {"rank": rank, "repeat": int(snakemake.wildcards.repeat), "boundary_width_angstrom": params.width}
        rows[k] |= {"potential_sha256": records[0]["potential_sha256"], "seed": str(params.seed)}
        rows[k] |= {f"version_{name}": version for name, version in records[0]["software"].items()}
    if len(order) < len(output.structures):
        raise DynamicsError(f"dynamics.relaxation.keep asks for {len(output.structures)} of {len(order)} candidates")
    for rank, (structure, microstructure) in enumerate(zip(output.structures, output.microstructures, strict=True)):
        write_structures(Path(structure), [lowest[order[rank]][1]])
        write_microstructure(Path(microstructure), lowest[order[rank]][2])
    write_table(Path(output.table), pd.DataFrame([rows[k] for k in order]))
