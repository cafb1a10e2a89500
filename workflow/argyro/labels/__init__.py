"""Energies, forces and stresses of structures: backends behind one protocol, results named by their content."""
