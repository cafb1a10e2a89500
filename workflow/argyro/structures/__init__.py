"""Atomic structures: bulk cells, seeds, bicrystals and polycrystals, each with a report that proves it sound."""
