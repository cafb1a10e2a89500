"""Effective diffusivity of polycrystals by periodic homogenization, from nanometre to micrometre grains."""
