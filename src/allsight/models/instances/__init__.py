"""Systems that outline every single object."""
