"""``python -m argyro.config``: write the files that are generated from the models."""

from .generate import write

write()
