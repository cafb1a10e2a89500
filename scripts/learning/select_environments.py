"""Select what a round's snapshots can teach, make structures to be labelled of it, and decide how to go on."""

from pathlib import Path

from argyro.common.extxyz import read_structures, write_structures
from argyro.common.files import read_json, write_json
from argyro.common.jobs import job
from argyro.config.learning import LearningConfig, Rung
from argyro.config.materials import Material
from argyro.config.structures import DistanceLimits
from argyro.learning.candidates import make_candidates
from argyro.learning.decide import decide, teaches
from argyro.learning.exploration import Exploration, read_snapshots
from argyro.learning.handed_back import handed_back
from argyro.learning.potential_file import read_potential_file
from argyro.learning.selection import select_environments
from argyro.learning.stopwatch import stopwatch
from mtpcore.ase import MTP

with job(snakemake.log[0]):
    params, potential_file = snakemake.params, Path(snakemake.input.potential)
    rung, settings = Rung.model_validate(params.rung), LearningConfig.model_validate(params.learning)
    explored = [Exploration.from_dict(r) for f in snakemake.input.records for r in read_json(Path(f))["explorations"]]
    snapshots = read_snapshots(map(Path, snakemake.input.snapshots))
    materials = {m["id"]: Material.model_validate(m) for m in params.materials}
    snapshots += handed_back([Path(f) for f in snakemake.input.handed_back], params.species, materials)
    with stopwatch() as watch:
        selection = select_environments(
            read_potential_file(potential_file),
            read_structures(Path(snakemake.input.training)),
            snapshots,
            params.species,
            rung=rung,
            mode=settings.mode,
        )
        candidates, rejections = make_candidates(
            selection.environments if teaches(rung, selection, explored) else [],
            snapshots,
            materials=materials,
            settings=settings,
            limits=DistanceLimits.model_validate(params.limits),
            calculator=MTP(potential_file, species=params.species),
            most=rung.max_labels,
        )
        decision = decide(
            rung,
            at_limit=params.at_limit,
            last_level=params.last_level,
            selection=selection,
            explorations=explored,
            candidates=len(candidates),
        )
    write_structures(Path(snakemake.output.candidates), candidates if decision.next == "continue" else [])
    content = selection.summary() | {"rejections": [rejection.as_dict() for rejection in rejections]}
    write_json(Path(snakemake.output.selection), content | {"wall_s": watch.wall_s, "core_s": watch.core_s})
    write_json(Path(snakemake.output.decision), decision.as_dict())
