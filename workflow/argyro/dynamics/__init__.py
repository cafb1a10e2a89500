"""Relaxed structures, boundary energies and runs of molecular dynamics, by the learned potentials."""
