"""Generators: pictures of which everything is known exactly."""
