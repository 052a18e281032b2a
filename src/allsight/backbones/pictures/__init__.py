"""Trunks for pictures."""
