"""Losses: one file a supervision."""
