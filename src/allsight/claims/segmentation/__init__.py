"""Claims about regions."""
