"""Recipes of systems that name whole pictures."""
