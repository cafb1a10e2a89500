# Labels of sets of structures. A set is cut into chunks, one job each; every label is a file of its own in the store,
# named by its content, so what is finished is never computed again.


rule labels:
    input:
        expand("labels/sets/{set}.extxyz", set=[*LABEL_SETS, *IMPORTS]),
        "labels/outcomes.parquet" if LABEL_SETS else [],


rule check_backend:
    output:
        "labels/sanity/{system}.json",
    log:
        "logs/labels/sanity-{system}.log",
    benchmark:
        "benchmarks/labels/sanity-{system}.tsv"
    priority: FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        material=first_material_of_system,
        limits=settings_of(settings.structures.limits),
        labels=labelling_of_system,
        store=label_store,
        seed=seed_of_job("sanity"),
    script:
        "../../scripts/labels/check_backend.py"


rule label:
    input:
        structures="structures/{set}.extxyz",
        sanity=sanity_test_of_set,
    output:
        "labels/outcomes/{set}/{chunk}.json",
    log:
        "logs/labels/{set}-{chunk}.log",
    benchmark:
        "benchmarks/labels/{set}-{chunk}.tsv"
    priority: FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        labels=labelling_of_set,
        store=label_store,
        structures_per_job=settings.seeds_per_label_job,
    script:
        "../../scripts/labels/label.py"


rule collect_labels:
    input:
        structures="structures/{set}.extxyz",
        outcomes=outcomes_of_set,
    output:
        labels="labels/sets/{set}.extxyz",
        table="labels/sets/{set}.parquet",
    log:
        "logs/labels/{set}.log",
    benchmark:
        "benchmarks/labels/{set}.tsv"
    priority: FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        labels=labelling_of_set,
        store=label_store,
        max_failed_fraction=settings.labels.max_failed_fraction,
    script:
        "../../scripts/labels/collect_labels.py"


rule import_labels:
    input:
        imported_file,
    output:
        "labels/sets/{imported}.extxyz",
    log:
        "logs/labels/{imported}.log",
    benchmark:
        "benchmarks/labels/{imported}.tsv"
    priority: FIRST
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
    priority: FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../../scripts/labels/join_outcomes.py"
