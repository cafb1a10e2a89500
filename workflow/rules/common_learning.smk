# What rules of learning need to know.
from argyro.common.files import read_json


from argyro.learning.samplers import samplers

LEARNING = settings.learning
for file in LEARNING.snapshots:
    if file.is_relative_to(Path.cwd()):
        raise WorkflowError(
            f"learning.snapshots names {file}, which this campaign makes itself; copy it elsewhere first"
        )


TARGETS = [*BULK, *BICRYSTALS, *POLYCRYSTALS]


MATERIAL_OF = {
    name: material
    for material in sorted(MATERIALS, key=len)
    for name in TARGETS
    if name.startswith(f"{material}-")
}


POTENTIAL = "learning/{system}/r{repeat}"


ROUND = "learning/{system}/r{repeat}/l{level}/{round}"


wildcard_constraints:
    repeat=r"\d+",
    level=r"\d+",
    round=r"\d+",
    part=r"\d+",
    structure="|".join(map(re.escape, TARGETS)),


def structures_of_system(wildcards):
    """Names of target structures of a chemical system, and of their materials."""
    return {
        name: material
        for name, material in MATERIAL_OF.items()
        if MATERIALS[material].chemical_system == wildcards.system
    }


def rung_of(wildcards):
    """Settings of a level, without its limit of rounds: a higher one changes nothing of the rounds before."""
    rung = settings_of(LEARNING.rung(int(wildcards.level)))
    del rung["max_rounds"]
    return rung


def behind_others(wildcards):
    """Priority of a round: before later stages, and the potential that is behind before others."""
    return (
        100 - LEARNING.levels.index(int(wildcards.level)) - int(wildcards.round) / 1000
    )


def is_last_round(wildcards):
    """Whether a level may have no further round."""
    return int(wildcards.round) + 1 >= LEARNING.rung(int(wildcards.level)).max_rounds


def is_last_level(wildcards):
    """Whether the ladder ends with a level."""
    return int(wildcards.level) == LEARNING.levels[-1]


def learning_settings(*names):
    """Some of the settings of learning, with those that go with them."""
    return LEARNING.model_dump(mode="json", include={"mode", *names})


def samplers_of_round(wildcards):
    """All samplers of a round."""
    return samplers(
        LEARNING.rung(int(wildcards.level)), structures_of_system(wildcards)
    )


def seed_of_round(wildcards):
    """Seed of a round's samplers, however many of them a job runs."""
    names = (wildcards.system, wildcards.repeat, wildcards.level, wildcards.round)
    return seed_for(settings.seed, "explore", *names)


def kokkos_of_explorers(wildcards):
    """How the user's LAMMPS runs, where explorers run by it."""
    is_used = LEARNING.exploration.engine == "kokkos"
    return settings_of(settings.dynamics.kokkos) if is_used else {}


def structures_of_part(wildcards):
    """Structures that the samplers of a job start from."""
    size = LEARNING.exploration.samplers_per_job
    first = int(wildcards.part) * size
    chosen = samplers_of_round(wildcards)[first : first + size]
    return sorted({f"structures/{sampler.structure}.extxyz" for sampler in chosen})


def explored_in_round(suffix):
    """Files of all exploring jobs of a round."""

    def files(wildcards):
        level, round = int(wildcards.level), int(wildcards.round)
        return explored_files(wildcards, level, round, suffix)

    return files


def explored_files(wildcards, level, round, suffix):
    """Files of all exploring jobs of this round of a potential."""
    count = len(samplers(LEARNING.rung(level), structures_of_system(wildcards)))
    folder = folder_of_round(wildcards, level, round)
    parts = range(-(-count // LEARNING.exploration.samplers_per_job))
    return [f"{folder}/explored/{part}.{suffix}" for part in parts]


def decision_of(wildcards, level, round):
    """What followed a round; asks for the round where it is not known yet."""
    job = checkpoints.select_environments.get(
        system=wildcards.system,
        repeat=wildcards.repeat,
        level=str(level),
        round=str(round),
    )
    return read_json(Path(job.output.decision))


def rounds_of_level(wildcards, level):
    """How many rounds a level has had, and what followed the last."""
    round = 0
    while (decision := decision_of(wildcards, level, round))["next"] == "continue":
        round += 1
    return round + 1, decision["next"]


def rounds_of_potential(wildcards):
    """Level and number of all rounds, in their order."""
    found = []
    for level in LEARNING.levels:
        count, following = rounds_of_level(wildcards, level)
        found += [(level, round) for round in range(count)]
        if following != "level_up" or levels_agree(wildcards, level):
            break
    return found


def levels_agree(wildcards, level):
    """Whether a level and the one below have the same target properties; asks for probes where there are none yet."""
    if level == LEARNING.levels[0] or not probed_structures(wildcards):
        return False
    job = checkpoints.compare_levels.get(
        system=wildcards.system, repeat=wildcards.repeat, level=str(level)
    )
    return read_json(Path(job.output[0]))["agree"]


def probed_structures(wildcards):
    """Structures whose properties decide whether the ladder ends early."""
    return LEARNING.outer_stop.probed(structures_of_system(wildcards))


def last_potential_of_level(wildcards):
    """The potential that a level ended with."""
    count, _ = rounds_of_level(wildcards, int(wildcards.level))
    return f"{folder_of_round(wildcards, wildcards.level, count - 1)}/potential.almtp"


def bulk_of_structure(wildcards):
    """A bulk cell of the same material."""
    material = MATERIAL_OF[wildcards.structure]
    return f"structures/{material}-bulk-{SHAPE}-a0.extxyz"


def probes_of_two_levels(wildcards):
    """Probes of a level and of the one below."""
    lower = LEARNING.levels[LEARNING.levels.index(int(wildcards.level)) - 1]
    folder = POTENTIAL.format(system=wildcards.system, repeat=wildcards.repeat)
    names = probed_structures(wildcards)
    return {
        "before": [f"{folder}/l{lower}/probes/{name}.json" for name in names],
        "now": [f"{folder}/l{wildcards.level}/probes/{name}.json" for name in names],
    }


def round_before(wildcards):
    """Level and number of the round before; None for the very first."""
    level, round = int(wildcards.level), int(wildcards.round)
    if round > 0:
        return level, round - 1
    if level == LEARNING.levels[0]:
        return None
    lower = LEARNING.levels[LEARNING.levels.index(level) - 1]
    return lower, rounds_of_level(wildcards, lower)[0] - 1


def folder_of_round(wildcards, level, round):
    """Folder of a round of the same potential."""
    return ROUND.format(
        system=wildcards.system,
        repeat=wildcards.repeat,
        level=str(level),
        round=str(round),
    )


def handed_back_to_round(wildcards):
    """The user's files of structures that the potential is to know, for the first round of the last level."""
    first = is_last_level(wildcards) and int(wildcards.round) == 0
    return list(map(str, LEARNING.snapshots)) if first else []


def outcomes_of_round(wildcards, level, round):
    """Outcomes of all labelling jobs that a round led to."""
    count = decision_of(wildcards, level, round)["candidates"]
    folder = folder_of_round(wildcards, level, round)
    return [
        f"{folder}/outcomes/{chunk}.json"
        for chunk in range(-(-count // settings.labels.chunk_size))
    ]


def seeds_of_potential(wildcards):
    """Files of labelled seeds and of ready labels."""
    seeds = [f"{m['id']}-seeds" for m in materials_of_system(wildcards)]
    return [
        f"labels/sets/{set}.extxyz"
        for set in [*(s for s in seeds if s in LABEL_SETS), *IMPORTS]
    ]


def inputs_of_fit(wildcards):
    """What a fit starts from, and what is new since then."""
    files = {"seeds": seeds_of_potential(wildcards)}
    if (before := round_before(wildcards)) is not None:
        folder = folder_of_round(wildcards, *before)
        files["before"] = f"{folder}/potential.almtp"
        files["training"] = f"{folder}/training.extxyz"
        if outcomes := outcomes_of_round(wildcards, *before):
            files |= {"candidates": f"{folder}/candidates.extxyz", "outcomes": outcomes}
            files["snapshots"] = explored_files(wildcards, *before, "extxyz")
    return files


def labelling_of_round(wildcards):
    """Settings of the labels that a round asks for."""
    protocol = LEARNING.rung(int(wildcards.level)).label_protocol
    labels = settings.labels.model_copy(
        update={"protocol": protocol or settings.labels.protocol}
    )
    return labels.labelling(set(parse_formula(wildcards.system)))


def labelling_before_fit(wildcards):
    """Settings of the labels that are new to a fit."""
    if int(wildcards.round) == 0:
        return labelling_of_system(wildcards)
    return labelling_of_round(wildcards)


def mobile_of_system(wildcards):
    """The ion that diffuses."""
    return materials_of_system(wildcards)[0]["mobile"]


def inputs_of_ledger(wildcards):
    """Files of every round."""
    files = []
    for level, round in rounds_of_potential(wildcards):
        folder = folder_of_round(wildcards, level, round)
        files += [f"{folder}/{name}.json" for name in ("fit", "selection", "decision")]
        files += explored_files(wildcards, level, round, "json")
        files += outcomes_of_round(wildcards, level, round)
    return files


def inputs_of_potential(wildcards):
    """Files of the last round."""
    folder = folder_of_round(wildcards, *rounds_of_potential(wildcards)[-1])
    return {
        "potential": f"{folder}/potential.almtp",
        "card": f"{folder}/potential.json",  # a job killed between the two is repeated
        "training": f"{folder}/training.extxyz",
        "decision": f"{folder}/decision.json",
    }


def given_potential(wildcards):
    """The user's potential."""
    return str(LEARNING.potentials[wildcards.system])


def holdout_seed(wildcards):
    """Decides which seeds are held out: the same ones in all rounds of a potential."""
    return seed_for(settings.seed, "holdout", wildcards.system, wildcards.repeat)


def last_rounds(wildcards):
    """Level and number of the last round of each level."""
    return sorted(dict(rounds_of_potential(wildcards)).items())


def levels_of_potential(wildcards):
    """Levels that a ladder went through."""
    return [level for level, _ in last_rounds(wildcards)]


def inputs_of_forces(wildcards):
    """Potentials that the levels ended with, what each was fitted to, and all seeds."""
    folders = [folder_of_round(wildcards, *each) for each in last_rounds(wildcards)]
    return {
        "potentials": [f"{folder}/potential.almtp" for folder in folders],
        "training": [f"{folder}/training.extxyz" for folder in folders],
        "seeds": seeds_of_potential(wildcards),
    }


def kinds_of_structures(wildcards):
    """What the target structures of a chemical system are, in words."""
    words = {"bulk": BULK, "a boundary": BICRYSTALS, "a polycrystal": POLYCRYSTALS}
    mine = structures_of_system(wildcards)
    return {
        name: kind for kind, names in words.items() for name in names if name in mine
    }
