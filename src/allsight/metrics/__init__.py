"""How good predictions are: one file a measure, each from lists of Scenes or plain arrays."""
