"""Lithium transport in argyrodite solid electrolytes, from electronic structure to polycrystal."""

__version__ = "0.1.0"
