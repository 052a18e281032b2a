"""Allsight: vision beyond classification, from pixels to actions."""

__version__ = "0.1.0"
