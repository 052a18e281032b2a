"""Recipes of systems that give every pixel a class."""
