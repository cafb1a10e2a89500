"""Measure properties of the ordered cell by the method that labels the large set, where a fit to it found them."""

from pathlib import Path

from argyro.common.extxyz import read_structures
from argyro.common.files import write_json
from argyro.common.jobs import job
from argyro.config.labels import LabelsConfig
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits
from argyro.labels.backends import open_backend
from argyro.reference.measures import cubic_ground_state
from argyro.reference.properties import (
    BackendCalculator,
    all_properties,
    ground_state,
    room_temperature_frames,
)
from mtpcore.ase import MTP

with job(snakemake.log[0]):
    params = snakemake.params
    backend = open_backend(LabelsConfig.model_validate(params.labels))
    material, limits = Material.model_validate(params.material), DistanceLimits.model_validate(params.limits)
    fitted = MTP(snakemake.input.fitted, material.elements, threads=snakemake.threads)
    start = ground_state(material, limits, fitted, params.seed)
    frames = room_temperature_frames(start, fitted, params.seed)
    calculator = BackendCalculator(backend)
    state = cubic_ground_state(start.atoms, calculator)
    energies = [backend.calculate(frame, 0).energy for frame in frames]
    labelled = read_structures(Path(snakemake.input.labels))
    measured = all_properties(
        state, frames, labelled, calculator, unit=material.rigid_units[0], seed=params.seed, energies_eV=energies
    )
    write_json(Path(snakemake.output[0]), measured | {"level_of_theory": backend.level_of_theory})
