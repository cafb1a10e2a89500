# Atomic structures: bulk cells and seeds, each an extxyz file with the validator's report beside it.
SHAPE = "x".join(map(str, settings.structures.bulk.supercell))
BULK = [
    f"{material}-bulk-{SHAPE}-a{arrangement}"
    for material in MATERIALS
    for arrangement in range(settings.structures.bulk.arrangements)
]
SEEDS = [f"{material}-seeds" for material in MATERIALS]


def seed_settings():
    """Settings that seeds depend on."""
    bulk = settings_of(settings.structures.bulk)
    return settings_of(settings.structures) | {
        "bulk": {"lithium_sites": bulk["lithium_sites"]}
    }


rule structures:
    input:
        expand(
            "structures/{structure}.{suffix}",
            structure=BULK + SEEDS,
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
        seed=lambda wildcards: seed_for(settings.seed, "bulk", *wildcards),
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
        structures=seed_settings(),
        seed=lambda wildcards: seed_for(settings.seed, "seeds", wildcards.material),
    script:
        "../../scripts/structures/build_seeds.py"
