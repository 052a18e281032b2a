"""Claims about classification."""
