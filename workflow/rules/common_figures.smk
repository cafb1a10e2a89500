# What rules of figures need to know.
BICRYSTAL_RUNS = [
    (name, repeat)
    for name in RUNS
    if name in KEPT and name not in POLYCRYSTALS
    for repeat in REPEATS
]


# Polycrystals first; where there is none, a bicrystal
PICTURED = [
    *(name for name in RUNS if name in POLYCRYSTALS),
    *dict.fromkeys(name for name, _ in BICRYSTAL_RUNS),
][:2]


FIGURES = {
    "learning": ["learning", "forces"] if LEARNING.mode != "given" else [],
    "bulk": ["arrhenius", "barriers"],
    "boundaries": ["boundaries", "boundary_ratio", "profile"] if KEPT else [],
    "continuum": ["grain_size", "crossover", "contrast_map"],
    "structures": ["microstructure"],
}


def figures_of(*groups):
    """Pictures of some groups of figures; of all of them if none is named."""
    names = [name for group in groups or FIGURES for name in FIGURES[group]]
    return expand("figures/{name}.png", name=names)
