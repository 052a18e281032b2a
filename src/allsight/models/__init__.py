"""Systems: one folder an area, one file a system."""
