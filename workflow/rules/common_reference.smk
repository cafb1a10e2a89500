# What rules of the reference campaign need to know.
REFERENCE = settings.reference


def pbe_labelling(**changes):
    """Settings of labels by PBE, some of them changed."""
    own = REFERENCE.pbe.gpaw.model_dump() | changes
    section = LabelsConfig(backend="gpaw", gpaw=own, gates=settings.labels.gates)
    return section.labelling(set())


PBE_LABELLING = pbe_labelling()


PBE_VARIANTS = [
    pbe_labelling(**variant.model_dump(exclude_none=True))
    for variant in REFERENCE.pbe.convergence
]


def generations_of(system):
    """Numbers of the generations in which a chemical system is sampled."""
    anion = next(m.anion for m in settings.materials if m.chemical_system == system)
    return [
        number
        for number, generation in enumerate(REFERENCE.generations)
        if generation.anions is None or anion in generation.anions
    ]


def chunks_of_generation(wildcards):
    """Outcomes of all labelling jobs of a generation."""
    count = REFERENCE.generations[int(wildcards.generation)].count
    jobs = -(-count // settings.labels.chunk_size)
    folder = f"reference/{wildcards.system}/g{wildcards.generation}/outcomes"
    return [f"{folder}/{chunk}.json" for chunk in range(jobs)]


def sampling_potential(wildcards):
    """What samples a generation: nothing the first, else a potential of those before."""
    earlier = [
        number
        for number in generations_of(wildcards.system)
        if number < int(wildcards.generation)
    ]
    return [
        f"reference/{wildcards.system}/g{number}/potential.mtp"
        for number in earlier[-1:]
    ]


def labels_up_to_generation(wildcards):
    """Labels of a generation and of all before."""
    return [
        f"reference/{wildcards.system}/g{number}/labels.extxyz"
        for number in generations_of(wildcards.system)
        if number <= int(wildcards.generation)
    ]


def generation_of(wildcards):
    """Settings of a generation."""
    return settings_of(REFERENCE.generations[int(wildcards.generation)])


def settings_of_sampling_fits():
    """Settings of the fits in between: those of the teacher but which labels it is fitted to."""
    return REFERENCE.teacher.model_dump(
        mode="json", exclude={"labels", "holdout_fraction", "delta"}
    )


def level_of_generation(wildcards):
    """Level of the potential that is fitted after a generation."""
    return REFERENCE.generations[int(wildcards.generation)].level


def labels_of_system(wildcards):
    """The large label set of a chemical system, shipped or sampled."""
    if REFERENCE.teacher.labels == "shipped":
        return str(
            ROOT / f"config/reference/labels/{wildcards.system}-7net-0.extxyz.xz"
        )
    return f"reference/{wildcards.system}/labels.extxyz.xz"


def shipped_if_there(name):
    """A file of config/reference, or nothing."""
    path = ROOT / "config/reference" / name
    return str(path) if path.exists() else []


def pbe_labels_of_system(wildcards):
    """The label set by PBE of a chemical system, shipped, if there is one, or sampled."""
    if REFERENCE.teacher.labels == "shipped":
        return shipped_if_there(f"labels/{wildcards.system}-pbe.extxyz.xz")
    return f"reference/{wildcards.system}/pbe.extxyz.xz"


def pbe_labels_of_delta(wildcards):
    """Labels by PBE that a teacher is made as strong as; none if it stays as it was fitted."""
    return pbe_labels_of_system(wildcards) if REFERENCE.teacher.delta else []


def settings_of_teacher_fit():
    """Settings of the fit of teachers: all but what is done to them afterwards."""
    return REFERENCE.teacher.model_dump(mode="json", exclude={"delta"})


def own_properties_of_system(wildcards):
    """Properties by the method of the large label set, shipped, if they are, or measured."""
    if REFERENCE.teacher.labels == "shipped":
        return shipped_if_there(f"labels/{wildcards.system}-7net-0.json")
    return f"reference/{wildcards.system}/own.json"


def labels_of_all_generations(wildcards):
    """Labels of all generations of a chemical system."""
    return [
        f"reference/{wildcards.system}/g{number}/labels.extxyz"
        for number in generations_of(wildcards.system)
    ]


def generations_of_system(wildcards):
    """Their numbers, in the order of their labels."""
    return generations_of(wildcards.system)


TRIALS = {
    f"{material.id}-{kind}-{temperature}K": material
    for material, kind, temperature in REFERENCE.trial.runs(settings.materials)
}


def settings_of_run():
    """Settings of a trial: how it is run, not which others there are."""
    which = {"exchange_percent", "temperatures_K", "barrier_temperatures_K"}
    return REFERENCE.trial.model_dump(mode="json", exclude=which)


def trials_of_system(wildcards):
    """Reports of all trials of a chemical system."""
    return [
        f"reference/{wildcards.system}/teacher/trials/{trial}.json"
        for trial, material in TRIALS.items()
        if material.chemical_system == wildcards.system
    ]
