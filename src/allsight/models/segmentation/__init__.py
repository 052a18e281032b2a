"""The class of every pixel: decoders from feature maps to logits, and the head that they share."""
