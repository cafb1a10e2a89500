# Atomic structures: bulk cells, seeds, bicrystals and polycrystals, each an extxyz file with the validator's report
# beside it, and the grains of the last two as a microstructure.


rule structures:
    input:
        expand(
            "structures/{structure}.{suffix}",
            structure=[*BULK, *LABEL_SETS, *BICRYSTALS, *POLYCRYSTALS],
            suffix=["extxyz", "json"],
        ),
        expand(
            "structures/{structure}.microstructure.json",
            structure=[*BICRYSTALS, *POLYCRYSTALS],
        ),


rule build_bulk:
    output:
        structure="structures/{material}-bulk-{shape}-a{arrangement}.extxyz",
        report="structures/{material}-bulk-{shape}-a{arrangement}.json",
    log:
        "logs/structures/{material}-bulk-{shape}-a{arrangement}.log",
    benchmark:
        "benchmarks/structures/{material}-bulk-{shape}-a{arrangement}.tsv"
    priority: FIRST
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


if SEEDS.kind == "md":

    rule sample_seeds:
        input:
            sanity=sanity_test_of_material,
        output:
            structures="structures/{material}-seeds.extxyz",
            report="structures/{material}-seeds.json",
        log:
            "logs/structures/{material}-seeds.log",
        benchmark:
            "benchmarks/structures/{material}-seeds.tsv"
        priority: FIRST
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=4000,
            runtime=seed_minutes,
        params:
            material=material_of,
            structures=seed_settings,
            labels=labelling_of_material,
            store=label_store,
            seed=seed_of_job("seeds"),
        script:
            "../../scripts/structures/sample_seeds.py"

else:

    rule build_seeds:
        output:
            structures="structures/{material}-seeds.extxyz",
            report="structures/{material}-seeds.json",
        log:
            "logs/structures/{material}-seeds.log",
        benchmark:
            "benchmarks/structures/{material}-seeds.tsv"
        priority: FIRST
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


rule build_bicrystal:
    output:
        structure="structures/{material}-{boundary}-c{candidate}.extxyz",
        report="structures/{material}-{boundary}-c{candidate}.json",
        microstructure="structures/{material}-{boundary}-c{candidate}.microstructure.json",
    log:
        "logs/structures/{material}-{boundary}-c{candidate}.log",
    benchmark:
        "benchmarks/structures/{material}-{boundary}-c{candidate}.tsv"
    priority: FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        material=material_of,
        boundary=boundary_of,
        min_grain_angstrom=settings.structures.bicrystals.min_grain_angstrom,
        min_width_angstrom=settings.structures.bicrystals.min_width_angstrom,
        translation_step_angstrom=settings.structures.bicrystals.translation_step_angstrom,
        lithium_sites=settings.structures.bulk.lithium_sites,
        limits=settings_of(settings.structures.limits),
        seed=seed_of_job("bicrystal"),
    script:
        "../../scripts/structures/build_bicrystal.py"


rule build_polycrystal:
    output:
        structure="structures/{material}-{polycrystal}.extxyz",
        report="structures/{material}-{polycrystal}.json",
        microstructure="structures/{material}-{polycrystal}.microstructure.json",
    log:
        "logs/structures/{material}-{polycrystal}.log",
    benchmark:
        "benchmarks/structures/{material}-{polycrystal}.tsv"
    priority: FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=polycrystal_memory,
        runtime=60,
    params:
        material=material_of,
        polycrystal=polycrystal_of,
        lithium_sites=settings.structures.bulk.lithium_sites,
        limits=settings_of(settings.structures.limits),
        microstructure_seed=microstructure_seed,
        seed=seed_of_job("polycrystal"),
    script:
        "../../scripts/structures/build_polycrystal.py"
