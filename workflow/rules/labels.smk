# Labels of sets of structures. A set is cut into chunks, one job each; every label is a file of its own in the store,
# named by its content, so what is finished is never computed again.
LABEL_SETS = {
    f"{material}-seeds": settings.structures.seeds.count for material in MATERIALS
}
IMPORTS = {
    f"import-{number}": str(path) for number, path in enumerate(settings.labels.imports)
}
STRUCTURES_PER_JOB = settings.labels.chunk_size
LABELLING = settings.labels.labelling()


wildcard_constraints:
    set="|".join(map(re.escape, LABEL_SETS)),
    imported=r"import-\d+",


def system_of_set(wildcards):
    """The sanity test of a set's chemical system."""
    system = MATERIALS[wildcards.set.removesuffix("-seeds")].chemical_system
    return f"labels/sanity/{system}.json"


def chunks_of_set(wildcards):
    """Outcomes of all jobs of a set."""
    count = -(-LABEL_SETS[wildcards.set] // STRUCTURES_PER_JOB)
    return expand(
        "labels/outcomes/{set}/{chunk}.json", set=wildcards.set, chunk=range(count)
    )


def material_of_system(wildcards):
    """The first material of a chemical system."""
    return next(
        settings_of(m)
        for m in settings.materials
        if m.chemical_system == wildcards.system
    )


rule labels:
    input:
        expand("labels/sets/{set}.extxyz", set=[*LABEL_SETS, *IMPORTS]),
        "labels/outcomes.parquet",


rule check_backend:
    output:
        "labels/sanity/{system}.json",
    log:
        "logs/labels/sanity-{system}.log",
    benchmark:
        "benchmarks/labels/sanity-{system}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        material=material_of_system,
        limits=settings_of(settings.structures.limits),
        labels=LABELLING,
        seed=lambda wildcards: seed_for(settings.seed, "sanity", wildcards.system),
    script:
        "../../scripts/labels/check_backend.py"


rule label:
    input:
        structures="structures/{set}.extxyz",
        sanity=system_of_set,
    output:
        "labels/outcomes/{set}/{chunk}.json",
    log:
        "logs/labels/{set}-{chunk}.log",
    benchmark:
        "benchmarks/labels/{set}-{chunk}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        labels=LABELLING,
        store=str(settings.labels.store or "labels"),
        structures_per_job=STRUCTURES_PER_JOB,
    script:
        "../../scripts/labels/label.py"


rule collect_labels:
    input:
        structures="structures/{set}.extxyz",
        outcomes=chunks_of_set,
    output:
        labels="labels/sets/{set}.extxyz",
        table="labels/sets/{set}.parquet",
    log:
        "logs/labels/{set}.log",
    benchmark:
        "benchmarks/labels/{set}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        labels=LABELLING,
        store=str(settings.labels.store or "labels"),
        max_failed_fraction=settings.labels.max_failed_fraction,
    script:
        "../../scripts/labels/collect_labels.py"


rule import_labels:
    input:
        lambda wildcards: IMPORTS[wildcards.imported],
    output:
        "labels/sets/{imported}.extxyz",
    log:
        "logs/labels/{imported}.log",
    benchmark:
        "benchmarks/labels/{imported}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    script:
        "../../scripts/labels/import_labels.py"


rule join_outcomes:
    input:
        expand("labels/sets/{set}.parquet", set=LABEL_SETS),
    output:
        "labels/outcomes.parquet",
    log:
        "logs/labels/outcomes.log",
    benchmark:
        "benchmarks/labels/outcomes.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../../scripts/labels/join_outcomes.py"
