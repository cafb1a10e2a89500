"""Moment tensor potentials on NVIDIA GPUs: energies, forces, grades and molecular dynamics that stays on the card."""
