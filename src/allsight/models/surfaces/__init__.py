"""Depth and normals."""
