"""Claims about detection."""
