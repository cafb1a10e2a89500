"""Sample the seeds of one material by molecular dynamics with the labelling backend."""

from pathlib import Path

from argyro.common.jobs import job
from argyro.config.labels import LabelsConfig
from argyro.config.materials import Material
from argyro.config.structures import StructuresConfig
from argyro.labels.backends import open_backend
from argyro.labels.store import Store
from argyro.structures.output import write_seeds
from argyro.structures.seed_dynamics import sample_seeds
from argyro.structures.seeds import seed_limits
from argyro.structures.validator import validate

with job(snakemake.log[0]):
    params, output = snakemake.params, Path(snakemake.output.structures)
    material, settings = Material.model_validate(params.material), StructuresConfig.model_validate(params.structures)
    labels = LabelsConfig.model_validate(params.labels)
    seeds = sample_seeds(
        material,
        settings,
        open_backend(labels),
        Store(Path(params.store)),
        labels.gates,
        checkpoint=output.with_suffix(".npz"),
        seed=params.seed,
    )
    write_seeds(output, seeds, [validate(atoms, material, seed_limits(settings)) for atoms in seeds])
