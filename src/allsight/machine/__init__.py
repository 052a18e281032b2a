"""What the computer needs, not the mathematics: memory, processes, randomness."""
