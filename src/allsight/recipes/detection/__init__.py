"""Recipes of detectors."""
