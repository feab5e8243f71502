"""Physics-informed models of materials: equations of state, potentials with their dynamics, crystal defects."""
