# Figures from tables only, each as PDF, PNG and the CSV of what it shows.
PUBLISHED = str(ROOT / "config/reference/published_diffusivity.csv")
MODES = str(ROOT / "config/reference/local_global.csv")
EXPERIMENTS = str(ROOT / "config/reference/experiments.csv")


rule figures:
    input:
        figures_of(),


rule draw_arrhenius:
    input:
        diffusivities=of_tables("transport/diffusivity.parquet"),
        fits=of_tables("transport/arrhenius.parquet"),
        published=[PUBLISHED] if settings.figures.published else [],
    output:
        pdf="figures/arrhenius.pdf",
        png=report(
            "figures/arrhenius.png",
            caption="../report/arrhenius.rst",
            category="Transport",
        ),
        csv="figures/arrhenius.csv",
    log:
        "logs/figures/arrhenius.log",
    benchmark:
        "benchmarks/figures/arrhenius.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        drawing=DRAWING,
    script:
        "../../scripts/figures/draw_arrhenius.py"


rule draw_learning:
    input:
        ledger=of_tables("learning/ledger.parquet"),
        modes=[MODES] if settings.figures.modes else [],
    output:
        pdf="figures/learning.pdf",
        png=report(
            "figures/learning.png",
            caption="../report/learning.rst",
            category="Learning",
        ),
        csv="figures/learning.csv",
    log:
        "logs/figures/learning.log",
    benchmark:
        "benchmarks/figures/learning.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        drawing=DRAWING,
    script:
        "../../scripts/figures/draw_learning.py"


rule draw_boundaries:
    input:
        boundaries=of_tables("dynamics/boundaries.parquet"),
        diffusivities=of_tables("transport/diffusivity.parquet"),
    output:
        pdf="figures/boundaries.pdf",
        png=report(
            "figures/boundaries.png",
            caption="../report/boundaries.rst",
            category="Boundaries",
        ),
        csv="figures/boundaries.csv",
    log:
        "logs/figures/boundaries.log",
    benchmark:
        "benchmarks/figures/boundaries.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        drawing=DRAWING,
        published=settings.figures.published,
    script:
        "../../scripts/figures/draw_boundaries.py"


rule draw_grain_size:
    input:
        of_tables("continuum/effective_diffusivity.parquet"),
    output:
        pdf="figures/grain_size.pdf",
        png=report(
            "figures/grain_size.png",
            caption="../report/grain_size.rst",
            category="Continuum",
        ),
        csv="figures/grain_size.csv",
    log:
        "logs/figures/grain-size.log",
    benchmark:
        "benchmarks/figures/grain-size.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        drawing=DRAWING,
    script:
        "../../scripts/figures/draw_grain_size.py"


rule draw_forces:
    input:
        of_tables("learning/forces.parquet"),
    output:
        pdf="figures/forces.pdf",
        png=report(
            "figures/forces.png",
            caption="../report/forces.rst",
            category="Learning",
        ),
        csv="figures/forces.csv",
    log:
        "logs/figures/forces.log",
    benchmark:
        "benchmarks/figures/forces.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        drawing=DRAWING,
        seed=settings.seed,
    script:
        "../../scripts/figures/draw_forces.py"


rule draw_barriers:
    input:
        fits=of_tables("transport/arrhenius.parquet"),
        published=PUBLISHED,
        experiments=[EXPERIMENTS] if settings.figures.experiments else [],
    output:
        pdf="figures/barriers.pdf",
        png=report(
            "figures/barriers.png",
            caption="../report/barriers.rst",
            category="Transport",
        ),
        csv="figures/barriers.csv",
    log:
        "logs/figures/barriers.log",
    benchmark:
        "benchmarks/figures/barriers.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        drawing=DRAWING,
        published=settings.figures.published,
    script:
        "../../scripts/figures/draw_barriers.py"


rule draw_boundary_ratio:
    input:
        diffusivities=of_tables("transport/diffusivity.parquet"),
        published=[PUBLISHED] if settings.figures.published else [],
    output:
        pdf="figures/boundary_ratio.pdf",
        png=report(
            "figures/boundary_ratio.png",
            caption="../report/boundary_ratio.rst",
            category="Boundaries",
        ),
        csv="figures/boundary_ratio.csv",
    log:
        "logs/figures/boundary-ratio.log",
    benchmark:
        "benchmarks/figures/boundary-ratio.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        drawing=DRAWING,
    script:
        "../../scripts/figures/draw_boundary_ratio.py"


rule draw_profile:
    input:
        diffusivities=of_tables("transport/diffusivity.parquet"),
        grains=[
            of_tables(f"dynamics/{name}/r{repeat}/microstructure.json")
            for name, repeat in DRAWN.bicrystals
        ],
    output:
        pdf="figures/profile.pdf",
        png=report(
            "figures/profile.png",
            caption="../report/profile.rst",
            category="Boundaries",
        ),
        csv="figures/profile.csv",
    log:
        "logs/figures/profile.log",
    benchmark:
        "benchmarks/figures/profile.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        drawing=DRAWING,
        bicrystals=DRAWN.bicrystals,
    script:
        "../../scripts/figures/draw_profile.py"


rule draw_crossover:
    input:
        curves=of_tables("continuum/curves.parquet"),
        table=of_tables("continuum/effective_diffusivity.parquet"),
        crossovers=of_tables("continuum/crossover.parquet"),
        experiments=[EXPERIMENTS] if settings.figures.experiments else [],
    output:
        pdf="figures/crossover.pdf",
        png=report(
            "figures/crossover.png",
            caption="../report/crossover.rst",
            category="Continuum",
        ),
        csv="figures/crossover.csv",
    log:
        "logs/figures/crossover.log",
    benchmark:
        "benchmarks/figures/crossover.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        drawing=DRAWING,
    script:
        "../../scripts/figures/draw_crossover.py"


rule draw_contrast_map:
    input:
        maps=expand(of_tables("continuum/{cell}/map.parquet"), cell=DRAWN.cells),
        table=of_tables("continuum/effective_diffusivity.parquet"),
    output:
        pdf="figures/contrast_map.pdf",
        png=report(
            "figures/contrast_map.png",
            caption="../report/contrast_map.rst",
            category="Continuum",
        ),
        csv="figures/contrast_map.csv",
    log:
        "logs/figures/contrast-map.log",
    benchmark:
        "benchmarks/figures/contrast-map.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        drawing=DRAWING,
        cells=DRAWN.cells,
    script:
        "../../scripts/figures/draw_contrast_map.py"


rule draw_microstructure:
    input:
        cells=expand(
            of_tables("continuum/{cell}/t0/microstructure.json"), cell=DRAWN.cells
        ),
        grains=expand(
            of_tables("dynamics/{name}/r0/microstructure.json"), name=DRAWN.pictured
        ),
        structures=expand(
            of_tables("dynamics/{name}/r0/start.extxyz"), name=DRAWN.pictured
        ),
    output:
        pdf="figures/microstructure.pdf",
        png=report(
            "figures/microstructure.png",
            caption="../report/microstructure.rst",
            category="Pictures",
        ),
        csv="figures/microstructure.csv",
    log:
        "logs/figures/microstructure.log",
    benchmark:
        "benchmarks/figures/microstructure.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        drawing=DRAWING,
        cells=DRAWN.cells,
        structures=DRAWN.pictured,
    script:
        "../../scripts/figures/draw_microstructure.py"
