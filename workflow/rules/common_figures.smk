# What rules of figures need to know.
from argyro.figures.shipped import ORIGIN, SHIPPED, Drawn, pictured, read_index

BICRYSTAL_RUNS = [
    (name, repeat)
    for name in RUNS
    if name in KEPT and name not in POLYCRYSTALS
    for repeat in REPEATS
]


IS_SHIPPED = settings.figures.tables == "shipped"
DRAWN = (
    read_index(SHIPPED)
    if IS_SHIPPED
    else Drawn(
        cells=list(CELLS),
        bicrystals=BICRYSTAL_RUNS,
        pictured=pictured(
            (name for name in RUNS if name in POLYCRYSTALS), BICRYSTAL_RUNS
        ),
    )
)
DRAWING = {
    "dpi": settings.figures.dpi,
    "origin": ORIGIN if IS_SHIPPED else "",
}


FIGURES = {
    "learning": (
        ["learning", "forces"] if IS_SHIPPED or LEARNING.mode != "given" else []
    ),
    "bulk": ["arrhenius", "barriers"],
    "boundaries": (
        ["boundaries", "boundary_ratio", "profile"] if IS_SHIPPED or KEPT else []
    ),
    "continuum": ["grain_size", "crossover", "contrast_map"],
    "structures": ["microstructure"],
}


def figures_of(*groups):
    """Pictures of some groups of figures; of all of them if none is named."""
    names = [name for group in groups or FIGURES for name in FIGURES[group]]
    return expand("figures/{name}.png", name=names)


def of_tables(path):
    """A file that figures read: of the campaign, or of those that ship with the project."""
    return str(SHIPPED / path) if IS_SHIPPED else path
