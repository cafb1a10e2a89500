"""Make the forces of a fitted teacher as strong as those by PBE, and say what it is."""

from pathlib import Path

import mtpcore
from argyro.common.extxyz import read_structures
from argyro.common.files import replacing, sha256_of_file, write_json
from argyro.common.jobs import job
from argyro.config.reference import TeacherConfig
from argyro.reference.delta import corrected
from argyro.reference.fitting import sidecar

with job(snakemake.log[0]):
    params, potential_file, labels = snakemake.params, Path(snakemake.output.potential), Path(snakemake.input.labels)
    settings = TeacherConfig.model_validate(params.teacher)
    content = sidecar(settings, params.species, str(read_structures(labels)[0].info["level_of_theory"]), labels)
    potential = mtpcore.read_potential(snakemake.input.fitted)
    content["delta"] = None
    if snakemake.input.pbe:
        potential, delta = corrected(potential, params.species, read_structures(Path(snakemake.input.pbe)))
        content["delta"] = delta.table() | {"labels_sha256": sha256_of_file(Path(snakemake.input.pbe))}
    with replacing(potential_file) as temporary:
        mtpcore.write_potential(temporary, potential)
    write_json(Path(snakemake.output.sidecar), content | {"sha256": sha256_of_file(potential_file)})
