"""Recipes of systems that answer everything in one pass."""
