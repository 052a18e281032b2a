"""Recipes of systems that outline objects."""
