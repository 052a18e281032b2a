"""Trunks: pictures in, named feature maps out; one file a family."""
