"""Claims about models that see all at once."""
