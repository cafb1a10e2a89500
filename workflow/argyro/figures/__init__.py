"""Figures from tables only."""
