# Potentials by active learning: per chemical system and repeat a ladder of levels, per level rounds of exploring with
# the potential, selecting what it does not know, labelling that, and fitting anew. How many labels a round needs, and
# whether another round follows, is known when its checkpoint has run.


rule learning:
    input:
        expand(
            f"{POTENTIAL}/potential.almtp",
            system=SYSTEMS,
            repeat=range(LEARNING.repeats),
        ),
        "learning/ledger.parquet" if LEARNING.mode != "given" else [],


if LEARNING.mode == "given":

    rule take_potential:
        input:
            given_potential,
        output:
            potential=f"{POTENTIAL}/potential.almtp",
            card=f"{POTENTIAL}/potential.json",
        log:
            "logs/learning/{system}-r{repeat}-take.log",
        benchmark:
            "benchmarks/learning/{system}-r{repeat}-take.tsv"
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            species=species_of_system,
        script:
            "../../scripts/learning/take_potential.py"

else:

    rule finish_potential:
        input:
            unpack(inputs_of_potential),
            ledger=f"{POTENTIAL}/ledger.parquet",
        output:
            potential=f"{POTENTIAL}/potential.almtp",
            card=f"{POTENTIAL}/potential.json",
            training=f"{POTENTIAL}/training.extxyz",
            cfg=f"{POTENTIAL}/training.cfg",
        log:
            "logs/learning/{system}-r{repeat}-finish.log",
        benchmark:
            "benchmarks/learning/{system}-r{repeat}-finish.tsv"
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=2000,
            runtime=10,
        script:
            "../../scripts/learning/finish_potential.py"


rule fit_potential:
    input:
        unpack(inputs_of_fit),
    output:
        potential=f"{ROUND}/potential.almtp",
        card=f"{ROUND}/potential.json",
        training=f"{ROUND}/training.extxyz",
        report=f"{ROUND}/fit.json",
    log:
        "logs/learning/{system}-r{repeat}-l{level}-{round}-fit.log",
    benchmark:
        "benchmarks/learning/{system}-r{repeat}-l{level}-{round}-fit.tsv"
    priority: behind_others
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        rung=rung_of,
        learning=learning_settings("backend", "fit", "mlip", "max_failed_fraction"),
        species=species_of_system,
        labels=labelling_before_fit,
        store=label_store,
        holdout_seed=holdout_seed,
        seed=seed_of_job("fit"),
    script:
        "../../scripts/learning/fit_potential.py"


rule explore:
    input:
        structures=structures_of_part,
        potential=f"{ROUND}/potential.almtp",
    output:
        record=f"{ROUND}/explored/{{part}}.json",
        snapshots=f"{ROUND}/explored/{{part}}.extxyz",
    log:
        "logs/learning/{system}-r{repeat}-l{level}-{round}-explore-{part}.log",
    benchmark:
        "benchmarks/learning/{system}-r{repeat}-l{level}-{round}-explore-{part}.tsv"
    priority: behind_others
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=240,
        gpu=int(LEARNING.exploration.engine != "lammps"),
    params:
        rung=rung_of,
        exploration=settings_of(LEARNING.exploration),
        kokkos=kokkos_of_explorers,
        mode=LEARNING.mode,
        structures=structures_of_system,
        species=species_of_system,
        mobile=mobile_of_system,
        seed=seed_of_round,
    script:
        "../../scripts/learning/explore.py"


checkpoint select_environments:
    input:
        potential=f"{ROUND}/potential.almtp",
        training=f"{ROUND}/training.extxyz",
        records=explored_in_round("json"),
        snapshots=explored_in_round("extxyz"),
        handed_back=handed_back_to_round,
    output:
        decision=f"{ROUND}/decision.json",
        selection=f"{ROUND}/selection.json",
        candidates=f"{ROUND}/candidates.extxyz",
    log:
        "logs/learning/{system}-r{repeat}-l{level}-{round}-select.log",
    benchmark:
        "benchmarks/learning/{system}-r{repeat}-l{level}-{round}-select.tsv"
    priority: behind_others
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        rung=rung_of,
        learning=learning_settings("carving", "boundary", "fit"),
        at_limit=is_last_round,
        last_level=is_last_level,
        materials=materials_of_system,
        species=species_of_system,
        limits=settings_of(settings.structures.limits),
    script:
        "../../scripts/learning/select_environments.py"


rule label_candidates:
    input:
        structures=f"{ROUND}/candidates.extxyz",
        sanity="labels/sanity/{system}.json",
    output:
        f"{ROUND}/outcomes/{{chunk}}.json",
    log:
        "logs/learning/{system}-r{repeat}-l{level}-{round}-label-{chunk}.log",
    benchmark:
        "benchmarks/learning/{system}-r{repeat}-l{level}-{round}-label-{chunk}.tsv"
    priority: behind_others
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        labels=labelling_of_round,
        store=label_store,
        structures_per_job=settings.labels.chunk_size,
    script:
        "../../scripts/labels/label.py"


rule probe_structure:
    input:
        structure="structures/{structure}.extxyz",
        bulk=bulk_of_structure,
        potential=last_potential_of_level,
    output:
        f"{POTENTIAL}/l{{level}}/probes/{{structure}}.json",
    log:
        "logs/learning/{system}-r{repeat}-l{level}-probe-{structure}.log",
    benchmark:
        "benchmarks/learning/{system}-r{repeat}-l{level}-probe-{structure}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        outer_stop=settings_of(LEARNING.outer_stop),
        species=species_of_system,
        mobile=mobile_of_system,
        seed=seed_of_job("probe"),
    script:
        "../../scripts/learning/probe_structure.py"


checkpoint compare_levels:
    input:
        unpack(probes_of_two_levels),
    output:
        f"{POTENTIAL}/l{{level}}/agreement.json",
    log:
        "logs/learning/{system}-r{repeat}-l{level}-compare.log",
    benchmark:
        "benchmarks/learning/{system}-r{repeat}-l{level}-compare.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        tolerance=LEARNING.outer_stop.tolerance,
    script:
        "../../scripts/learning/compare_levels.py"


rule write_ledger:
    input:
        inputs_of_ledger,
    output:
        f"{POTENTIAL}/ledger.parquet",
    log:
        "logs/learning/{system}-r{repeat}-ledger.log",
    benchmark:
        "benchmarks/learning/{system}-r{repeat}-ledger.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../../scripts/learning/write_ledger.py"


rule join_ledgers:
    input:
        expand(
            f"{POTENTIAL}/ledger.parquet",
            system=SYSTEMS,
            repeat=range(LEARNING.repeats),
        ),
    output:
        "learning/ledger.parquet",
    log:
        "logs/learning/ledger.log",
    benchmark:
        "benchmarks/learning/ledger.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../../scripts/learning/join_ledgers.py"


rule measure_forces:
    input:
        unpack(inputs_of_forces),
    output:
        f"{POTENTIAL}/forces.parquet",
    log:
        "logs/learning/{system}-r{repeat}-forces.log",
    benchmark:
        "benchmarks/learning/{system}-r{repeat}-forces.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        species=species_of_system,
        levels=levels_of_potential,
        kinds=kinds_of_structures,
    script:
        "../../scripts/learning/measure_forces.py"


use rule join_ledgers as join_forces with:
    input:
        expand(
            f"{POTENTIAL}/forces.parquet",
            system=SYSTEMS,
            repeat=range(LEARNING.repeats),
        ),
    output:
        "learning/forces.parquet",
    log:
        "logs/learning/forces.log",
    benchmark:
        "benchmarks/learning/forces.tsv"
