"""Point defects of crystals, and a representation that tells them apart."""
