"""Measure the physical sense of a teacher, beside that of the method that labelled its training set."""

from pathlib import Path

import pandas as pd

from argyro.common.extxyz import read_structures
from argyro.common.files import read_json, replacing
from argyro.common.jobs import job
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits
from argyro.reference.properties import all_properties, ground_state, room_temperature_frames
from mtpcore.ase import MTP

with job(snakemake.log[0]):
    params = snakemake.params
    material, limits = Material.model_validate(params.material), DistanceLimits.model_validate(params.limits)
    calculator = MTP(snakemake.input.potential, material.elements, threads=snakemake.threads)
    state = ground_state(material, limits, calculator, params.seed)
    frames = room_temperature_frames(state, calculator, params.seed)
    labelled = read_structures(Path(snakemake.input.labels))
    measured = all_properties(state, frames, labelled, calculator, unit=material.rigid_units[0], seed=params.seed)
    own = read_json(Path(snakemake.input.own)) if snakemake.input.own else {}
    rows = [{"property": name, "teacher": value, "labels": own.get(name)} for name, value in measured.items()]
    with replacing(Path(snakemake.output[0])) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.5g")
