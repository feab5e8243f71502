"""The energy of a solid over its volume."""
