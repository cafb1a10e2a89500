# Reference labels of a foundation model and of PBE, and the teacher potentials fitted to them (preset `reference`).
# Structures are sampled in generations: each by a potential that is fitted to the labels of all before.


rule reference_labels:
    input:
        expand(
            "reference/{system}/{labels}.extxyz.xz",
            system=SYSTEMS,
            labels=["labels", "pbe"],
        ),
        expand("reference/{system}/own.json", system=SYSTEMS),
        f"reference/{SYSTEMS[0]}/pbe/convergence.csv",


rule sample_reference:
    input:
        sampling_potential,
    output:
        structures="reference/{system}/g{generation}/structures.extxyz",
        report="reference/{system}/g{generation}/structures.json",
    log:
        "logs/reference/{system}-g{generation}-sample.log",
    benchmark:
        "benchmarks/reference/{system}-g{generation}-sample.tsv"
    priority: 1  # the chain of generations is longer than all labels by PBE beside it
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        materials=materials_of_system,
        sampling=settings_of(REFERENCE.sampling),
        limits=settings_of(settings.structures.limits),
        generation=generation_of,
        seed=seed_of_job("reference"),
    script:
        "../../scripts/reference/sample_reference.py"


use rule label as label_reference with:
    input:
        structures="reference/{system}/g{generation}/structures.extxyz",
        sanity="labels/sanity/{system}.json",
    output:
        "reference/{system}/g{generation}/outcomes/{chunk}.json",
    log:
        "logs/reference/{system}-g{generation}-{chunk}.log",
    benchmark:
        "benchmarks/reference/{system}-g{generation}-{chunk}.tsv"
    priority: 1
    params:
        labels=labelling_of_system,
        store=label_store,
        structures_per_job=settings.labels.chunk_size,


use rule collect_labels as collect_reference with:
    input:
        structures="reference/{system}/g{generation}/structures.extxyz",
        outcomes=chunks_of_generation,
    output:
        labels="reference/{system}/g{generation}/labels.extxyz",
        table="reference/{system}/g{generation}/outcomes.parquet",
    log:
        "logs/reference/{system}-g{generation}-labels.log",
    benchmark:
        "benchmarks/reference/{system}-g{generation}-labels.tsv"
    priority: 1
    params:
        labels=labelling_of_system,
        store=label_store,
        max_failed_fraction=settings.labels.max_failed_fraction,


rule fit_reference:
    input:
        labels_up_to_generation,
    output:
        "reference/{system}/g{generation}/potential.mtp",
    log:
        "logs/reference/{system}-g{generation}-fit.log",
    benchmark:
        "benchmarks/reference/{system}-g{generation}-fit.tsv"
    priority: 1
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        species=species_of_system,
        teacher=settings_of_sampling_fits(),
        level=level_of_generation,
        seed=seed_of_job("reference", "fit"),
    script:
        "../../scripts/reference/fit_reference.py"


rule choose_pbe:
    input:
        labels_of_system,
    output:
        "reference/{system}/pbe/structures.extxyz",
    log:
        "logs/reference/{system}-pbe-choose.log",
    benchmark:
        "benchmarks/reference/{system}-pbe-choose.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        pbe=settings_of(REFERENCE.pbe),
        seed=seed_of_job("reference"),
    script:
        "../../scripts/reference/choose_pbe.py"


rule test_convergence:
    input:
        "reference/{system}/pbe/structures.extxyz",
    output:
        "reference/{system}/pbe/convergence.csv",
    log:
        "logs/reference/{system}-pbe-convergence.log",
    benchmark:
        "benchmarks/reference/{system}-pbe-convergence.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=8000,
        runtime=600,
    params:
        index=2,  # the first bulk structure
        labels=[PBE_LABELLING, *PBE_VARIANTS],
        store=label_store,
    script:
        "../../scripts/reference/test_convergence.py"


use rule check_backend as check_pbe with:
    output:
        "reference/{system}/pbe/sanity.json",
    log:
        "logs/reference/{system}-pbe-sanity.log",
    benchmark:
        "benchmarks/reference/{system}-pbe-sanity.tsv"
    params:
        material=first_material_of_system,
        limits=settings_of(settings.structures.limits),
        labels=PBE_LABELLING,
        store=label_store,
        seed=seed_of_job("sanity"),


use rule label as label_pbe with:
    input:
        structures="reference/{system}/pbe/structures.extxyz",
        sanity="reference/{system}/pbe/sanity.json",
    output:
        "reference/{system}/pbe/outcomes/{chunk}.json",
    log:
        "logs/reference/{system}-pbe-{chunk}.log",
    benchmark:
        "benchmarks/reference/{system}-pbe-{chunk}.tsv"
    params:
        labels=PBE_LABELLING,
        store=label_store,
        structures_per_job=1,


use rule collect_labels as collect_pbe with:
    input:
        structures="reference/{system}/pbe/structures.extxyz",
        outcomes=[
            f"reference/{{system}}/pbe/outcomes/{chunk}.json"
            for chunk in range(REFERENCE.pbe.structures)
        ],
    output:
        labels="reference/{system}/pbe/labels.extxyz",
        table="reference/{system}/pbe/outcomes.parquet",
    log:
        "logs/reference/{system}-pbe-labels.log",
    benchmark:
        "benchmarks/reference/{system}-pbe-labels.tsv"
    params:
        labels=PBE_LABELLING,
        store=label_store,
        max_failed_fraction=settings.labels.max_failed_fraction,


# Teachers, fitted to the labels that come with the project, or to those sampled above


rule reference_teachers:
    input:
        expand(
            "reference/{system}/teacher/{table}.csv",
            system=SYSTEMS,
            table=["errors", "properties", "trials", "barriers"],
        ),


rule ship_labels:
    input:
        labels_of_all_generations,
    output:
        "reference/{system}/labels.extxyz.xz",
    log:
        "logs/reference/{system}-ship.log",
    benchmark:
        "benchmarks/reference/{system}-ship.tsv"
    priority: 1
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        generations=generations_of_system,
    script:
        "../../scripts/reference/ship_labels.py"


use rule ship_labels as ship_pbe with:
    input:
        "reference/{system}/pbe/labels.extxyz",
    output:
        "reference/{system}/pbe.extxyz.xz",
    log:
        "logs/reference/{system}-pbe-ship.log",
    benchmark:
        "benchmarks/reference/{system}-pbe-ship.tsv"
    params:
        generations=[0],


rule fit_teacher:
    input:
        labels_of_system,
    output:
        "reference/{system}/teacher/fitted.mtp",
    log:
        "logs/reference/{system}-teacher-fit.log",
    benchmark:
        "benchmarks/reference/{system}-teacher-fit.tsv"
    priority: 1  # most others wait for it
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=6000,
        runtime=600,
    params:
        species=species_of_system,
        teacher=settings_of_teacher_fit(),
        seed=seed_of_job("reference", "teacher"),
    script:
        "../../scripts/reference/fit_teacher.py"


rule correct_teacher:
    input:
        fitted="reference/{system}/teacher/fitted.mtp",
        labels=labels_of_system,
        pbe=pbe_labels_of_delta,
    output:
        potential="reference/{system}/teacher/potential.mtp",
        sidecar="reference/{system}/teacher/potential.json",
    log:
        "logs/reference/{system}-teacher-correct.log",
    benchmark:
        "benchmarks/reference/{system}-teacher-correct.tsv"
    priority: 1
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        species=species_of_system,
        teacher=settings_of(REFERENCE.teacher),
    script:
        "../../scripts/reference/correct_teacher.py"


rule tabulate_errors:
    input:
        fitted="reference/{system}/teacher/fitted.mtp",
        potential="reference/{system}/teacher/potential.mtp",
        labels=labels_of_system,
        pbe=pbe_labels_of_system,
    output:
        "reference/{system}/teacher/errors.csv",
    log:
        "logs/reference/{system}-teacher-errors.log",
    benchmark:
        "benchmarks/reference/{system}-teacher-errors.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        species=species_of_system,
        teacher=settings_of(REFERENCE.teacher),
    script:
        "../../scripts/reference/tabulate_errors.py"


rule measure_labels:
    input:
        fitted="reference/{system}/teacher/fitted.mtp",
        labels=labels_of_system,
    output:
        "reference/{system}/own.json",
    log:
        "logs/reference/{system}-own.log",
    benchmark:
        "benchmarks/reference/{system}-own.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        material=first_material_of_system,
        limits=settings_of(settings.structures.limits),
        labels=labelling_of_system,
        seed=seed_of_job("reference", "properties"),
    script:
        "../../scripts/reference/measure_labels.py"


rule measure_teacher:
    input:
        potential="reference/{system}/teacher/potential.mtp",
        labels=labels_of_system,
        own=own_properties_of_system,
    output:
        "reference/{system}/teacher/properties.csv",
    log:
        "logs/reference/{system}-teacher-properties.log",
    benchmark:
        "benchmarks/reference/{system}-teacher-properties.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        material=first_material_of_system,
        limits=settings_of(settings.structures.limits),
        seed=seed_of_job("reference", "properties"),
    script:
        "../../scripts/reference/measure_teacher.py"


rule run_trial:
    input:
        potential="reference/{system}/teacher/potential.mtp",
        published=str(ROOT / "config/reference/published_diffusivity.csv"),
    output:
        "reference/{system}/teacher/trials/{material}-{kind}-{temperature}K.json",
    log:
        "logs/reference/{system}-{material}-{kind}-{temperature}K.log",
    benchmark:
        "benchmarks/reference/{system}-{material}-{kind}-{temperature}K.tsv"
    priority: 1
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=240,
        gpu=int(REFERENCE.trial.engine != "lammps"),
    params:
        material=material_of,
        species=species_of_system,
        trial=settings_of_run(),
        limits=settings_of(settings.structures.limits),
        seed=seed_of_job("reference", "trial"),
    script:
        "../../scripts/reference/run_trial.py"


rule tabulate_trials:
    input:
        trials=trials_of_system,
        published=str(ROOT / "config/reference/published_diffusivity.csv"),
    output:
        trials="reference/{system}/teacher/trials.csv",
        barriers="reference/{system}/teacher/barriers.csv",
    log:
        "logs/reference/{system}-teacher-trials.log",
    benchmark:
        "benchmarks/reference/{system}-teacher-trials.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        seed=seed_of_job("reference", "barriers"),
    script:
        "../../scripts/reference/tabulate_trials.py"
