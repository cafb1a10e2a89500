# What rules of figures need to know.
FIGURES = [
    "arrhenius",
    *(["learning"] if LEARNING.mode != "given" else []),
    *(["boundaries"] if KEPT else []),
    "grain_size",
]
