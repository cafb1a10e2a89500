# Targets beside the stages: the chain up to diffusivities for structures of one kind alone, with tables of their own.
PARTS = {
    "bulk": [name for name in RUNS if name in BULK],
    "boundaries": [name for name, repeat in BICRYSTAL_RUNS if repeat == 0],
    "polycrystal": [name for name in RUNS if name in POLYCRYSTALS],
}


wildcard_constraints:
    target="|".join(PARTS),


rule bulk:
    input:
        "transport/bulk/arrhenius.parquet",


rule boundaries:
    input:
        "transport/boundaries/arrhenius.parquet",
        tables_of_boundaries(BOUNDARIES),


rule polycrystal:
    input:
        "transport/polycrystal/arrhenius.parquet",
        tables_of_boundaries(GRAINS),


# Bulk goes with boundaries and polycrystals, whose diffusivities are compared with it
use rule tabulate_diffusivities as tabulate_part with:
    input:
        measured_part,
    output:
        "transport/{target}/diffusivity.parquet",
    log:
        "logs/transport/tabulate-{target}.log",
    benchmark:
        "benchmarks/transport/tabulate-{target}.tsv"


use rule fit_arrhenius as fit_part with:
    input:
        "transport/{target}/diffusivity.parquet",
    output:
        "transport/{target}/arrhenius.parquet",
    log:
        "logs/transport/fit-{target}.log",
    benchmark:
        "benchmarks/transport/fit-{target}.tsv"
