"""Classification: tags of a whole picture."""
