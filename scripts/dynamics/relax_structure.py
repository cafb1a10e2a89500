"""Relax one structure once."""

from pathlib import Path

import numpy as np

from argyro.common.extxyz import read_structure, write_structures
from argyro.common.files import read_json, sha256_of_file, write_json
from argyro.common.jobs import job
from argyro.common.provenance import software_versions
from argyro.config.dynamics import RelaxationConfig
from argyro.config.materials import Material
from argyro.dynamics.relaxation import relax_structure
from argyro.md.lammps import PotentialFile

with job(snakemake.log[0]):
    params, output = snakemake.params, Path(snakemake.output.record)
    atoms, material = read_structure(Path(snakemake.input.structure)), Material.model_validate(params.material)
    # Along the boundary a bicrystal has the lattice of bulk at its minimum
    strains = [read_json(Path(file))["linear_strain"] for file in snakemake.input.bulk]
    if strains:
        atoms.set_cell(atoms.cell * (1 + np.mean(strains)), scale_atoms=True)
    potential = Path(snakemake.input.potential)
    found = relax_structure(
        atoms,
        material,
        PotentialFile(potential, tuple(params.species)),
        RelaxationConfig.model_validate(params.relaxation),
        output.parent,
        timestep_ps=params.timestep_ps,
        seed=params.seed,
        ranks=params.ranks,
    )
    write_structures(Path(snakemake.output.structure), [found.atoms])
    write_json(
        output,
        found.as_dict()
        | {
            "structure": snakemake.wildcards.structure,
            "replica": int(snakemake.wildcards.replica),
            "seed": params.seed,
            "potential_sha256": sha256_of_file(potential),
            "software": software_versions(("mtpcore", "lammps")),
        },
    )
