"""Claims about instances."""
