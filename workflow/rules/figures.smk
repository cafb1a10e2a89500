# Figures from tables only, each as PDF, PNG and the CSV of what it shows.
PUBLISHED = str(ROOT / "config/reference/published_diffusivity.csv")


rule figures:
    input:
        expand("figures/{name}.png", name=FIGURES),


rule draw_arrhenius:
    input:
        diffusivities="transport/diffusivity.parquet",
        fits="transport/arrhenius.parquet",
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
        dpi=settings.figures.dpi,
    script:
        "../../scripts/figures/draw_arrhenius.py"


rule draw_learning:
    input:
        "learning/ledger.parquet",
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
        dpi=settings.figures.dpi,
    script:
        "../../scripts/figures/draw_learning.py"


rule draw_boundaries:
    input:
        "dynamics/boundaries.parquet",
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
        dpi=settings.figures.dpi,
        published=settings.figures.published,
    script:
        "../../scripts/figures/draw_boundaries.py"


rule draw_grain_size:
    input:
        "continuum/effective_diffusivity.parquet",
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
        dpi=settings.figures.dpi,
    script:
        "../../scripts/figures/draw_grain_size.py"
