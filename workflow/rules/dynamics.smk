# Molecular dynamics by the learned potentials: relaxed structures and boundary energies, then runs.
rule dynamics:
    input:
        "dynamics/runs.parquet",
        "dynamics/boundaries.parquet" if KEPT else [],
        expand("dynamics/snapshots/{system}.extxyz", system=SYSTEMS),


rule relax_structure:
    input:
        structure="structures/{structure}.extxyz",
        potential=potential_of_structure,
        bulk=bulk_relaxations,
    output:
        structure=f"{RELAXATION}/relaxed.extxyz",
        record=f"{RELAXATION}/relaxation.json",
    log:
        "logs/dynamics/{structure}-r{repeat}-{replica}-relax.log",
    benchmark:
        "benchmarks/dynamics/{structure}-r{repeat}-{replica}-relax.tsv"
    conda:
        ENVIRONMENT
    threads: DYNAMICS.ranks
    resources:
        mem_mb=4000,
        runtime=run_minutes,
    params:
        material=settings_of_structure,
        species=species_of_structure,
        relaxation=DYNAMICS.relaxation.model_dump(
            mode="json", exclude={"replicas", "keep"}
        ),
        timestep_ps=DYNAMICS.timestep_ps,
        ranks=DYNAMICS.ranks,
        seed=seed_of_job("relaxation"),
    script:
        "../../scripts/dynamics/relax_structure.py"


rule choose_boundary:
    input:
        unpack(candidates_of_boundary),
    output:
        structures=[
            f"dynamics/{{material}}-{{boundary}}-k{rank}/r{{repeat}}/start.extxyz"
            for rank in range(DYNAMICS.relaxation.keep)
        ],
        microstructures=[
            f"dynamics/{{material}}-{{boundary}}-k{rank}/r{{repeat}}/microstructure.json"
            for rank in range(DYNAMICS.relaxation.keep)
        ],
        table="dynamics/boundaries/{material}-{boundary}-r{repeat}.parquet",
    log:
        "logs/dynamics/{material}-{boundary}-r{repeat}-choose.log",
    benchmark:
        "benchmarks/dynamics/{material}-{boundary}-r{repeat}-choose.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        material=material_of,
        width=DYNAMICS.boundary_width_angstrom,
        seed=settings.seed,
    script:
        "../../scripts/dynamics/choose_structures.py"


rule choose_polycrystal:
    input:
        unpack(relaxations_of_polycrystal),
    output:
        structures=["dynamics/{material}-{polycrystal}/r{repeat}/start.extxyz"],
        microstructures=[
            "dynamics/{material}-{polycrystal}/r{repeat}/microstructure.json"
        ],
        table="dynamics/boundaries/{material}-{polycrystal}-r{repeat}.parquet",
    log:
        "logs/dynamics/{material}-{polycrystal}-r{repeat}-choose.log",
    benchmark:
        "benchmarks/dynamics/{material}-{polycrystal}-r{repeat}-choose.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=polycrystal_memory,
        runtime=30,
    params:
        material=material_of,
        width=DYNAMICS.boundary_width_angstrom,
        seed=settings.seed,
    script:
        "../../scripts/dynamics/choose_structures.py"


rule join_boundaries:
    input:
        expand(
            "dynamics/boundaries/{name}-r{repeat}.parquet",
            name=[f"{m}-{name}" for m in MATERIALS for name in [*BOUNDARIES, *GRAINS]],
            repeat=REPEATS,
        ),
    output:
        "dynamics/boundaries.parquet",
    log:
        "logs/dynamics/join-boundaries.log",
    benchmark:
        "benchmarks/dynamics/join-boundaries.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../../scripts/dynamics/join_boundaries.py"


rule run_dynamics:
    input:
        structure=start_of_run,
        potential=potential_of_structure,
    output:
        reports=reports_of_job(),
    log:
        f"logs/dynamics/{RUNS_OF_JOB}.log",
    benchmark:
        f"benchmarks/dynamics/{RUNS_OF_JOB}.tsv"
    conda:
        ENVIRONMENT
    threads: 1 if IS_ON_GPU else DYNAMICS.ranks
    resources:
        mem_mb=4000,
        runtime=run_minutes,
        gpu=int(IS_ON_GPU),
    params:
        material=settings_of_structure,
        species=species_of_structure,
        dynamics=run_parameters,
        cases=cases_of_job,
    script:
        "../../scripts/dynamics/run_dynamics.py"


rule tabulate_runs:
    input:
        reports_of_runs(RUNS),
    output:
        "dynamics/runs.parquet",
    log:
        "logs/dynamics/tabulate-runs.log",
    benchmark:
        "benchmarks/dynamics/tabulate-runs.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../../scripts/dynamics/tabulate_runs.py"


rule collect_snapshots:
    input:
        reports_of_system,
    output:
        "dynamics/snapshots/{system}.extxyz",
    log:
        "logs/dynamics/{system}-snapshots.log",
    benchmark:
        "benchmarks/dynamics/{system}-snapshots.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    script:
        "../../scripts/dynamics/collect_snapshots.py"
