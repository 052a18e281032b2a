"""Trunks for single pictures; one file a family."""
