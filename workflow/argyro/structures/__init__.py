"""Atomic structures: bulk cells and seeds, each with a report that proves it sound."""
