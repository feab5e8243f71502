"""Potentials learned from energies and forces, their training and their dynamics."""
