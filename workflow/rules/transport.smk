# Diffusivities with intervals from runs: of whole cells and of regions, and Arrhenius parameters.
MEASURED = "transport/runs/{run}-r{repeat}-{temperature}K"


rule transport:
    input:
        "transport/diffusivity.parquet",
        "transport/arrhenius.parquet",
        "transport/hops.parquet",
        expand(
            "transport/extras/{run}-r{repeat}-{temperature}K-{replica}/{file}",
            run=RUNS,
            repeat=REPEATS,
            temperature=DYNAMICS.temperatures_K,
            replica=range(DYNAMICS.replicas),
            file=[EXTRA_FILES[extra] for extra in TRANSPORT.extras],
        ),


rule measure_transport:
    input:
        reports=reports_of_replicas,
        grains=grains_of_run,
    output:
        table=f"{MEASURED}.parquet",
        hops=f"{MEASURED}-hops.json",
    log:
        "logs/transport/{run}-r{repeat}-{temperature}K.log",
    benchmark:
        "benchmarks/transport/{run}-r{repeat}-{temperature}K.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        material=settings_of_structure,
        boundary=boundary_of_run,
        transport=transport_settings,
        seed=seed_of_job("transport"),
    script:
        "../../scripts/transport/measure_transport.py"


rule tabulate_diffusivities:
    input:
        expand(
            f"{MEASURED}.parquet",
            run=RUNS,
            repeat=REPEATS,
            temperature=DYNAMICS.temperatures_K,
        ),
    output:
        "transport/diffusivity.parquet",
    log:
        "logs/transport/tabulate-diffusivities.log",
    benchmark:
        "benchmarks/transport/tabulate-diffusivities.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        widths=TRANSPORT.mixture_widths_angstrom,
    script:
        "../../scripts/transport/tabulate_diffusivities.py"


rule tabulate_hops:
    input:
        hops=expand(
            f"{MEASURED}-hops.json",
            run=RUNS,
            repeat=REPEATS,
            temperature=DYNAMICS.temperatures_K,
        ),
        tables=expand(
            f"{MEASURED}.parquet",
            run=RUNS,
            repeat=REPEATS,
            temperature=DYNAMICS.temperatures_K,
        ),
    output:
        "transport/hops.parquet",
    log:
        "logs/transport/tabulate-hops.log",
    benchmark:
        "benchmarks/transport/tabulate-hops.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../../scripts/transport/tabulate_hops.py"


rule fit_arrhenius:
    input:
        "transport/diffusivity.parquet",
    output:
        "transport/arrhenius.parquet",
    log:
        "logs/transport/fit-arrhenius.log",
    benchmark:
        "benchmarks/transport/fit-arrhenius.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        extrapolation_K=TRANSPORT.extrapolation_K,
        seed=seed_of_job("arrhenius"),
    script:
        "../../scripts/transport/fit_arrhenius.py"


rule describe_run:
    input:
        "dynamics/{run}/r{repeat}/{temperature}K/{replica}/report.json",
    output:
        expand(
            "transport/extras/{{run}}-r{{repeat}}-{{temperature}}K-{{replica}}/{file}",
            file=[EXTRA_FILES[extra] for extra in TRANSPORT.extras] or NOTHING,
        ),
    log:
        "logs/transport/{run}-r{repeat}-{temperature}K-{replica}-describe.log",
    benchmark:
        "benchmarks/transport/{run}-r{repeat}-{temperature}K-{replica}-describe.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        material=settings_of_structure,
        transport=TRANSPORT.model_dump(mode="json"),
    script:
        "../../scripts/transport/describe_run.py"
