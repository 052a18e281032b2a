"""Models that answer everything in one pass."""
