# Effective diffusivity of polycrystals from a table of bulk and boundary diffusivities: by boundaries of zero thickness,
# by voxels, and by both where both are good.


rule continuum:
    input:
        "continuum/effective_diffusivity.parquet",
        "continuum/engine_comparison.parquet",
        "continuum/skipped.csv",
        "continuum/crossover.parquet",
        expand("continuum/{cell}/map.parquet", cell=CELLS),
        expand("continuum/fields/{field}/picture.png", field=FIELDS),


# The same with the settings of config/published.yaml, which scripts/run takes for this target
rule published_continuum:
    input:
        rules.continuum.input,


rule draw_grains:
    input:
        file_of_cell,
    output:
        "continuum/{cell}/t{tessellation}/microstructure.json",
    log:
        "logs/continuum/{cell}-t{tessellation}-draw.log",
    benchmark:
        "benchmarks/continuum/{cell}-t{tessellation}-draw.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        grains=grains_of_cell,
        tessellation=number_of_tessellation,
        seed=seed_of_job("continuum"),
    script:
        "../../scripts/continuum/draw_grains.py"


rule solve_interface:
    input:
        microstructure="continuum/{cell}/t{tessellation}/microstructure.json",
        pairs=PAIRS,
    output:
        "continuum/{cell}/t{tessellation}/interface.parquet",
    log:
        "logs/continuum/{cell}-t{tessellation}-interface.log",
    benchmark:
        "benchmarks/continuum/{cell}-t{tessellation}-interface.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=continuum_settings(MAP_SETTINGS, CROSSOVER_SETTINGS),
    script:
        "../../scripts/continuum/solve_interface.py"


rule solve_voxels:
    input:
        microstructure="continuum/{cell}/t{tessellation}/microstructure.json",
        pairs=PAIRS,
    output:
        "continuum/{cell}/t{tessellation}/voxel.parquet",
    log:
        "logs/continuum/{cell}-t{tessellation}-voxel.log",
    benchmark:
        "benchmarks/continuum/{cell}-t{tessellation}-voxel.tsv"
    priority: 1  # the longest job
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        mem_mb=voxel_memory,
        runtime=240,
        gpu=int(CONTINUUM.gpu),
    params:
        settings=continuum_settings(MAP_SETTINGS, CROSSOVER_SETTINGS),
    script:
        "../../scripts/continuum/solve_voxels.py"


rule tabulate_continuum:
    input:
        microstructures=of_all_tessellations("microstructure.json"),
        interface=of_all_tessellations("interface.parquet"),
        voxel=of_all_tessellations("voxel.parquet"),
        pairs=PAIRS,
    output:
        table="continuum/effective_diffusivity.parquet",
        comparison="continuum/engine_comparison.parquet",
        skipped="continuum/skipped.csv",
    log:
        "logs/continuum/tabulate.log",
    benchmark:
        "benchmarks/continuum/tabulate.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        cells=TESSELLATIONS,
    script:
        "../../scripts/continuum/tabulate_continuum.py"


rule map_contrasts:
    input:
        "continuum/{cell}/t0/microstructure.json",
    output:
        "continuum/{cell}/map.parquet",
    log:
        "logs/continuum/{cell}-map.log",
    benchmark:
        "benchmarks/continuum/{cell}-map.tsv"
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        mem_mb=voxel_memory,
        runtime=240,
        gpu=int(CONTINUUM.gpu),
    params:
        settings=continuum_settings({"temperatures_K"}, CROSSOVER_SETTINGS),
    script:
        "../../scripts/continuum/map_contrasts.py"


rule find_crossovers:
    input:
        maps=expand("continuum/{cell}/map.parquet", cell=CELLS),
        pairs=PAIRS,
        samples=str(CONTINUUM.diffusivity_samples or "") or [],
    output:
        "continuum/crossover.parquet",
    log:
        "logs/continuum/crossover.log",
    benchmark:
        "benchmarks/continuum/crossover.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=continuum_settings(MAP_SETTINGS),
        cells=list(CELLS),
    script:
        "../../scripts/continuum/find_crossovers.py"


rule trace_temperatures:
    input:
        maps=expand("continuum/{cell}/map.parquet", cell=CELLS),
        pairs=PAIRS,
    output:
        "continuum/curves.parquet",
    log:
        "logs/continuum/curves.log",
    benchmark:
        "benchmarks/continuum/curves.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=continuum_settings(MAP_SETTINGS),
        cells=list(CELLS),
    script:
        "../../scripts/continuum/trace_temperatures.py"


rule write_fields:
    input:
        microstructure=grains_of_field,
        pairs=PAIRS,
    output:
        concentration="continuum/fields/{field}/concentration.vtkhdf",
        flux="continuum/fields/{field}/flux.vtkhdf",
        picture=report(
            "continuum/fields/{field}/picture.png",
            category="Pictures",
            caption="../report/continuum_fields.rst",
        ),
    log:
        "logs/continuum/fields-{field}.log",
    benchmark:
        "benchmarks/continuum/fields-{field}.tsv"
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        case=settings_of_field,
        width_nm=CONTINUUM.gb_width_nm,
    script:
        "../../scripts/continuum/write_fields.py"
