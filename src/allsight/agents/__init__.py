"""Agents: what learns by acting."""
