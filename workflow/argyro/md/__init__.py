"""Molecular dynamics by LAMMPS: decks, runs in segments, trajectories and checks of them; used by several stages."""
