# Atomic structures: bulk cells and seeds, each an extxyz file with the validator's report beside it.


rule structures:
    input:
        expand(
            "structures/{structure}.{suffix}",
            structure=[*BULK, *LABEL_SETS],
            suffix=["extxyz", "json"],
        ),


rule build_bulk:
    output:
        structure="structures/{material}-bulk-{shape}-a{arrangement}.extxyz",
        report="structures/{material}-bulk-{shape}-a{arrangement}.json",
    log:
        "logs/structures/{material}-bulk-{shape}-a{arrangement}.log",
    benchmark:
        "benchmarks/structures/{material}-bulk-{shape}-a{arrangement}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        material=material_of,
        supercell=settings.structures.bulk.supercell,
        lithium_sites=settings.structures.bulk.lithium_sites,
        limits=settings_of(settings.structures.limits),
        seed=seed_of_job("bulk"),
    script:
        "../../scripts/structures/build_bulk.py"


rule build_seeds:
    output:
        structures="structures/{material}-seeds.extxyz",
        report="structures/{material}-seeds.json",
    log:
        "logs/structures/{material}-seeds.log",
    benchmark:
        "benchmarks/structures/{material}-seeds.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        material=material_of,
        structures=seed_settings,
        seed=seed_of_job("seeds"),
    script:
        "../../scripts/structures/build_seeds.py"
