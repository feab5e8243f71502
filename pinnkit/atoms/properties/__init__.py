"""Choosing a model of a property by cross-validation and by the physics."""
