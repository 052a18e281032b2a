"""Pure functions on tensors: boxes and non-maximum suppression."""
