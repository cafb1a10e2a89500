"""Microstructures: grains as a periodic tessellation, the same for atoms and for the continuum."""
