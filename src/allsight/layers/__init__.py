"""Small modules with no opinion."""
