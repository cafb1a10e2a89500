# Figures from tables only, each as PDF, PNG and the CSV of what it shows.
PUBLISHED = str(ROOT / "config/reference/published_diffusivity.csv")


rule figures:
    input:
        "figures/arrhenius.png",


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
